"""Measure the whole chain: syslog by TCP → agent → TLS → centre → enriched, sealed store, in events a CPU-second.

Run it: ``python -m benchmarks.chain [--events 100000]``. First what each stage takes in one thread of this process,
with the same code; then real processes on the loopback, the agent's and the centre's processor time added up, from the
first message to the sealed store: without any detector, and with all bundled rules and detectors. At the end the same
messages through rsyslog, and syslog-ng where it is installed, into a file: the ratio says what the rest costs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks._campaign_world import CODE, UNITS
from benchmarks.agent import Stages, messages, stages
from collectors.agent.status import read_status
from edusoc.composition import open_writer
from intake.enrich.base import enrich_all
from intake.pipeline import CURSOR, read_cursor
from soc_core.clock import format_instant, utc_now
from soc_core.config import Settings
from soc_core.state.database import Database
from soc_core.uplink.wire import decode_records, encode_records

ROOT = Path(__file__).resolve().parent.parent
GOALS = {"agent": 20_000, "store": 7_000, "rules": 4_000}
TICKS = os.sysconf("SC_CLK_TCK")
UNIT = "9912100003"
PATIENCE = 900.0
WINDOW = 20_000
"""Events that are on their way at most, so that nothing is measured but work."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time a process took so far."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


def centre_stages(bodies: Sequence[bytes], state: Path) -> Stages:
    """Do in this thread what the centre does with the bodies of agents, stage by stage."""
    told = Stages()
    with open_writer(Settings(state=str(state))) as writer:
        for body in bodies:
            told.begin()
            runs = decode_records(body)
            batch = [event for run in runs for event in run.events if not isinstance(event, bytes)]
            told.end("centre: unpack")
            arrived = format_instant(utc_now())
            for event in batch:
                event["event.ingested"] = arrived
                event["organization.id"], event["edusoc.zone"] = UNIT, "campus"
            told.begin()
            enrich_all(batch, writer.pipeline.enrichers)
            told.end("centre: enrich")
            writer.store.append(batch)
            told.end("centre: store")
        told.begin()
        writer.pipeline.advance()
        told.end("centre: rules and windows")
        writer.pipeline.settle()
        told.end("centre: judge windows")
        writer.store.seal()
        told.end("centre: seal the rest")
    return told


def bodies_of(folder: Path) -> list[bytes]:
    """Return the uplink's bodies of what ``stages`` left in its spool."""
    from collectors.agent.spool import Limits, Spool
    from collectors.uplink.cutting import Size, cut

    spool, found = Spool(folder, Limits(size=4 << 30), utc_now), []
    for lane in spool.lanes:
        start = 0
        while start < lane.log.end_offset:
            batch = cut(lane.reader, start, Size())
            found.append(encode_records(batch.items))
            start = batch.end
    spool.close()
    return found


