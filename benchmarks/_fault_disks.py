"""Fill small disks and forbid writing: what was acknowledged stays, and with room again all goes on."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks._fault_report import Report, Row, numbers_in, open_timed
from benchmarks._fault_work import A_DAY, DATASETS, LIMITS, day_of, events_between, running_clock
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore, Limits

SIZES_MB: Final = (24, 32, 48, 64)
BALLAST: Final = 0.5
"""The share of the disk that something else holds and gives back later."""
ROUNDS_AT_MOST: Final = 4_000
Fill = Callable[[EmbeddedStore, random.Random, int], int]


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs of some megabytes."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def _append(store: EmbeddedStore, chance: random.Random, number: int) -> int:
    """Append a batch of long events; return the number after it."""
    high = number + chance.randrange(100, 1_200)
    events = events_between(number, high)
    for event in events:
        event["event.original"] = chance.randbytes(150).hex()  # nothing to compress
    store.append(events)
    return high


def fill_by_ingest(store: EmbeddedStore, chance: random.Random, number: int) -> int:
    """Append; the store seals when it is time."""
    return _append(store, chance, number)


def fill_by_seal(store: EmbeddedStore, chance: random.Random, number: int) -> int:
    """Append and seal each time: segments are merged and removed."""
    number = _append(store, chance, number)
    store.seal()
    return number


FILLS: Final[tuple[Fill, ...]] = (fill_by_ingest, fill_by_seal)


def fill_disks(directory: Path, seed: int, report: Report) -> None:
    """Fill disks of several sizes in several ways, without any reserve and with one that fits the disk."""
    chance = random.Random(seed)
    for fill in FILLS:
        for reserve in (0, 4 * 2**20):
            row = report.row(f"full disk, {fill.__name__.replace('_', ' ')}, reserve {reserve // 2**20} MB")
            for size in SIZES_MB:
                with small_disk(directory / f"{fill.__name__}-{reserve}-{size}", size) as disk:
                    _fill_one(disk, size, fill, Limits(LIMITS.seal_events, reserve), chance, row)
    row = report.row("full disk, retention")
    for size in SIZES_MB:
        with small_disk(directory / f"retention-{size}", size) as disk:
            _retain_on_full(disk, size, chance, row)


def _fill_one(disk: Path, size: int, fill: Fill, limits: Limits, chance: random.Random, row: Row) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(int(size * 2**20 * BALLAST)))
    acknowledged = _until_refused(disk / "events", fill, limits, chance, row)
    row.times += 1
    _compare(disk / "events", acknowledged, row)  # on the disk that is full
    ballast.unlink()
    store = open_timed(disk / "events", row)
    try:
        for _ in range(3):
            acknowledged = fill(store, chance, acknowledged)
        store.seal()
        if store.sealing_fault:
            row.wrong.append(f"sealing still fails with room: {store.sealing_fault}")
    except StoreError as error:
        row.wrong.append(f"with room again: {error}")
    finally:
        store.close()
    row.acknowledged += acknowledged
    _compare(disk / "events", acknowledged, row)


def _until_refused(directory: Path, fill: Fill, limits: Limits, chance: random.Random, row: Row) -> int:
    """Fill until the store refuses ten times; return the number acknowledged."""
    store = EmbeddedStore(directory, writer=True, clock=running_clock(), limits=limits)
    number = refused = 0
    try:
        for _ in range(ROUNDS_AT_MOST):
            before = store.end_offset()
            try:
                number = fill(store, chance, number)
            except StoreError:
                refused += 1
            number += max(0, store.end_offset() - max(before, number))  # appended, then sealing was refused
            if refused >= 10:
                return number
        row.wrong.append("the disk never became full")
        return number
    finally:
        store.close()


def _compare(directory: Path, acknowledged: int, row: Row) -> None:
    """Read the store as another process would and compare it with what was acknowledged."""
    try:
        store = EmbeddedStore(directory, writer=False)
    except (StoreError, OSError) as error:
        row.wrong.append(f"can't be opened for reading: {str(error)[:200]}")
        return
    try:
        row.compare(numbers_in(store), set(range(acknowledged)), set())
        row.wrong += [f"{finding.where}: {finding.what}" for finding in store.verify()]
    except (StoreError, OSError) as error:
        row.wrong.append(f"can't be read: {str(error)[:200]}")
    finally:
        store.close()


def _retain_on_full(disk: Path, size: int, chance: random.Random, row: Row) -> None:
    """Fill a disk with its reserve kept, and let retention make room on it."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(int(size * 2**20 * 0.2)))
    limits = Limits(LIMITS.seal_events, 6 * 2**20)
    acknowledged = _until_refused(disk / "events", fill_by_ingest, limits, chance, row)
    store = EmbeddedStore(disk / "events", writer=True, clock=running_clock(), limits=limits)
    cut = day_of(acknowledged // 2)
    first = acknowledged // 2 // A_DAY * A_DAY
    try:
        store.remove(dict.fromkeys(DATASETS, cut))
        store.seal()
        after = fill_by_ingest(store, chance, acknowledged)
        row.compare(numbers_in(store), set(range(first, after)), set())
        row.acknowledged += after
    except StoreError as error:
        row.wrong.append(f"{size} MB: retention made no room: {error}")
    finally:
        store.close()
    row.times += 1
    with suppress(FileNotFoundError):
        ballast.unlink()


def forbid_writing(directory: Path, report: Report) -> None:
    """Make a file system read-only: what is there can be read, writing is refused in words, and works again later."""
    row = report.row("read-only file system")
    with small_disk(directory / "readonly", 48) as disk:
        store = EmbeddedStore(disk / "events", writer=True, limits=LIMITS)
        store.append(events_between(0, 3_000))
        store.seal()
        store.append(events_between(3_000, 3_500))
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        row.times, row.acknowledged = 1, 3_500
        _compare(disk / "events", 3_500, row)
        _expect_words(disk / "events", row)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        store = open_timed(disk / "events", row)
        store.append(events_between(3_500, 3_600))
        store.close()
        _compare(disk / "events", 3_600, row)


def _expect_words(directory: Path, row: Row) -> None:
    """See that a writer is refused by an error of ours or the system's, and that health says so."""
    try:
        EmbeddedStore(directory, writer=True, limits=LIMITS).close()
        row.wrong.append("a writer opened on a read-only file system")
    except (StoreError, OSError):
        pass
    try:
        reader = EmbeddedStore(directory, writer=False)
    except (StoreError, OSError) as error:
        row.wrong.append(f"a reader can't open on a read-only file system: {error}")
        return
    if reader.health().state not in {"read_only", "degraded"}:
        row.wrong.append(f"health says '{reader.health().state}' on a read-only file system")
    reader.close()
