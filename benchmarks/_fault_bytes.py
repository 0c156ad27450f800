"""Spoil single bytes of every kind of file: it is named, the rest can be read, and a repair makes the store sound."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks._fault_report import Report, Row, numbers_in, open_timed
from benchmarks._fault_work import LIMITS, events_between
from soc_core.clock import utc_now
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.embedded.repair import repair

EVENTS: Final = 4_000
PLACES: Final = 6
STAYS: Final = ("the log is damaged", "the chain is broken", "the segment is not in the chain")
"""What a repair leaves as it is: the log is kept until it is sealed, and a chain must never be mended."""


def spoil_bytes(directory: Path, seed: int, report: Report) -> None:
    """Change one byte of one file at a time: at its beginning, its end and in between."""
    chance, whole = random.Random(seed), directory / "bytes" / "whole"
    store = EmbeddedStore(whole, writer=True, limits=LIMITS)
    for start in range(0, EVENTS, 200):
        store.append(events_between(start, start + 200))
        if start == EVENTS // 2:
            store.seal()
    store.close()
    kinds = {
        "log record": max((whole / "log").glob("*.log")),
        "log's mark": whole / "log" / "committed",
        "segment": min((whole / "segments").glob("*.parquet")),
        "catalogue": whole / "catalogue.sqlite",
    }
    beside = [path for path in (whole / "segments").iterdir() if path.suffix != ".parquet"]
    for path in beside[:1]:
        kinds["sidecar of a segment"] = path
    for kind, path in kinds.items():
        row = report.row(f"one byte of a {kind}")
        for place in _places(path.stat().st_size, chance):
            copy = directory / "bytes" / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            _spoil(copy / path.relative_to(whole), place, chance)
            _look(copy, f"{kind}@{place}", row)


def _places(size: int, chance: random.Random) -> Iterator[int]:
    yield 0
    yield size - 1
    for _ in range(PLACES):
        yield chance.randrange(size)


def _spoil(path: Path, place: int, chance: random.Random) -> None:
    body = bytearray(path.read_bytes())
    body[place] ^= 1 << chance.randrange(8)
    path.write_bytes(body)


def _look(directory: Path, what: str, row: Row) -> None:
    """Read what can be read, see that the fault is named, repair, and see that the store is sound."""
    row.times += 1
    row.acknowledged += EVENTS
    named = _named(directory)
    store = _opened(directory, row, what)
    if store is None:
        return
    found: list[int] = []
    try:
        found = numbers_in(store)
        row.compare(found, set(), set(range(EVENTS)))
        if len(found) < EVENTS and not named:
            row.wrong.append(f"{what}: {EVENTS - len(found)} events are missing and nothing says so")
        ack = store.append(events_between(EVENTS, EVENTS + 10))
        if ack.accepted != 10:
            row.wrong.append(f"{what}: takes no events")
    except (StoreError, OSError) as error:
        row.wrong.append(f"{what}: the rest can't be read: {str(error)[:200]}")
    finally:
        store.close()
    _mend(directory, len(found), what, row)


def _mend(directory: Path, readable: int, what: str, row: Row) -> None:
    """Repair, and see that the store is sound and that no event is gone which the repair does not name."""
    try:
        said = sum(max(0, fault.events) for fault in repair(directory, utc_now, apply=True))
        store = open_timed(directory, row)
    except (StoreError, OSError) as error:
        row.wrong.append(f"{what}: the repair fails: {str(error)[:200]}")
        return
    try:
        found = numbers_in(store)
        row.compare(found, set(), set(range(EVENTS + 10)))
        if len(found) < readable - said:
            row.wrong.append(f"{what}: {readable - len(found)} events are gone, the repair says {said}")
        left = [finding for finding in store.verify() if not finding.what.startswith(STAYS)]
        row.wrong += [f"{what}: after the repair {finding.where}: {finding.what}" for finding in left]
    finally:
        store.close()


def _named(directory: Path) -> bool:
    """Tell whether opening or checking the store as a reader names a fault."""
    try:
        store = EmbeddedStore(directory, writer=False)
    except (StoreError, OSError):
        return True
    try:
        return bool(store.verify())
    except (StoreError, OSError):
        return True
    finally:
        store.close()


def _opened(directory: Path, row: Row, what: str) -> EmbeddedStore | None:
    """Open for writing; repair first where that is refused."""
    try:
        return open_timed(directory, row)
    except (StoreError, OSError):
        pass
    try:
        repair(directory, utc_now, apply=True)
        return open_timed(directory, row)
    except (StoreError, OSError) as error:
        row.wrong.append(f"{what}: can't be opened after a repair: {str(error)[:200]}")
        return None
