"""Measure following files: ``python -m benchmarks.live_files [--events 200000] [--quiet 1000] [--seconds 20]``.

Three figures, in processor seconds of this process (user and system), since others may use the machine:
- events a processor second for one busy log of each kind, rotated while it is written, next to importing the same bytes
  (the parsers' share) and to reading them without a parser (the floor);
- events a processor second where many files get a line each second;
- the share of a core that quiet files cost.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collectors.base import Batch, ReadContext
from collectors.live.base import Origin
from collectors.live.files.settings import Settings
from collectors.live.files.tailing import FilesInput
from collectors.reading import read_paths

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)
FIELDS = (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state"
)
ZEEK_HEAD = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    "#fields\t"
    + FIELDS.replace(" ", "\t")
    + "\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval"
    "\tcount\tcount\tstring\n"
)


def auth(number: int) -> str:
    """Return a line of an auth log."""
    second, port = number // 20, number % 60_000
    time_ = f"{second // 60 % 60:02}:{second % 60:02}"
    return f"Nov 23 10:{time_} host sshd[{number}]: Failed password for root from 10.0.0.7 port {port} ssh2\n"


def access(number: int) -> str:
    """Return a line of a web access log."""
    return (
        f"10.1.2.{number % 250} - - [23/Nov/2026:10:00:{number % 60:02} +0800] "
        f'"GET /a/{number}.html HTTP/1.1" 200 {number} "http://www.school.example/" "Mozilla/5.0 (X11; Linux)"\n'
    )


def conn(number: int) -> str:
    """Return a row of Zeek's conn.log."""
    ends = f"10.0.0.{number % 250}\t{number % 60_000}\t192.0.2.9\t443"
    return f"{1_795_400_000 + number}.5\tC{number}\t{ends}\ttcp\tssl\t1.5\t{number}\t9000\tSF\n"


def eve(number: int) -> str:
    """Return a record of Suricata's eve.json."""
    return (
        f'{{"timestamp":"2026-11-23T10:00:{number % 60:02}.123456+0800","flow_id":{number},"event_type":"dns",'
        f'"src_ip":"10.0.0.7","src_port":{number % 60_000},"dest_ip":"10.0.0.1","dest_port":53,"proto":"UDP",'
        f'"dns":{{"type":"query","id":{number % 65_536},"rrname":"h{number}.example.com","rrtype":"A"}}}}\n'
    )


KINDS: dict[str, tuple[str, Callable[[int], str]]] = {
    "auth.log": ("", auth),
    "access.log": ("", access),
    "conn.log": (ZEEK_HEAD, conn),
    "eve.json": ("", eve),
}


@dataclass
class Outlet:
    """Count what is delivered."""

    events: int = 0
    ids: set[str] | None = None

    def deliver(self, batch: Batch, _origin: Origin, /) -> None:
        """Count a batch."""
        self.events += len(batch.events)

    def context(self, _origin: Origin, /) -> ReadContext:
        """Return a context as an agent's would be."""
        return ReadContext(BEGAN, organization_id="u", created=datetime.now(UTC))


def cpu() -> float:
    """Return the processor seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def following(pattern: str, folder: Path, outlet: Outlet) -> Iterator[FilesInput]:
    """Run an input while the block runs."""
    input_, stop = FilesInput("bench", Settings((pattern,), folder)), threading.Event()
    thread = threading.Thread(target=input_.run, args=(outlet, stop))
    thread.start()
    try:
        yield input_
    finally:
        stop.set()
        thread.join()


def busy(name: str, amount: int) -> tuple[float, float, float]:
    """Return events a processor second: followed, imported, and lines merely split, of one busy log."""
    head, make = KINDS[name]
    parts = [
        "".join(make(number) for number in range(start, start + 10_000)) for start in range(0, amount, 10_000)
    ]
    with tempfile.TemporaryDirectory() as text:
        folder, outlet = Path(text), Outlet()
        path = folder / name
        writing = 0.0
        start = cpu()
        with following(f"{path}*", folder / "memory", outlet):
            for number, part in enumerate(parts):
                before = time.thread_time()
                with path.open("a", encoding="utf-8") as file:
                    file.write(head if not file.tell() else "")
                    file.write(part)
                if number % 5 == 4:
                    path.rename(folder / f"{name}.{number}")
                writing += time.thread_time() - before
                while outlet.events < (number + 1) * 10_000:
                    time.sleep(0.01)
        followed = cpu() - start - writing
        start = cpu()
        total = sum(
            len(batch.events)
            for batch in read_paths([text + "/" + one.name for one in folder.glob(f"{name}*")])
        )
        imported = cpu() - start
        start = cpu()
        for one in folder.glob(f"{name}*"):
            one.read_bytes().split(b"\n")
        split = cpu() - start
    assert total == outlet.events == len(parts) * 10_000
    return outlet.events / followed, total / imported, total / max(split, 1e-6)


def many(files: int, seconds: int) -> float:
    """Return events a processor second where each of many files gets a line a second."""
    with tempfile.TemporaryDirectory() as text:
        folder, outlet = Path(text), Outlet()
        with following(f"{folder}/*.log", folder / "memory", outlet):
            start, writing = cpu(), 0.0
            for second in range(seconds):
                before = time.thread_time()
                for number in range(files):  # each file begins otherwise: equal beginnings are copies
                    with (folder / f"{number}.log").open("a", encoding="utf-8") as file:
                        file.write(auth(second * files + number))
                writing += time.thread_time() - before
                time.sleep(1)
            while outlet.events < files * seconds:
                time.sleep(0.1)
            return outlet.events / (cpu() - start - writing)


def quiet(files: int, seconds: int) -> tuple[float, int]:
    """Return the share of a core that quiet files take, and the memory of the process in MB."""
    with tempfile.TemporaryDirectory() as text:
        folder, outlet = Path(text), Outlet()
        for number in range(files):
            (folder / f"{number}.log").write_text(auth(number), encoding="utf-8")
        with following(f"{folder}/*.log", folder / "memory", outlet):
            while outlet.events < files:
                time.sleep(0.1)
            time.sleep(5)
            start, clock = cpu(), time.monotonic()
            time.sleep(seconds)
            share = (cpu() - start) / (time.monotonic() - clock)
    return share, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--quiet", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    for files in (options.quiet, options.quiet * 10):
        share, memory = quiet(files, options.seconds)
        print(f"{files} quiet files: {share:.2%} of a core, {memory} MB", flush=True)
    rate = many(options.quiet // 5, options.seconds)
    print(f"{options.quiet // 5} files, a line a second each: {rate:,.0f} events a CPU-second", flush=True)
    for name in KINDS:
        followed, imported, split = busy(name, options.events)
        print(
            f"{name}: {followed:,.0f} events a CPU-second followed, {imported:,.0f} imported "
            f"({followed / imported:.2f}), {split:,.0f} lines split",
            flush=True,
        )


if __name__ == "__main__":
    main()
