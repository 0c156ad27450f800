"""Move all events from one store to another: in append order, resumable wherever it was killed, compared at the end.

The source is only read. The target takes each id once, so what is sent again after a crash changes nothing. How far
the copy is, is kept in a file beside (``Progress``), written before and after each chunk.

Detection goes on where it was: the log offset up to which the source's events were examined is translated to one of
the target. In doubt (after a crash in the middle of a chunk) an earlier one is taken: an event examined twice gives the
same detections, an event never examined would give none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from soc_core.backup.meter import Meter
from soc_core.errors import StoreError, UsageError
from soc_core.model.event import EVENT_ID, BadRecord, Event, partition_of
from soc_core.query.tree import Text
from soc_core.store.interface import SYSTEM_SCOPE, EventStore, Finding, Search
from soc_core.system import sync_directory

CHUNK: Final = 5_000
MOST_REJECTED: Final = 1_000
"""Rejected events kept with their reason; all are counted."""
MOST_DAYS: Final = 3
MOST_NAMED: Final = 10
"""Days that are compared event by event when they differ, and events named of each."""
_BITS: Final = 2**128
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Progress:
    """Say how far a migration is: between which stores, up to which offset of the source, and what it did.

    ``begun`` is the end of the chunk that may be half stored, ``end`` the target's end after the last whole one.
    ``cursor`` is the target's offset that stands for the source's detection cursor.
    """

    source: str
    target: str
    offset: int = 0
    begun: int = 0
    end: int = 0
    cursor: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class Checkpoint:
    """Keep the progress in a file that is replaced as a whole."""

    def __init__(self, path: Path, source: str, target: str) -> None:
        """Take the file and the names of both stores; raise ``UsageError`` when it is of another migration."""
        self._path = path
        self.progress = self._read() or Progress(source, target)
        if (self.progress.source, self.progress.target) != (source, target):
            raise UsageError(
                f"a migration from {self.progress.source} to {self.progress.target} is not finished",
                where=str(path),
                todo="finish that one, or remove this file to begin anew",
            )

    @property
    def exists(self) -> bool:
        """Tell whether the migration was begun before."""
        return self._path.exists()

    def _read(self) -> Progress | None:
        try:
            body = orjson.loads(self._path.read_bytes())
            return Progress(**{field.name: body[field.name] for field in fields(Progress)})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(
                "the record of the migration can't be read",
                where=str(self._path),
                todo="remove it to begin anew: what was copied is known by its ids",
            ) from error

    def save(self, progress: Progress) -> None:
        """Keep the progress on the disk."""
        self.progress = progress
        fresh = self._path.with_suffix(".new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(orjson.dumps(asdict(progress)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_directory(self._path.parent)

    def remove(self) -> None:
        """Forget the migration."""
        self._path.unlink(missing_ok=True)


def copy(
    source: EventStore, target: EventStore, checkpoint: Checkpoint, *, cursor: int, meter: Meter
) -> list[BadRecord]:
    """Copy what is not copied yet; return events that the target does not take (the first 1,000).

    ``cursor`` is the source's offset up to which detectors examined its events. Raises ``UsageError`` when the target
    holds events that this migration did not bring.
    """
    if not checkpoint.exists and target.end_offset():
        raise UsageError(
            "the store to migrate to holds events already",
            where=checkpoint.progress.target,
            todo="choose an empty one: another state directory or elasticsearch_prefix",
        )
    progress = checkpoint.progress
    torn = progress.begun
    # Events that others stored in the target meanwhile were not examined: the cursor must not pass them.
    alone = torn > progress.offset or target.end_offset() == progress.end
    rejected: list[BadRecord] = []
    meter.begin("copy", max(0, source.end_offset() - progress.offset))
    while True:
        events, following = _next_chunk(source, progress.offset, cursor)
        if following == progress.offset:
            return rejected
        progress = replace(progress, begun=max(following, progress.begun))
        checkpoint.save(progress)
        ack = target.append(events)
        rejected.extend(ack.rejected[: MOST_REJECTED - len(rejected)])
        sure = alone and following <= cursor and progress.offset >= torn
        end = target.end_offset()
        progress = replace(
            progress,
            offset=following,
            end=end,
            cursor=end if sure else progress.cursor,
            accepted=progress.accepted + ack.accepted,
            duplicates=progress.duplicates + ack.duplicates,
            rejected=progress.rejected + len(ack.rejected),
        )
        checkpoint.save(progress)
        meter.advance(len(events))


def _next_chunk(source: EventStore, offset: int, cursor: int) -> tuple[list[Event], int]:
    """Return the next events and the offset after them: a chunk ends where the cursor stands if it can."""
    events, following = source.read_from(offset, CHUNK)
    if not offset < cursor < following:
        return events, following
    low, high = 0, len(events)  # the first ``low`` events end before the cursor, the first ``high`` do not
    best: tuple[list[Event], int] = (events, following)
    while high - low > 1:
        middle = (low + high) // 2
        found = source.read_from(offset, middle)
        if found[1] <= cursor:
            low, best = middle, found
        else:
            high = middle
    return best


def compare(source: EventStore, target: EventStore, meter: Meter) -> list[Finding]:
    """Compare two stores: events of each unit, data set and day, and a digest of each day; return what differs."""
    findings = list(_compare_counts(source, target))
    total = sum(row.events for row in source.days(SYSTEM_SCOPE))
    meter.begin("compare", 2 * total)
    here, there = _digests(source, meter), _digests(target, meter)
    days = sorted(day for day in here.keys() | there.keys() if here.get(day) != there.get(day))
    for day in days[:MOST_DAYS]:
        findings.extend(_compare_day(source, target, day))
    findings.extend(Finding("the events of this day differ", day) for day in days[MOST_DAYS:])
    return findings


def _compare_counts(source: EventStore, target: EventStore) -> Iterator[Finding]:
    here, there = _counts(source), _counts(target)
    for key in sorted(here.keys() | there.keys()):
        if here.get(key, 0) != there.get(key, 0):
            yield Finding(
                f"{here.get(key, 0)} events in the source, {there.get(key, 0)} in the target", " ".join(key)
            )


def _counts(store: EventStore) -> dict[tuple[str, str, str], int]:
    return {(row.organization_id, row.dataset, row.day): row.events for row in store.days(SYSTEM_SCOPE)}


def digest_of(event: Event) -> int:
    """Return 128 bits that stand for an event: equal for equal events, whatever the order of their fields."""
    body = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.blake2b(body, digest_size=16).digest(), "big")


def _digests(store: EventStore, meter: Meter) -> Mapping[str, tuple[int, int]]:
    """Return for each day how many events there are and the sum of their digests: it does not know their order."""
    found: dict[str, tuple[int, int]] = {}
    offset = 0
    while True:
        events, following = store.read_from(offset, CHUNK)
        if following == offset:
            return found
        for event in events:
            day = partition_of(str(event[EVENT_ID]))
            count, total = found.get(day, (0, 0))
            found[day] = (count + 1, (total + digest_of(event)) % _BITS)
        offset = following
        meter.advance(len(events))


def _compare_day(source: EventStore, target: EventStore, day: str) -> Iterator[Finding]:
    """Name the events of one day that differ; at most ten."""
    here, there = _digests_by_id(source, day), _digests_by_id(target, day)
    named = 0
    for name in sorted(here.keys() | there.keys()):
        what = ""
        if name not in there:
            what = "the event is missing in the target"
        elif name not in here:
            what = "the event is missing in the source"
        elif here[name] != there[name]:
            what = "the event is another in the target"
        if what:
            named += 1
            if named > MOST_NAMED:
                yield Finding("more events of this day differ", day)
                return
            yield Finding(what, name)


def _digests_by_id(store: EventStore, day: str) -> dict[str, int]:
    query = Text(EVENT_ID, "startswith", f"{day}-")
    request = Search(scope=SYSTEM_SCOPE, start=_FIRST, end=_LAST, query=query)
    return {str(event[EVENT_ID]): digest_of(event) for batch in store.scan(request) for event in batch}
