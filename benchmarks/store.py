# ruff: noqa: E501  (tables of events and questions read better in long lines)
"""Measure the embedded store against Elasticsearch: ``python -m benchmarks.store [--peer URL] [--keep DIRECTORY]``.

Makes the events of ``benchmarks._store_events`` (5 million over 180 days by default), appends them durably in batches of
1,000 with sealing beside it, compacts, and asks the questions of GOALS "Store", each turn with other values, of both
stores in turn in the same run. Prints processor time an event, durable events a second, bytes an event, memory, the
median of each question and its ratio to Elasticsearch's, and whether the answers are the same.

Load the peer once by ``python -m benchmarks.store_peer``. With ``--keep`` the store stays and is used again.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks._store_events import BEGIN, DAYS, Generator, end_of
from benchmarks._store_questions import MOST_TURNS, Question, Questions
from benchmarks.store_peer import Loading, Peer
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search


@dataclass(slots=True)
class Cost:
    """Hold what loading our store cost, in seconds and bytes."""

    events: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    slowest: float = 0.0
    compacting: float = 0.0
    slowest_compacting: float = 0.0
    peak_mb: int = 0


def spent() -> float:
    """Return the processor time of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory(name: str = "VmHWM") -> int:
    """Return a figure of /proc/self/status in MB (0 where there is none)."""
    path = Path("/proc/self/status")
    for line in path.read_text(encoding="ascii").splitlines() if path.exists() else ():
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    return 0


def load(store: EmbeddedStore, generator: Generator) -> Cost:
    """Append everything, seal and compact it; return what that cost, making the events left out."""
    cost = Cost()
    for day in range(generator.days):
        batches = list(generator.day(day))
        begin, clock = spent(), time.perf_counter()
        for batch in batches:
            before = time.perf_counter()
            store.append(batch)
            cost.slowest = max(cost.slowest, time.perf_counter() - before)
        cost.cpu, cost.wall = cost.cpu + spent() - begin, cost.wall + time.perf_counter() - clock
        cost.events += sum(map(len, batches))
    begin, clock = spent(), time.perf_counter()
    store.seal()
    cost.cpu, cost.wall = cost.cpu + spent() - begin, cost.wall + time.perf_counter() - clock
    begin = spent()
    store.compact(at_once=True)
    cost.compacting = spent() - begin
    cost.peak_mb = memory()
    return cost


def open_store(directory: Path, generator: Generator) -> tuple[EmbeddedStore, Cost]:
    """Return the store in a directory and what loading it cost, now or when it was made."""
    note = directory / "cost.json"
    begin = time.perf_counter()
    store = EmbeddedStore(directory / "events", writer=True)
    print(f"opened in {time.perf_counter() - begin:.2f} s")
    if note.exists():
        return store, Cost(**json.loads(note.read_text(encoding="utf-8")))
    cost = load(store, generator)
    note.write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return store, cost


def report_cost(store: EmbeddedStore, cost: Cost, peer: Peer | None, other: Loading | None) -> None:
    """Print what loading cost."""
    segments = store.catalogue.snapshot().segments
    size = sum(path.stat().st_size for path in store.directory.rglob("*") if path.is_file())
    whole = (cost.cpu + cost.compacting) / cost.events * 1e6
    print(f"events                        {cost.events} in {len(segments)} segments")
    print(f"processor, append and seal    {cost.cpu / cost.events * 1e6:.1f} µs/event")
    print(f"processor, with compacting    {whole:.1f} µs/event")
    print(
        f"durable                       {cost.events / cost.wall:.0f} events/s, slowest append {cost.slowest:.2f} s"
    )
    print(f"bytes                         {size / cost.events:.1f} B/event in all, "
          f"{sum(s.bytes for s in segments) / cost.events:.1f} in segments")  # fmt: skip
    print(f"peak memory while loading     {cost.peak_mb} MB (the events' generator included)")
    if peer is not None and other is not None:
        theirs = (other.own_cpu + other.client) / other.events * 1e6
        print(f"Elasticsearch                 {theirs:.1f} µs/event with client ({whole / theirs:.2f}×), "
              f"{other.events / other.wall:.0f} events/s ({cost.events / cost.wall / (other.events / other.wall):.2f}×), "
              f"{peer.bytes_stored() / other.events:.1f} B/event ({size / cost.events / (peer.bytes_stored() / other.events):.2f}×), "
              f"{peer.resident_mb()} MB")  # fmt: skip


