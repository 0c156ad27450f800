"""Measure lists of indicators: ``python -m benchmarks.indicators [COUNT]`` (a million by default).

A list of addresses, names, hashes and web addresses is read from plain text, built, joined and matched over synthetic
events, in a process of its own for memory. Every verdict is compared with a plain dictionary's: one false hit or miss
fails the run. Times are CPU seconds of one process.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from detectors.indicators.building import Builder
from detectors.indicators.detector import IndicatorDetector
from detectors.indicators.known import HEAD, known
from detectors.indicators.model import Head, Indicator
from detectors.indicators.reading import Defaults, Notes, read_list
from detectors.indicators.table import Table
from soc_core.model.event import Event

COUNT = 1_000_000
BATCH, BATCHES = 5_000, 20
NOW = 1_790_000_000


def address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(20, 100)) for _ in range(4))


def name(chance: random.Random) -> str:
    return f"h{chance.randrange(10**8)}.site{chance.randrange(10**5)}.cn"


def lines(count: int) -> Iterator[str]:
    chance = random.Random(7)
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield f"{address(chance)} # botnet {number % 997}"
        elif kind == 1:
            yield name(chance)
        elif kind == 2:
            yield f"{chance.getrandbits(256):064x}"
        else:
            yield f"http://{name(chance)}/p{number}.php?id={number % 97}"


def event(number: int, chance: random.Random, addresses: list[str], names: list[str]) -> Event:
    made: Event = {
        "@timestamp": "2026-11-20T01:02:03.000000Z",
        "event.id": f"20261120-{number:026d}",
        "event.dataset": "zeek.conn",
        "organization.id": "u1",
        "edusoc.zone": "default",
        "source.ip": f"10.1.{number % 4}.{chance.randrange(256)}",
        "source.port": 50_000,
        "destination.ip": chance.choice(addresses) if chance.random() < 0.7 else address(chance),
        "destination.port": 443,
        "network.transport": "tcp",
        "network.bytes": 1_000,
    }
    kind = number % 4
    if kind == 1:
        asked = {"dns.question.name": chance.choice(names), "dns.resolved_ip": [chance.choice(addresses)]}
        made |= asked  # type: ignore[arg-type]
    elif kind == 2:
        made |= {
            "tls.client.server_name": chance.choice(names),
            "tls.client.ja3": f"{chance.getrandbits(128):032x}",
            "tls.server.hash.sha256": f"{chance.getrandbits(256):064x}",
        }
    elif kind == 3:
        made |= {
            "url.domain": chance.choice(names),
            "url.original": f"/p{number}.php?id=1",
            "file.hash.md5": f"{chance.getrandbits(128):032x}",
        }
    return made


def batches() -> Iterator[list[Event]]:
    chance = random.Random(11)
    addresses = [address(chance) for _ in range(20_000)]
    names = [name(chance) for _ in range(20_000)]
    for start in range(BATCHES):
        yield [event(start * BATCH + number, chance, addresses, names) for number in range(BATCH)]


def resident() -> int:
    """Return the resident kilobytes of this process."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0])


def match(path: str) -> None:
    """Be the process whose memory is measured: open, look up everything once, match."""
    before = resident()
    begin = time.process_time()
    detector = IndicatorDetector(Table(Path(path)))
    opened = time.process_time() - begin
    table, found = detector.table, 0
    begin = time.process_time()
    for key in table.all_keys():
        found += bool(table.find(key))
    looked = time.process_time() - begin
    spent = hits = 0.0
    for batch in batches():
        begin = time.process_time()
        hits += len(detector.detect(batch))
        spent += time.process_time() - begin
        del batch
    report = {
        "opened_s": opened,
        "lookup_us": looked / len(table) * 1e6,
        "all_found": found == len(table),
        "events_per_cpu_s": BATCH * BATCHES / spent,
        "us_per_event": spent / (BATCH * BATCHES) * 1e6,
        "hits": int(hits),
        "resident_added_mb": (resident() - before) / 1024,
    }
    print(json.dumps(report))


def wrong(table: Table, items: list[Indicator]) -> tuple[int, int]:
    """Return false hits and misses of look-ups against a plain dictionary of everything that was put in."""
    plain = {item.key for item in items}
    chance = random.Random(13)
    asked = [item.key for item in items[:: max(1, len(items) // 200_000)]]
    asked += [b"i" + address(chance).encode() for _ in range(200_000)]
    asked += [b"d" + name(chance).encode() for _ in range(200_000)]
    found = [bool(table.find(key)) for key in asked]
    false = sum(hit and key not in plain for key, hit in zip(asked, found, strict=True))
    missed = sum(not hit and key in plain for key, hit in zip(asked, found, strict=True))
    return false, missed


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        data = "\n".join(lines(count)).encode()
        begin = time.process_time()
        notes = Notes()
        items = list(read_list(data, "text", Defaults(NOW), notes))
        read = time.process_time() - begin
        begin = time.process_time()
        builder = Builder()
        builder.begin(Head("l1", "list"))
        for item in items:
            builder.add(item)
        entries = builder.write(path)
        built = time.process_time() - begin
        begin = time.process_time()
        joined = Builder()
        joined.add_table(Head("l1", "list"), Table(path), NOW)
        joined.begin(HEAD)
        for item in known():
            joined.add(item)
        joined.write(path.with_name("all"))
        join = time.process_time() - begin
        false, missed = wrong(Table(path), items)
        print(
            f"{count:,} lines: {entries:,} entries, {notes.bad} bad, {path.stat().st_size / 1e6:.1f} MB file"
        )
        print(f"read {read:.1f} s, built {built:.1f} s, joined {join:.1f} s (CPU)")
        command = [sys.executable, "-m", "benchmarks.indicators", "--match", str(path.with_name("all"))]
        result = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        for key, value in result.items():
            print(f"{key}: {value:,.2f}" if isinstance(value, float) else f"{key}: {value}")
        print(f"against a dictionary: {false} false hits, {missed} misses")
        good = not false and not missed and result["all_found"] and result["resident_added_mb"] <= 150
        return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--match"]:
        match(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("count", nargs="?", type=int, default=COUNT, metavar="COUNT")
        sys.exit(main(parser.parse_args().count))
