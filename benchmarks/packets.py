"""Measure the packet collector against its peers: ``python -m benchmarks.packets [CAPTURE…] [--rounds 3]``.

Without captures it makes one of 700 MB from those in ``../shared/data/pcaps`` (see ``make_capture``). Each program runs
as a whole process on the same file, in turn, ``--rounds`` times; the median of its processor seconds counts (user and
system, children included), next to the largest anonymous memory of all its processes together. Peers that are not
installed are left out and named: nfpcapd (nfdump), tshark, suricata, and nfstream, whose interpreter ``--nfstream``
names. tshark is slow: it gets the first ``--tshark-packets`` and is scaled up.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._shared import SHARED
from benchmarks.make_capture import make
from collectors.packets.machine import load_kernel

LARGEST = 400_000
NFSTREAM = (
    "import sys; from nfstream import NFStreamer\n"
    "print(sum(1 for _ in NFStreamer(source=sys.argv[1], n_dissections=0, n_meters=1, statistical_analysis=False)))"
)


@dataclass
class Run:
    """Hold one program's figures: processor seconds of each round, anonymous memory in MB."""

    name: str
    seconds: list[float]
    memory: float
    scale: float = 1.0

    @property
    def median(self) -> float:
        """Return the median of processor seconds, scaled."""
        return statistics.median(self.seconds) * self.scale


def _anonymous(root: int) -> int:
    """Return the anonymous memory of a process and its descendants in KB, as /proc has it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
    return total


def _environment() -> dict[str, str]:
    """Return our own environment, but with bytecode kept: an installed program is not compiled at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(command: Sequence[str], output: Path) -> tuple[float, float]:
    """Run a command; return processor seconds and the peak of anonymous memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with output.open("wb") as target:
        process = subprocess.Popen(
            command, stdout=target, stderr=subprocess.DEVNULL, cwd=output.parent, env=_environment()
        )
        peak, done = 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.1):
                peak = max(peak, _anonymous(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        done.set()
        watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1024


def programs(capture: Path, folder: Path, nfstream: str | None) -> dict[str, list[str]]:
    """Return the commands, ours first; missing peers are said."""
    read = [sys.executable, "-m", "edusoc", "read", str(capture)]
    found = {
        "edusoc read, flows only → NDJSON": [*read, "--only", "packets.flow"],
        "edusoc read, flows and applications → NDJSON": read,
    }
    peers = {
        "nfpcapd (flows only)": ["nfpcapd", "-r", str(capture), "-w", str(folder / "nf")],
        "suricata, one thread, no rules → EVE": [
            "suricata", "-r", str(capture), "-l", str(folder), "-S", "/dev/null", "--runmode", "single",
        ],
    }  # fmt: skip
    (folder / "nf").mkdir(exist_ok=True)
    for name, command in peers.items():
        if shutil.which(command[0]):
            found[name] = command
        else:
            print(f"left out, not installed: {name}")
    if nfstream:
        found["nfstream (flows only)"] = [nfstream, "-c", NFSTREAM, str(capture)]
    else:
        print("left out: nfstream (--nfstream PYTHON names an interpreter that has it)")
    return found


def run_all(commands: dict[str, list[str]], folder: Path, rounds: int) -> list[Run]:
    """Run the programs in turn, round after round, so that what else the machine does meets all alike."""
    runs = {name: Run(name, [], 0.0) for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            seconds, memory = measure(command, folder / "output")
            runs[name].seconds.append(seconds)
            runs[name].memory = max(runs[name].memory, memory)
            print(f"  round {number + 1}: {seconds:7.2f} CPU-s  {memory:5.0f} MB  {name}", flush=True)
    return list(runs.values())


def tshark(capture: Path, folder: Path, packets: int, total: int) -> Run | None:
    """Measure ``tshark -T fields`` with ten fields on the first packets, scaled to all."""
    if not shutil.which("tshark"):
        print("left out, not installed: tshark")
        return None
    fields = (
        "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "dns.qry.name",
        "http.host", "tls.handshake.extensions_server_name", "frame.len",
    )  # fmt: skip
    command = ["tshark", "-n", "-r", str(capture), "-c", str(packets), "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    seconds, memory = measure(command, folder / "output")
    return Run(f"tshark -T fields (first {packets} packets, scaled)", [seconds], memory, total / packets)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captures", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=700)
    parser.add_argument("--nfstream", help="a Python that has nfstream")
    parser.add_argument("--tshark-packets", type=int, default=50_000)
    arguments = parser.parse_args()
    load_kernel()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as name:
        folder = Path(name)
        captures = arguments.captures or [_made(folder, arguments.megabytes)]
        for capture in captures:
            _compare(capture.absolute(), folder, arguments)


def _made(folder: Path, megabytes: int) -> Path:
    target = folder / "mixed.pcap"
    small = sorted(str(p) for p in (SHARED / "pcaps").rglob("*.pcap*") if p.stat().st_size < LARGEST)
    started = time.monotonic()
    packets = make(target, small, megabytes * 1_000_000)
    print(f"made {target.stat().st_size >> 20} MB, {packets} packets in {time.monotonic() - started:.0f} s")
    return target


def _compare(capture: Path, folder: Path, arguments: argparse.Namespace) -> None:
    total = _packets(capture, folder)
    runs = run_all(programs(capture, folder, arguments.nfstream), folder, arguments.rounds)
    scaled = tshark(capture, folder, min(arguments.tshark_packets, total), total)
    runs += [scaled] if scaled else []
    flows, everything = runs[0].median, runs[1].median
    print(
        f"\n{capture.name}: {capture.stat().st_size >> 20} MB, {total} packets; medians of processor seconds"
    )
    print(f"{'CPU-s':>8} {'kpkt/CPU-s':>11} {'anon MB':>8} {'flows÷':>7} {'all÷':>7}  program")
    for run in runs:
        rate = total / run.median / 1000
        ratios = f"{flows / run.median:7.2f} {everything / run.median:7.2f}"
        print(f"{run.median:8.2f} {rate:11.0f} {run.memory:8.0f} {ratios}  {run.name}")


def _packets(capture: Path, folder: Path) -> int:
    """Count the packets with our own meter."""
    import json

    target = folder / "stats.json"
    command = [
        sys.executable,
        "-m",
        "edusoc",
        "read",
        str(capture),
        "--only",
        "packets.flow",
        "--stats",
        str(target),
    ]
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=_environment()
    )
    return int(json.loads(target.read_text())["packets"])


if __name__ == "__main__":
    main()