class Centre:
    """Run the centre as a process of its own."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Start it and wait until it serves."""
        self.state, self.port = folder / "centre", free_port()
        surroundings = {
            "EDUSOC_STATE": str(self.state),
            "EDUSOC_INTAKE_PORT": str(self.port),
            "EDUSOC_INTAKE_EVENTS_PER_SECOND": "1000000",
        }
        self.environment = {**os.environ, **surroundings}
        self.edusoc("organisations", "import", str(UNITS))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._chain_centre", kind],
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ready = self.told("ready")

    def edusoc(self, *words: str) -> str:
        """Run a command of the centre."""
        command = [sys.executable, "-m", "edusoc", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def told(self, name: str) -> float:
        """Return the next number that it tells, called so."""
        assert self.process.stdout is not None
        word, _, number = self.process.stdout.readline().partition(" ")
        if word != name:
            raise RuntimeError(f"the centre said '{word}', not '{name}'")
        return float(number)

    def detected(self) -> int:
        """Return how many events its detectors have read."""
        database = Database.of(Settings(state=str(self.state)))
        try:
            with database.read() as connection:
                return read_cursor(connection, CURSOR)
        finally:
            database.close()

    def end(self) -> float:
        """End it; return the processor seconds from ready to sealed."""
        self.process.send_signal(signal.SIGTERM)
        seconds = self.told("served") - self.ready + self.told("sealed")
        self.process.wait(60)
        return seconds


class Agent:
    """Run an agent with one syslog input that has joined a centre."""

    def __init__(self, folder: Path, centre: Centre) -> None:
        """Join, start, and wait until it runs."""
        self.state, self.port, config = folder / "agent", free_port(), folder / "agent.toml"
        found = CODE.search(centre.edusoc("agents", "code", "--organisation", UNIT))
        assert found is not None
        url = f"https://127.0.0.1:{centre.port}"
        config.write_text(
            f'[agent]\nstate = "{self.state}"\n[centre]\nurl = "{url}"\n[spool]\nsize_mb = 4096\n'
            f'[[inputs]]\nname = "syslog"\nkind = "syslog"\ntcp = "127.0.0.1:{self.port}"\n'
        )
        centre.edusoc("enrol", "--centre", url, "--code", found[0], "--config", str(config))
        command = [sys.executable, "-m", "edusoc", "collect", "--config", str(config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while self.counts() is None:
            time.sleep(0.05)
        self.before = cpu_of(self.process.pid)

    def counts(self) -> tuple[int, int] | None:
        """Return how many events are stored and how many of them wait; ``None`` while it doesn't run."""
        status = read_status(self.state)
        beat = status.get("heartbeat")
        if status.get("pid") != self.process.pid or not isinstance(beat, dict):
            return None
        counters = next(source["counters"] for source in beat["sources"] if source["name"] == "syslog")
        return int(counters.get("stored", 0)), int(beat["waiting"])

    def end(self) -> float:
        """End it and return its processor seconds."""
        seconds = cpu_of(self.process.pid) - self.before
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return seconds


def chain(kind: str, sent: Sequence[bytes], folder: Path) -> float:
    """Send all through real processes; print and return events a CPU-second."""
    folder.mkdir()
    centre = Centre(folder, kind)
    agent = Agent(folder, centre)
    with socket.create_connection(("127.0.0.1", agent.port)) as out:
        for start in range(0, len(sent), 500):
            out.sendall(b"".join(message + b"\n" for message in sent[start : start + 500]))
    deadline = time.monotonic() + PATIENCE
    while (agent.counts() or (0, 1)) != (len(sent), 0) or centre.detected() < len(sent):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not everything arrived: {agent.counts()}")
        time.sleep(0.2)
    of_agent, of_centre = agent.end(), centre.end()
    together = len(sent) / (of_agent + of_centre)
    print(
        f"  {kind:<8}agent {of_agent / len(sent) * 1e6:6.1f} µs + centre {of_centre / len(sent) * 1e6:6.1f} µs "
        f"an event = {together:,.0f} events/CPU-s"
    )
    return together


@contextmanager
def _program(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _said(*words: str) -> str:
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout


def peers(folder: Path) -> dict[str, tuple[list[str], int, Path]]:
    """Return the commands of other programs that write syslog from TCP into a file, their ports and files."""
    found = {}
    port, out = free_port(), folder / "rsyslog.out"
    if path := shutil.which("rsyslogd"):
        config = folder / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{folder}")\nmodule(load="imtcp")\ninput(type="imtcp" port="{port}" '
            f'address="127.0.0.1")\naction(type="omfile" file="{out}")\n'
        )
        found["rsyslog"] = ([path, "-n", "-f", str(config), "-i", str(folder / "rsyslog.pid")], port, out)
    port, out = free_port(), folder / "syslog-ng.out"
    if path := shutil.which("syslog-ng"):
        config = folder / "syslog-ng.conf"
        version = re.search(r"\((\d+\.\d+)", _said(path, "-V"))
        config.write_text(
            f"@version: {version[1] if version else '3.38'}\n"
            f'source s {{ network(ip("127.0.0.1") port({port}) transport("tcp")); }};\n'
            f'destination d {{ file("{out}"); }};\nlog {{ source(s); destination(d); }};\n'
        )
        command = [path, "-F", "-f", str(config), "-R", str(folder / "persist"), "-p", str(folder / "pid"),
                   "-c", str(folder / "control"), "--no-caps"]  # fmt: skip
        found["syslog-ng"] = (command, port, out)
    return found


def compare(sent: Sequence[bytes], folder: Path) -> dict[str, float]:
    """Send the same messages through other programs; return their events a CPU-second."""
    found = {}
    for name, (command, port, out) in peers(folder).items():
        with _program(command, folder / f"{name}.log") as process:
            deadline = time.monotonic() + 30
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as stream:
                    before = cpu_of(process.pid)
                    for start in range(0, len(sent), 500):
                        stream.sendall(b"".join(message + b"\n" for message in sent[start : start + 500]))
                    break
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(
                        f"{name} doesn't listen: {(folder / f'{name}.log').read_text()[-500:]}"
                    )
                time.sleep(0.1)
            while not out.exists() or out.read_bytes().count(b"\n") < len(sent):
                if time.monotonic() > deadline + 60:
                    raise RuntimeError(f"{name} wrote too little")
                time.sleep(0.2)
            seconds = cpu_of(process.pid) - before
        found[name] = len(sent) / max(seconds, 1 / TICKS)
        print(f"  {name:<10}{found[name]:12,.0f} events/CPU-s (into a file, nothing parsed, no fsync)")
    return found


def main() -> int:
    """Run; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--only", choices=("stages", "store", "rules", "peers"))
    arguments = parser.parse_args()
    sent, results = messages(arguments.events), dict[str, float]()
    wanted = [arguments.only] if arguments.only else ["stages", "store", "rules", "peers"]
    with tempfile.TemporaryDirectory(prefix="edusoc-chain-") as name:
        folder = Path(name)
        if "stages" in wanted:
            print(f"{len(sent):,} messages; processor time by stage, in one thread:")
            (folder / "stages").mkdir()
            stages(sent, folder / "stages").print(len(sent))
            bodies = bodies_of(folder / "stages" / "spool")
            print(f"  {sum(map(len, bodies)) / len(sent):.1f} bytes an event on the wire")
            centre_stages(bodies, folder / "state").print(len(sent))
        for kind in ("store", "rules"):
            if kind in wanted:
                print("real processes over TLS, to the sealed store:")
                results[kind] = chain(kind, sent, folder / kind)
        print("other programs:" if "peers" in wanted else "")
        found = compare(sent, folder) if "peers" in wanted else {}
    for kind, value in results.items():
        word = "met" if value >= GOALS[kind] else "missed"
        print(f"goal {GOALS[kind]:,} events/CPU-s, {kind}: {word} ({value:,.0f})")
        for name, other in found.items():
            print(
                f"  {name} takes {value / other:.4f} of the processor time: it is {other / value:,.0f} times faster"
            )
    return 0 if all(value >= GOALS[kind] for kind, value in results.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
