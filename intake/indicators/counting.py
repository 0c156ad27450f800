"""Count which lists and indicators were hit, in the transaction that stores the detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, case, func, insert, select, update

from detectors.indicators.detector import RULE_KIND
from intake.indicators.tables import hits, lists
from intake.rules.model import DetectionSink, Ruling
from intake.rules.policy import Policy
from soc_core.model.detection import Detection
from soc_core.model.event import Event

MOST_COUNTED: Final = 5_000
"""Indicators (in a unit) that are counted by themselves, for each list; the list counts all."""


class CountingPolicy:
    """Do what another policy does, and count the hits among what became alerts."""

    def __init__(self, inner: Policy) -> None:
        """Take the policy that decides."""
        self.inner = inner

    def decide(self, found: Sequence[Detection], events: Sequence[Event] = ()) -> list[Ruling]:
        """Decide as the other does."""
        return self.inner.decide(found, events)

    def take(
        self, connection: Connection, rulings: Sequence[Ruling], sink: DetectionSink, *, once: bool
    ) -> Sequence[Detection]:
        """Pass on as the other does; count what was stored for the first time."""
        stored = self.inner.take(connection, rulings, sink, once=once)
        count(connection, [detection for detection in stored if detection.rule_kind == RULE_KIND])
        return stored


@dataclass(slots=True)
class _Count:
    value: str
    hits: int
    first_at: str
    last_at: str

    def add(self, instant: str) -> None:
        self.hits += 1
        self.first_at, self.last_at = min(self.first_at, instant), max(self.last_at, instant)


def count(connection: Connection, found: Sequence[Detection]) -> None:
    """Add detections to the counts of the lists they name and of their indicators."""
    whole: dict[str, _Count] = {}
    single: dict[tuple[str, str, str], _Count] = {}
    for detection in found:
        at = detection.first_seen
        named = {str(reason.values["id"]) for reason in detection.reasons if "id" in reason.values}
        for list_id in named:
            whole.setdefault(list_id, _Count("", 0, at, at)).add(at)
            key = list_id, detection.rule_id, detection.organization_id
            single.setdefault(key, _Count(detection.peer[:255], 0, at, at)).add(at)
    known = set(connection.scalars(select(lists.c.id).where(lists.c.id.in_(sorted(whole)))))
    for list_id in sorted(known):
        sums = whole[list_id]
        change = update(lists).where(lists.c.id == list_id)
        later = lists.c.last_hit_at < sums.last_at
        last = case((later, sums.last_at), else_=lists.c.last_hit_at)
        connection.execute(change.values(hits=lists.c.hits + sums.hits, last_hit_at=last))
    for key in sorted(single):
        if key[0] in known:
            _add(connection, key, single[key])


def _add(connection: Connection, key: tuple[str, str, str], sums: _Count) -> None:
    same = (hits.c.list_id == key[0], hits.c.indicator == key[1], hits.c.organization_id == key[2])
    row = connection.execute(select(hits).where(*same)).first()
    if row is not None:
        values = {
            "hits": row.hits + sums.hits,
            "first_at": min(row.first_at, sums.first_at),
            "last_at": max(row.last_at, sums.last_at),
        }
        connection.execute(update(hits).where(*same).values(values))
        return
    held = connection.scalar(select(func.count()).select_from(hits).where(hits.c.list_id == key[0])) or 0
    if held < MOST_COUNTED:
        connection.execute(
            insert(hits).values(
                list_id=key[0],
                indicator=key[1],
                organization_id=key[2],
                value=sums.value,
                hits=sums.hits,
                first_at=sums.first_at,
                last_at=sums.last_at,
            )
        )