def ask(question: Question, store: EmbeddedStore, peer: Peer | None, turns: int) -> str:
    """Ask in turn; return the line of the table.

    Beside the medians of the clock stand the means of processor time, which other work on the machine changes less.
    """
    ours, theirs, same, used, peer_used = list[float](), list[float](), True, 0.0, 0.0
    for turn in range(turns):
        begin, before = time.perf_counter(), spent()
        answer = question.ours(store, turn)
        ours.append((time.perf_counter() - begin) * 1e3)
        used += (spent() - before) * 1e3
        if peer is not None:
            peer.forget()
            begin, before = time.perf_counter(), peer.processor_seconds()
            other = question.peer(peer, turn)
            theirs.append((time.perf_counter() - begin) * 1e3)
            peer_used += (peer.processor_seconds() - before) * 1e3
            same &= answer == other or not question.exact
    shown = (
        answer if isinstance(answer, int) else f"{len(answer)} values" if isinstance(answer, list) else answer
    )
    line = f"{question.name:38}{statistics.median(ours):8.1f} ms (first {ours[0]:7.1f}; processor {used / turns:6.1f}) → {shown}"
    if not theirs:
        return line
    ratio = statistics.median(ours) / statistics.median(theirs)
    verdict = "met" if ratio <= question.goal else "MISSED"
    equal = ("same answers" if same else "ANSWERS DIFFER") if question.exact else f"they say {other}"
    return (
        f"{line}; Elasticsearch {statistics.median(theirs):7.1f} ms (processor {peer_used / turns:6.1f}), "
        f"{ratio:6.2f}× (goal {question.goal:.0f}×: {verdict}), {equal}"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--keep", type=Path, help="a directory that keeps the store for the next time")
    parser.add_argument("--turns", type=int, default=11, choices=range(1, MOST_TURNS), metavar="N")
    parser.add_argument("--only", default="", help="a part of the names of the questions to ask")
    parser.add_argument("--peer", help="address of an Elasticsearch that store_peer has loaded")
    parser.add_argument("--peer-prefix", default="edusoc-bench-")
    parser.add_argument("--peer-pid", type=int, default=0, help="its process, for its memory")
    parser.add_argument("--peer-cost", type=Path, help="what store_peer wrote")
    arguments = parser.parse_args()
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="edusoc-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    peer = Peer(arguments.peer, arguments.peer_prefix, arguments.peer_pid) if arguments.peer else None
    other = (
        Loading(**json.loads(arguments.peer_cost.read_text(encoding="utf-8")))
        if arguments.peer_cost
        else None
    )
    store, cost = open_store(directory, Generator(arguments.events, arguments.days))
    store.seal()  # what was compacted away goes once its grace is over
    try:
        report_cost(store, cost, peer, other)
        store.close()
        store = EmbeddedStore(directory / "events", writer=False)  # as the process that answers has it
        end = end_of(arguments.days) - timedelta(days=min(30, arguments.days - 1))
        found = store.search(Search(SYSTEM_SCOPE, BEGIN, end, limit=200)).events
        for question in Questions(arguments.days, [str(event["event.id"]) for event in found][::7]).all():
            if arguments.only in question.name:
                print(ask(question, store, peer, arguments.turns), flush=True)
        print(f"peak memory of this process   {memory()} MB")
    finally:
        store.close()
        if arguments.keep is None:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
