"""Measure the agent alone: syslog by TCP and UDP → events → spool → a centre that only says thank you.

Run it: ``./run bench agent [--events 100000]``. First the processor time of each stage, measured in this process with
the same code; then ``edusoc collect`` as a process of its own: its processor time (user and system) while it takes
events, without and with the uplink. Compare events per CPU-second: wall time says little on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks._uplink_sink import Sink
from collectors.agent.aside import Aside
from collectors.agent.configuration import Place
from collectors.agent.identity import Identity, write_identity
from collectors.agent.outlet import SpoolOutlet
from collectors.agent.priorities import priority_of
from collectors.agent.spool import Limits, Spool, encode_event
from collectors.agent.status import read_status
from collectors.base import BATCH_EVENTS, Batch
from collectors.live.base import Counters, Origin
from collectors.live.syslog_framing import Framer
from collectors.live.syslog_records import Received, RecordMaker
from collectors.uplink.cutting import Size, cut
from soc_core.clock import format_instant, utc_now
from soc_core.keys.signing import SigningKey
from soc_core.uplink.wire import RECORDS, Envelope, encode_records

ROOT = Path(__file__).resolve().parent.parent
GOAL = 20_000
TICKS = os.sysconf("SC_CLK_TCK")
SENDER = "10.1.2.3"
AT_ONCE = 1 << 16


def messages(count: int) -> list[bytes]:
    """Return messages as devices send them now: log-ins, a web server's, a firewall's key=value pairs, a switch's."""
    now = time.strftime("%b %e %H:%M:%S")
    found = []
    for number in range(count):
        peer = f"10.{number % 7}.{number % 251}.{number % 199}"
        user, port = number % 300, number % 60_000
        texts = (
            f"<38>{now} server{number % 9} sshd[{number % 32_768}]: "
            f"Failed password for user{user} from {peer} port {port} ssh2",
            f"<134>{now} web{number % 3} nginx: {peer} GET /course/{number % 999}?page={user} 200 {port}",
            f"<190>{now} fw1 filter: action=deny proto=tcp src={peer} sport={port} "
            f"dst=203.0.113.{number % 250} dport=445 rule={number % 40}",
            f"<189>{now} sw{number % 40} IFNET: Interface GigabitEthernet1/0/{number % 48} has turned into DOWN state.",
        )
        found.append(texts[number % len(texts)].encode())
    return found


class Stages:
    """Add up processor time of the calling thread by stage."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.seconds: dict[str, float] = {}
        self._began = 0.0

    def begin(self) -> None:
        """Start the clock."""
        self._began = time.thread_time()

    def end(self, name: str, *, less: float = 0.0) -> float:
        """Count what passed since (``less`` some) as a stage's, return it, and start the clock anew."""
        passed = time.thread_time() - self._began - less
        self.seconds[name] = self.seconds.get(name, 0.0) + passed
        self.begin()
        return passed

    def print(self, events: int) -> None:
        """Print microseconds an event by stage, and what they make together."""
        for name, seconds in self.seconds.items():
            print(f"  {name:<34}{seconds / events * 1e6:8.2f} µs/event")
        total = sum(self.seconds.values())
        print(f"  {'together':<34}{total / events * 1e6:8.2f} µs/event = {events / total:,.0f} events/CPU-s")


def stages(sent: Sequence[bytes], folder: Path) -> Stages:
    """Do in this thread what the agent does, stage by stage."""
    told = Stages()
    spool = Spool(folder / "spool", Limits(size=4 << 30), utc_now)
    outlet = SpoolOutlet(spool, Aside(folder / "aside", 0, utc_now), Place(), utc_now)
    maker = RecordMaker("syslog", b"bench", Counters(), timedelta(days=400))
    origin = Origin("syslog", SENDER)
    wire = b"".join(message + b"\n" for message in sent)
    ours, theirs = socket.socketpair()
    writer = threading.Thread(target=_write, args=(theirs, wire))
    writer.start()
    framer, held = Framer(), list[Received]()
    while True:
        told.begin()
        data = ours.recv(AT_ONCE)
        told.end("receive")
        held += [Received(frame.raw, SENDER) for frame in framer.feed(data)]
        told.end("frame")
        while len(held) >= BATCH_EVENTS or (held and not data):
            batch = maker.make(held[:BATCH_EVENTS], outlet.context(origin))
            told.end("decode, parse, compare clocks, id")
            _store(told, spool, batch, origin)
            del held[:BATCH_EVENTS]
        if not data:
            break
    writer.join()
    _uplink(told, spool)
    spool.close()
    return told


def _write(target: socket.socket, data: bytes) -> None:
    target.sendall(data)
    target.close()


def _store(told: Stages, spool: Spool, batch: Batch, origin: Origin) -> None:
    """Store a batch; JSON and priorities, which the spool makes too, are timed by themselves and taken off."""
    told.begin()
    for event in batch.events:
        encode_event(event)
    json = told.end("JSON")
    for event in batch.events:
        priority_of(event)
    priorities = told.end("priority")
    spool.store(batch.events, origin)
    told.end("compress, write, fsync", less=json + priorities)


def _uplink(told: Stages, spool: Spool) -> None:
    """Cut, pack and sign all that is stored."""
    key = SigningKey(b"b" * 32)
    for number, lane in enumerate(spool.lanes):
        start = 0
        while start < lane.log.end_offset:
            told.begin()
            batch = cut(lane.reader, start, Size())
            told.end("uplink: read, unpack, cut")
            body = encode_records(batch.items)
            told.end("uplink: pack")
            Envelope("a", lane.cursor.epoch, number + 1, format_instant(utc_now())).headers(
                RECORDS, body, key
            )
            told.end("uplink: digest, sign")
            start = batch.end


