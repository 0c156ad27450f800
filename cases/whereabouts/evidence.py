"""Read events as evidence of who had an address, and weigh it by how it holds at the asked time.

Weights are ours: a lease or a session that covers the time says nearly all, a card seen near it says less with each
hour, a log-in names a person at some device. They order candidates; they are no probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cases.whereabouts.model import Evidence, Kind
from soc_core.clock import parse_instant
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, values_of

LEASES: Final = ("dhcp.lease", "zeek.dhcp", "suricata.dhcp")
NEIGHBOURS: Final = "snmp.neighbours"
ACCOUNTING: Final = "radius.accounting"
_USUAL_LEASE: Final = timedelta(hours=24)
"""How long a lease is taken to hold whose end nobody said."""
_USUAL_SESSION: Final = timedelta(hours=12)
_HALF: Final = {
    Kind.NEIGHBOUR: timedelta(hours=2),
    Kind.LOGIN: timedelta(hours=1),
    Kind.NAME: timedelta(hours=12),
    Kind.CARD: timedelta(minutes=30),
}
"""After so long evidence of a moment says half as much."""
FULL: Final = {
    Kind.LEASE: 0.9,
    Kind.NEIGHBOUR: 0.85,
    Kind.ACCOUNTING: 0.95,
    Kind.LOGIN: 0.6,
    Kind.NAME: 0.7,
    Kind.CARD: 0.7,
    Kind.ASSET: 0.5,
}
"""What each kind says at best."""
_AFTER: Final = 0.6
"""What was seen only after the time says this much of what it would have said before it."""
_LEAST: Final = 0.02


def read_evidence(event: Event, address: str, at: datetime) -> Evidence | None:
    """Return what an event says about who had ``address``, ``None`` when that is nothing about ``at``."""
    dataset = str(event.get(DATASET, ""))
    read = _READERS.get(dataset, _read_other)
    found = read(event, address)
    if found is None:
        return None
    weight = _weight(found, at)
    if weight < _LEAST:
        return None
    return replace(found, event_id=str(event.get(EVENT_ID, "")), dataset=dataset, weight=weight)


def end_leases(found: Sequence[Evidence], at: datetime) -> list[Evidence]:
    """Return evidence with leases ended where they were given back or the address was leased to another card."""
    leases = [item for item in found if item.kind == Kind.LEASE]
    given_back = [item for item in leases if item.ended]
    settled: list[Evidence] = []
    for item in found:
        if item.kind == Kind.LEASE and item.until is not None and not item.ended:
            ends = [item.until]
            ends += [
                one.until for one in given_back if one.mac == item.mac and one.until and one.until > item.at
            ]
            ends += [one.at for one in leases if one.mac != item.mac and not one.ended and one.at > item.at]
            cut = replace(item, until=min(ends))
            settled.append(replace(cut, weight=_weight(cut, at)))
        else:
            settled.append(item)
    return settled


def _weight(found: Evidence, at: datetime) -> float:
    full = FULL[found.kind]
    if found.until is not None:
        if found.at <= at < found.until:
            return full
        beyond = found.at - at if at < found.at else at - found.until
        return full * _decayed(beyond, timedelta(hours=1)) * _AFTER
    distance = abs(at - found.at)
    decayed = full * _decayed(distance, _HALF.get(found.kind, timedelta(hours=1)))
    return decayed if found.at <= at else decayed * _AFTER


def _decayed(distance: timedelta, half: timedelta) -> float:
    return math.pow(0.5, distance / half)


def _read_lease(event: Event, address: str) -> Evidence | None:
    """Read a lease: it holds from the message to its end; a released one ended with the message."""
    if address != event.get("client.ip") and address not in values_of(event, "host.ip"):
        return None
    types = values_of(event, "event.type")
    if "denied" in types or "error" in types or not (event.get("client.mac") or event.get("client.domain")):
        return None
    at = _instant(event, TIMESTAMP)
    if at is None:
        return None
    if "end" in types:
        begun = _instant(event, "event.start") or at - _USUAL_LEASE
        return _told(event, Evidence(Kind.LEASE, begun, at, ended=True))
    until = _instant(event, "event.end") or at + (_length(event) or _USUAL_LEASE)
    return _told(event, Evidence(Kind.LEASE, _instant(event, "event.start") or at, until))


def _read_neighbour(event: Event, address: str) -> Evidence | None:
    at = _instant(event, TIMESTAMP)
    if at is None or event.get("client.ip") != address:
        return None
    place = " ".join(
        str(event[name]) for name in ("observer.name", "observer.ingress.interface.name") if name in event
    )
    return Evidence(Kind.NEIGHBOUR, at, mac=str(event.get("client.mac", "")), place=place)


def _read_accounting(event: Event, address: str) -> Evidence | None:
    """Read the accounting of a session (RFC 2866): a stop says how long it was, a start opens it."""
    at = _instant(event, TIMESTAMP)
    if at is None or address not in {event.get("client.ip"), event.get("source.ip")}:
        return None
    length = _length(event)
    place = " ".join(
        str(event[name]) for name in ("observer.name", "edusoc.radius.port_name") if name in event
    )
    if "end" in values_of(event, "event.type"):
        begun = at - (length or _USUAL_SESSION)
        return _told(event, Evidence(Kind.ACCOUNTING, begun, at, place=place))
    begun = at - length if length else at
    return _told(event, Evidence(Kind.ACCOUNTING, begun, at + _USUAL_SESSION, place=place))


def _read_other(event: Event, address: str) -> Evidence | None:
    """Read log-ins from the address, names that hosts give themselves, and cards seen with it."""
    at = _instant(event, TIMESTAMP)
    if at is None:
        return None
    if address in values_of(event, "host.ip") and event.get("host.name"):
        return _told(event, Evidence(Kind.NAME, at))
    if address not in {event.get("source.ip"), event.get("client.ip")}:
        return None
    logged_in = (
        "authentication" in values_of(event, "event.category") and event.get("event.outcome") == "success"
    )
    if logged_in and event.get("user.name"):
        # The event's host is the one that was logged in to.
        return replace(_told(event, Evidence(Kind.LOGIN, at)), host="")
    mac = event.get("source.mac")
    return Evidence(Kind.CARD, at, mac=str(mac)) if isinstance(mac, str) else None


_READERS: Final[Mapping[str, Callable[[Event, str], Evidence | None]]] = {
    **dict.fromkeys(LEASES, _read_lease),
    NEIGHBOURS: _read_neighbour,
    ACCOUNTING: _read_accounting,
}


def _told(event: Event, found: Evidence) -> Evidence:
    """Return evidence with the card, user and name of the client that the event tells of."""
    names = ("client.domain",) if event.get(DATASET) in LEASES else ("client.domain", "host.name")
    return replace(
        found,
        mac=_first(event, ("client.mac", "source.mac")),
        user=_first(event, ("user.name",)),
        host=_first(event, names),
    )


def _first(event: Event, names: Sequence[str]) -> str:
    return next((str(event[name]) for name in names if event.get(name)), "")


def _instant(event: Event, name: str) -> datetime | None:
    value = event.get(name)
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _length(event: Event) -> timedelta | None:
    value = event.get("event.duration")
    return timedelta(microseconds=value / 1_000) if isinstance(value, int) and 0 < value < 10**17 else None
