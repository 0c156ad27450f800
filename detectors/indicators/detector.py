"""Make detections of events that hold a listed value.

One detection an event and indicator: its id depends on the indicator, not on the lists that name it, so that a second
list, or a search in history, that finds the same says nothing twice. The alert's kind names the indicator: one device
that calls one listed name again and again is one alert.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from detectors.indicators import seen
from detectors.indicators.matching import Hit, Judge, Judgement
from detectors.indicators.model import Head, Indicator, Kind, Tlp, severity_of
from detectors.indicators.table import Table
from detectors.indicators.values import shown_name
from soc_core.clock import format_instant, parse_instant
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event, Scalar, values_of
from soc_core.model.organisation import AddressPlan

RULE_KIND: Final = "indicator"
MOST_LISTS: Final = 4
"""Lists a detection names; the others are counted."""
_LEVELS: Final = tuple(sorted(Severity, key=lambda level: level.rank))
_DAYS_OLD: Final = 3
"""Days after which what is found in history is said to be old: nobody needs to be woken for it."""
_TECHNIQUES: Final = {
    Kind.IP: ("T1071",),
    Kind.NETWORK: ("T1071",),
    Kind.DOMAIN: ("T1071",),
    Kind.HOSTNAME: ("T1071",),
    Kind.URL: ("T1071.001",),
    Kind.HASH: ("T1204",),
    Kind.JA3: ("T1573",),
    Kind.JA4: ("T1573",),
    Kind.CERTIFICATE: ("T1573",),
    Kind.SERIAL: ("T1573",),
}


class IndicatorDetector:
    """Be the event detector of one table of indicators. ``plan`` tells which addresses are the units' own."""

    id = "indicators"

    def __init__(self, table: Table, plan: AddressPlan | None = None, *, hunting: str = "") -> None:
        """Take the table. ``hunting`` is the canonical time of a search in history, empty in the stream."""
        self.table = table
        self._judge = Judgement(table)
        self._inside = (plan or AddressPlan()).is_inside
        self._hunting = hunting
        self._accuses_nobody = not any(not head.allow for head in table.heads)
        self._groups: tuple[tuple[tuple[str, ...], Judge], ...] = (
            (seen.ADDRESSES, self._judge.address),
            (seen.NAMES, self._judge.name),
            (seen.HASHES, self._judge.hash),
            (seen.JA3S, self._judge.ja3),
            (seen.JA4S, self._judge.ja4),
            (seen.CERTIFICATES, self._judge.certificate),
            (seen.SERIALS, self._judge.serial),
        )

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        """Return the detections of a batch in event order; each distinct value of the batch is judged once."""
        if self._accuses_nobody:
            return []
        found: dict[int, dict[Hit, str]] = {}
        for fields, judge in self._groups:
            for field in fields:
                for number, hit in _column(events, field, judge):
                    found.setdefault(number, {}).setdefault(hit, field)
        for number, hit in self._web(events):
            found.setdefault(number, {}).setdefault(hit, seen.URL)
        return [
            detection
            for number in sorted(found)
            for hit, field in found[number].items()
            if (detection := self._detection(events[number], hit, field)) is not None
        ]

    def _web(self, events: Sequence[Event]) -> Iterator[tuple[int, Hit]]:
        if not len(self.table.section("hosts")):
            return
        for number, event in enumerate(events):
            if "url.domain" in event or "url.full" in event or "url.original" in event:
                hit = self._judge.url(seen.web_address(event))
                if hit is not None:
                    yield number, hit

    def _detection(self, event: Event, hit: Hit, field: str) -> Detection | None:
        """Return the detection, ``None`` where every entry had expired when the event happened."""
        instant = str(event.get(TIMESTAMP, ""))
        numbers = self._valid(hit, instant)
        if not numbers:
            return None
        entries = [(self.table.head(number), self.table.entry(number)) for number in numbers]
        entity, inbound = self._concerned(event, field)
        unit, event_id = str(event.get(ORGANIZATION_ID, "")), str(event.get(EVENT_ID, ""))
        name = f"indicator.{hit.kind.value}.{_short(hit.kind, hit.value)}"
        return Detection(
            id=make_detection_id(name, unit, entity, event_id),
            rule_id=name,
            rule_kind=RULE_KIND,
            kind=name,
            organization_id=unit,
            entity=entity,
            severity=_severity(entries, inbound),
            first_seen=instant,
            last_seen=instant,
            reasons=self._reasons(hit, entries, inbound, instant),
            evidence=(event_id,),
            confidence=max(entry.confidence for _, entry in entries) / 100,
            peer=shown_name(hit.value),
            techniques=_TECHNIQUES[hit.kind],
        )

    def _valid(self, hit: Hit, instant: str) -> list[int]:
        expires = self.table.expires
        if not any(expires[number] for number in hit.entries):
            return list(hit.entries)
        try:
            at = parse_instant(instant).timestamp()
        except ValueError:
            return []
        return [number for number in hit.entries if not expires[number] or at < expires[number]]

    def _concerned(self, event: Event, field: str) -> tuple[Entity, bool]:
        """Return the device of ours that is concerned, and whether the listed side came to us."""
        zone = str(event.get(ZONE, "default"))
        source, destination = (str(event.get(name, "")) for name in ("source.ip", "destination.ip"))
        inbound = field in seen.CALLERS or bool(
            source and destination and not self._inside(source) and self._inside(destination)
        )
        for value in (destination, source) if inbound else (source, destination):
            if value:
                return Entity("ip", value, zone), inbound
        for name in ("host.ip", "host.name", "user.name", "observer.name"):
            values = values_of(event, name)
            if values:
                kind = {"host.ip": "ip", "user.name": "user"}.get(name, "host")
                return Entity(kind, str(values[0]), zone), inbound
        return Entity("host", "?", zone), inbound

    def _reasons(
        self, hit: Hit, entries: Sequence[tuple[Head, Indicator]], inbound: bool, instant: str
    ) -> tuple[Reason, ...]:
        way = "came" if inbound else "seen"
        kind = hit.kind.value
        reasons = [Reason(f"detectors.indicators.{way}_{kind}", {"value": shown_name(hit.value)[:200]})]
        for head, entry in entries[:MOST_LISTS]:
            reasons += _reasons_of(head, entry)
        if len(entries) > MOST_LISTS:
            reasons.append(Reason("detectors.indicators.more", {"count": len(entries) - MOST_LISTS}))
        if self._hunting and instant:
            days = (parse_instant(self._hunting) - parse_instant(instant)).days
            if days >= _DAYS_OLD:
                reasons.append(Reason("detectors.indicators.old", {"days": days}))
        return tuple(reasons)


