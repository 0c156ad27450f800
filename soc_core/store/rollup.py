"""Replace a day's detail by its roll-up: counts and sums per pair of addresses, domain and the like.

Roll-ups are ordinary events of the data sets ``rollup.flow``, ``rollup.dns`` and so on, dated at the beginning of the
day they are of. Of each unit, data set and day the greatest ``MOST_ROWS`` groups are named; one further row holds the
rest, so that the totals stay exact. Doing it again changes nothing: ids are made from what a row stands for, and what
was rolled up already is taken off.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from soc_core.clock import format_instant
from soc_core.errors import StoreError
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event, make_event_id
from soc_core.query.tree import And, Range, equal
from soc_core.store.interface import EventReader, EventStore, Group, Grouping, Scope, Search, SourceDay
from soc_core.store.retention import class_of

MOST_ROWS: Final = 1_000
"""Groups named a unit, data set and day."""
LEAST_ROWS: Final = 20
"""Groups named of even the smallest day."""
BATCH: Final = 5_000
"""Rows stored at a time; those of one source and day are never parted."""
PREFIX: Final = "rollup."
BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
END: Final = datetime(9999, 12, 31, tzinfo=UTC)
EVENTS: Final = "edusoc.rollup.events"
_BYTES: Final = ("source.bytes", "destination.bytes")

GROUPINGS: Final = {
    "flow": Grouping((ZONE, "source.ip", "destination.ip", "destination.port", "network.transport"), _BYTES),
    "dns": Grouping((ZONE, "source.ip", "dns.question.registered_domain", "dns.response_code")),
    "tls": Grouping((ZONE, "source.ip", "destination.ip", "destination.port", "tls.client.server_name")),
    "http": Grouping((ZONE, "source.ip", "destination.ip", "url.domain", "http.response.status_code")),
    "count": Grouping(()),
}
"""By which fields each roll-up groups, and what it sums; groups with more of that, else with more events, are named."""


@dataclass(slots=True)
class _Day:
    """Collect the groups of one source and day: the greatest, and the totals of all."""

    grouping: Grouping
    events: int
    sums: list[int]
    groups: int
    named: list[tuple[int, int, str, Group]]

    def add(self, group: Group, most: int) -> None:
        """Count a group, and keep it while it is among the greatest."""
        sums = [int(value) for value in group.sums]
        self.events += group.events
        self.groups += 1
        for at, value in enumerate(sums):
            self.sums[at] += value
        item = (sum(sums) if sums else group.events, group.events, _text(group.keys), group)
        if len(self.named) < most:
            heapq.heappush(self.named, item)
        else:
            heapq.heappushpop(self.named, item)


def roll_up(store: EventStore, sources: Sequence[SourceDay], there: Iterable[SourceDay] = ()) -> int:
    """Store the roll-ups of sources and days durably; return how many rows came that were not there.

    ``there`` is what the store has: of a source without roll-ups none need be looked for. Raises ``StoreError`` when
    the store refuses one.
    """
    known = {(row.organization_id, row.dataset, row.day) for row in there if row.dataset.startswith(PREFIX)}
    rows: list[Event] = []
    stored = 0
    for source in sources:
        begun = (source.organization_id, rollup_name(source.dataset), source.day) in known
        rows.extend(make_rows(store, source, most_rows(source), begun=begun))
        if len(rows) >= BATCH:
            stored += _store(store, rows)
            rows = []
    return stored + (_store(store, rows) if rows else 0)


def most_rows(source: SourceDay) -> int:
    """Return how many groups are named: at most a tenth of the events, or rolling up would be worth nothing."""
    return min(MOST_ROWS, max(LEAST_ROWS, source.events // 10))


def _store(store: EventStore, rows: Sequence[Event]) -> int:
    ack = store.append(rows)
    if ack.rejected:
        raise StoreError(f"a roll-up was refused: {ack.rejected[0].reason}", where=str(rows[0][DATASET]))
    return ack.accepted


def make_rows(
    reader: EventReader, source: SourceDay, most: int = MOST_ROWS, *, begun: bool = True
) -> list[Event]:
    """Return the rows a source and day still needs; without ``begun`` it surely has none yet.

    When the detail still holds everything the last round rolled up, only what came since is added, to the rest; when
    it was removed meanwhile and other events came for the day, they are a round of their own.
    """
    grouping = GROUPINGS[class_of(source.dataset).rollup or "count"]
    day = _collected(_groups(reader, source, grouping), grouping, most)
    known = [event for batch in reader.scan(_known(source)) for event in batch] if begun else []
    last = max((_whole(event, "edusoc.rollup.round") for event in known), default=0)
    known = [event for event in known if _whole(event, "edusoc.rollup.round") == last]
    make = _Maker(source, grouping)
    if known and _covers(day, known, grouping):
        return make.difference(day, known, last)
    return make.rows(day, last + 1)


def _collected(batches: Iterator[list[Group]], grouping: Grouping, most: int) -> _Day:
    day = _Day(grouping, 0, [0] * len(grouping.sums), 0, [])
    for batch in batches:
        for group in batch:
            day.add(group, most)
    return day


def _groups(reader: EventReader, source: SourceDay, grouping: Grouping) -> Iterator[list[Group]]:
    following = f"{source.day}~"  # above every id of the day
    query = And((equal(DATASET, source.dataset), Range(EVENT_ID, gte=source.day, lt=following)))
    return reader.groups(Search(Scope(frozenset({source.organization_id})), BEGINNING, END, query), grouping)


def _known(source: SourceDay) -> Search:
    start = _begin(source.day)
    query = And((equal(DATASET, rollup_name(source.dataset)), equal("edusoc.rollup.dataset", source.dataset)))
    scope = Scope(frozenset({source.organization_id}))
    return Search(scope, start, start + timedelta(microseconds=1), query)


def rollup_name(dataset: str) -> str:
    """Return the data set that holds the roll-ups of a data set."""
    return f"{PREFIX}{class_of(dataset).rollup or 'count'}"


def _begin(day: str) -> datetime:
    return datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=UTC)


def _whole(event: Event, name: str) -> int:
    value = event.get(name, 0)
    return value if isinstance(value, int) else 0


def _covers(day: _Day, known: Iterable[Event], grouping: Grouping) -> bool:
    """Tell whether the detail can still hold what the rows were made from: no less of anything."""
    rows = list(known)
    if sum(_whole(row, EVENTS) for row in rows) > day.events:
        return False
    now = {group.keys: group.events for _, _, _, group in day.named}
    least = min(weight for weight, _, _, _ in day.named) if day.groups > len(day.named) else -1
    for row in rows:
        if row.get("edusoc.rollup.rest"):
            continue
        keys = tuple(_scalar(row, name) for name in grouping.keys)
        weight = sum(_whole(row, name) for name in grouping.sums) if grouping.sums else _whole(row, EVENTS)
        if now.get(keys, 0) < _whole(row, EVENTS) and (keys in now or weight > least):
            return False
    return True


def _scalar(event: Event, name: str) -> str | int | float | bool | None:
    value = event.get(name)
    return None if isinstance(value, list) else value


def _text(keys: tuple[object, ...]) -> str:
    return orjson.dumps(keys).decode()


class _Maker:
    """Make the events of a roll-up."""

    def __init__(self, source: SourceDay, grouping: Grouping) -> None:
        """Take what they are of."""
        self._source, self._grouping = source, grouping
        begin = _begin(source.day)
        self._fixed: Event = {
            TIMESTAMP: format_instant(begin),
            "event.kind": "metric",
            "event.category": ["network"],
            "event.type": ["info"],
            DATASET: rollup_name(source.dataset),
            "event.start": format_instant(begin),
            "event.end": format_instant(begin + timedelta(days=1)),
            ORGANIZATION_ID: source.organization_id,
            "edusoc.rollup.dataset": source.dataset,
        }

    def rows(self, day: _Day, number: int) -> list[Event]:
        """Return a whole round: the named groups, and the rest if there is any."""
        named = sorted(day.named, key=lambda item: item[2])
        events = [self._event(group.keys, number, group.events, group.sums) for _, _, _, group in named]
        left = day.events - sum(group.events for _, _, _, group in named)
        if left:
            sums = [total - sum(int(item[3].sums[at]) for item in named) for at, total in enumerate(day.sums)]
            events.append(
                self._rest(number, 0, left, sums) | {"edusoc.rollup.groups": day.groups - len(named)}
            )
        return events

    def difference(self, day: _Day, known: list[Event], number: int) -> list[Event]:
        """Return one row for what came since the round was made, if anything did."""
        before = sum(_whole(row, EVENTS) for row in known)
        if day.events == before:
            return []
        sums = [
            total - sum(_whole(row, name) for row in known)
            for name, total in zip(self._grouping.sums, day.sums, strict=True)
        ]
        return [self._rest(number, before, day.events - before, sums)]

    def _rest(self, number: int, before: int, events: int, sums: Iterable[int]) -> Event:
        return self._event((), number, events, sums, before) | {"edusoc.rollup.rest": True}

    def _event(
        self, keys: tuple[object, ...], number: int, events: int, sums: Iterable[int | float], before: int = 0
    ) -> Event:
        names = zip(self._grouping.keys, keys, strict=False)
        values: Event = {name: value for name, value in names if value is not None}  # type: ignore[misc] # scalars
        values |= {name: int(value) for name, value in zip(self._grouping.sums, sums, strict=True)}
        what = _text((self._source.dataset, self._source.day, number, keys, before))
        identity = self._source.organization_id.encode()
        stamp = str(self._fixed[TIMESTAMP])
        name = make_event_id(stamp, identity, before, what.encode(), number)
        return self._fixed | values | {EVENT_ID: name, EVENTS: events, "edusoc.rollup.round": number}