def cpu_seconds(pid: int) -> float:
    """Return the processor time (user and system) a process took so far."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def rsyslog(sent: Sequence[bytes], folder: Path) -> float:
    """Have rsyslogd write the same to a file, without parsing more than the head and without fsync; 0 without one."""
    program = shutil.which("rsyslogd")
    if program is None:
        print("  rsyslogd isn't here: no peer")
        return 0.0
    folder.mkdir()
    port, out = free_port(), folder / "out.log"
    config = folder / "rsyslog.conf"
    config.write_text(
        f'module(load="imtcp")\ninput(type="imtcp" port="{port}" address="127.0.0.1")\n*.* {out}\n'
    )
    process = subprocess.Popen([program, "-n", "-f", str(config), "-i", str(folder / "pid")])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    before = cpu_seconds(process.pid)
    _send(sent, port, "tcp", 0)
    while not out.exists() or out.read_bytes().count(b"\n") < len(sent):
        time.sleep(0.2)
    seconds = cpu_seconds(process.pid) - before
    process.terminate()
    process.wait(30)
    print(
        f"  rsyslogd, tcp to a file: {len(sent) / seconds:,.0f} messages/CPU-s ({seconds / len(sent) * 1e6:.1f} µs)"
    )
    return len(sent) / seconds


class Child:
    """Run ``edusoc collect`` with one syslog input, with an uplink where there is an address."""

    def __init__(self, folder: Path, url: str, *, privacy: bool = False) -> None:
        """Start it and wait until it listens."""
        folder.mkdir()
        self.state = folder / "state"
        self.port = free_port()
        config = folder / "agent.toml"
        address = f'"127.0.0.1:{self.port}"'
        config.write_text(
            f'[agent]\nstate = "{self.state}"\n[centre]\nurl = "{url}"\n[spool]\nsize_mb = 4096\n'
            + ("[privacy]\n" if privacy else "")
            + f'[[inputs]]\nname = "syslog"\nkind = "syslog"\nudp = {address}\ntcp = {address}\n'
        )
        if url:
            self.state.mkdir()
            key = SigningKey(b"o" * 32).public.text
            write_identity(self.state, Identity("agent-1", "unit-1", "", "default", key, url), "")
        command = [sys.executable, "-m", "edusoc", "collect", "--config", str(config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while self.stored() is None:
            time.sleep(0.05)

    def stored(self) -> int | None:
        """Return how many events are stored as the agent says; ``None`` while it doesn't run."""
        status = read_status(self.state)
        if status.get("pid") != self.process.pid:
            return None
        for source in status["heartbeat"]["sources"]:  # type: ignore[index]
            if source["name"] == "syslog":
                return int(source["counters"].get("stored", 0))
        return None

    def counters(self) -> dict[str, int]:
        """Return the input's counters."""
        sources = read_status(self.state)["heartbeat"]["sources"]  # type: ignore[index]
        return dict(sources[0]["counters"])

    def cpu(self) -> float:
        """Return the seconds of processor time it took so far."""
        return cpu_seconds(self.process.pid)

    def memory(self) -> int:
        """Return the most MB it held."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10

    def end(self) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def whole(sent: Sequence[bytes], folder: Path, sink: Sink | None, *, udp_rate: int = 0) -> float:
    """Send all to an agent of its own, by TCP unless a rate of UDP is given; print and return events per CPU-second."""
    protocol, privacy = "udp" if udp_rate else "tcp", folder.name == "privacy"
    child = Child(folder, sink.url if sink else "", privacy=privacy)
    before, already = child.cpu(), sink.events if sink else 0
    _send(sent, child.port, protocol, udp_rate)
    while True:
        stored, counters = child.stored() or 0, child.counters()
        lost = counters.get("dropped", 0) + counters.get("shed", 0)
        if stored + lost >= len(sent) and (sink is None or sink.events - already >= stored):
            break
        time.sleep(0.2)
    seconds = child.cpu() - before
    how = f"{protocol}, {'with uplink' if sink else 'spool only'}{', privacy' if privacy else ''}"
    print(
        f"  {how}: {stored / seconds:,.0f} events/CPU-s ({seconds / stored * 1e6:.1f} µs/event),"
        f" dropped {lost}, {child.memory()} MB"
    )
    child.end()
    return stored / seconds


def _send(sent: Sequence[bytes], port: int, protocol: str, rate: int) -> None:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as out:
        out.connect(("127.0.0.1", port))
        if protocol == "tcp":
            for start in range(0, len(sent), 500):
                out.sendall(b"".join(message + b"\n" for message in sent[start : start + 500]))
            return
        began = time.monotonic()
        for number, message in enumerate(sent):
            out.send(message)
            if number % 50 == 0:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))


def main() -> int:
    """Run; return 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    sent = messages(arguments.events)
    size = sum(map(len, sent)) / len(sent)
    with tempfile.TemporaryDirectory(prefix="edusoc-agent-") as name, Sink() as sink:
        print(f"{len(sent):,} messages of {size:.0f} bytes; processor time by stage:")
        stages(sent, Path(name) / "stages").print(len(sent))
        print("edusoc collect as a process of its own:")
        alone = whole(sent, Path(name) / "alone", None)
        whole(sent, Path(name) / "privacy", None)
        whole(sent, Path(name) / "uplink", sink)
        whole(sent[: len(sent) // 4], Path(name) / "udp", sink, udp_rate=5_000)
        if peer := rsyslog(sent * 10, Path(name) / "rsyslog"):
            print(f"  ratio to rsyslogd, which only files: {alone / peer:.2f}")
    print(f"goal {GOAL:,} events/CPU-s, agent alone: {'met' if alone >= GOAL else 'missed'}")
    return 0 if alone >= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