def _column(events: Sequence[Event], field: str, judge: Judge) -> Iterator[tuple[int, Hit]]:
    """Yield the hits of one field: its distinct values are judged, and only where some hit are events looked at."""
    holding = [event for event in events if field in event]
    if not holding:
        return
    if field in seen.MULTIPLE:
        values = {item for event in holding for item in values_of(event, field)}
    else:
        try:
            values = {event[field] for event in holding}  # type: ignore[misc] # a list raises
        except TypeError:
            values = {item for event in holding for item in values_of(event, field)}
    hits = {value: hit for value in values if isinstance(value, str) and (hit := judge(value)) is not None}
    if not hits:
        return
    for number, event in enumerate(events):
        for value in values_of(event, field):
            hit = hits.get(value) if isinstance(value, str) else None
            if hit is not None:
                yield number, hit


def _severity(entries: Sequence[tuple[Head, Indicator]], inbound: bool) -> Severity:
    """Return the highest of the lists' severities; who comes to us from outside is one level less serious.

    The Internet is full of scanners that never get in; a device of ours that calls a listed address is another matter.
    """
    rank = max(severity_of(head, entry.confidence).rank for head, entry in entries)
    return _LEVELS[max(1, rank - 1) if inbound and rank > 1 else rank]


def _reasons_of(head: Head, entry: Indicator) -> Iterator[Reason]:
    """Yield what a list says; of one that is for named people only (TLP:RED) just that there is one."""
    if entry.tlp is Tlp.RED:
        yield Reason("detectors.indicators.listed_red", {"id": head.id, "confidence": entry.confidence})
        return
    values: dict[str, Scalar] = {
        "id": head.id,
        "list": head.name,
        "source": head.source or head.name,
        "confidence": entry.confidence,
        "tlp": f"TLP:{entry.tlp.value.upper()}",
    }
    if entry.since:
        since = datetime.fromtimestamp(entry.since, UTC)
        yield Reason("detectors.indicators.listed_since", {**values, "since": format_instant(since)[:10]})
    else:
        yield Reason("detectors.indicators.listed", values)
    if entry.reason:
        yield Reason("detectors.indicators.says", {"text": entry.reason})


def _short(kind: Kind, value: str) -> str:
    """Return 16 letters that stand for an indicator: columns for kinds hold 64 characters."""
    digest = hashlib.blake2b(kind.letter + value.encode(), digest_size=10).digest()
    return base64.b32hexencode(digest).decode("ascii").lower()
