"""Say how an agent is: what each source brought, what waits, what was lost, how much room there is.

Counters add up since the agent started (``started``); who wants rates subtracts. An agent sends one every
``EVERY`` and may wait longer on a thin link; the centre takes silence for trouble after ``LATE``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import orjson

from soc_core.clock import format_instant, parse_instant
from soc_core.errors import InputError

EVERY: Final = timedelta(minutes=1)
LATE: Final = timedelta(minutes=10)
MAX_BYTES: Final = 262_144
MOST_SOURCES: Final = 500
MOST_COUNTERS: Final = 64
_LONGEST: Final = 200
_MOST: Final = 2**62


@dataclass(frozen=True, slots=True)
class SourceState:
    """Hold one configured input: counters as ``collectors.live.base.Counters`` names them, and its last record's time.

    ``last`` is when it last received anything (canonical, empty for never); ``fault`` says why it doesn't run.
    """

    name: str
    kind: str
    counters: Mapping[str, int] = field(default_factory=dict)
    last: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Hold an agent's state. ``waiting`` events of ``waiting_bytes`` lie in its log, the oldest from ``oldest``.

    ``shed`` counts events given up for want of room, by data set. ``started`` and ``oldest`` are canonical text.
    """

    started: str
    version: str = ""
    platform: str = ""
    waiting: int = 0
    waiting_bytes: int = 0
    oldest: str = ""
    disk_free: int = 0
    disk_total: int = 0
    memory: int = 0
    shed: Mapping[str, int] = field(default_factory=dict)
    sources: Sequence[SourceState] = ()

    def encode(self) -> bytes:
        """Return the request's body."""
        body = {name: getattr(self, name) for name in self.__slots__ if name not in {"sources", "shed"}}
        sources = [
            {
                "name": item.name,
                "kind": item.kind,
                "last": item.last,
                "fault": item.fault,
                "counters": dict(item.counters),
            }
            for item in self.sources
        ]
        return orjson.dumps({**body, "shed": dict(self.shed), "sources": sources})

    @classmethod
    def decode(cls, body: bytes) -> Heartbeat:
        """Return the heartbeat of a body; numbers out of bounds become 0. Raises ``InputError`` when it is none."""
        try:
            found = orjson.loads(body) if len(body) <= MAX_BYTES else None
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise InputError("a heartbeat can't be read")
        sources = found.get("sources")
        listed = sources if isinstance(sources, list) else []
        return cls(
            started=_time(found.get("started")),
            version=_text(found.get("version")),
            platform=_text(found.get("platform")),
            waiting=_number(found.get("waiting")),
            waiting_bytes=_number(found.get("waiting_bytes")),
            oldest=_time(found.get("oldest")),
            disk_free=_number(found.get("disk_free")),
            disk_total=_number(found.get("disk_total")),
            memory=_number(found.get("memory")),
            shed=_counters(found.get("shed")),
            sources=[_source(item) for item in listed[:MOST_SOURCES] if isinstance(item, dict)],
        )


def _source(found: Mapping[str, object]) -> SourceState:
    return SourceState(
        name=_text(found.get("name")),
        kind=_text(found.get("kind")),
        counters=_counters(found.get("counters")),
        last=_time(found.get("last")),
        fault=_text(found.get("fault")),
    )


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _number(value: object) -> int:
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if sound else 0  # type: ignore[return-value] # sound says it is an int


def _counters(value: object) -> Mapping[str, int]:
    if not isinstance(value, dict):
        return {}
    return {str(name)[:64]: _number(amount) for name, amount in list(value.items())[:MOST_COUNTERS]}


def _time(value: object) -> str:
    """Return a canonical time, empty for what is none."""
    try:
        return format_instant(parse_instant(value)) if isinstance(value, str) and value else ""
    except (ValueError, OverflowError):
        return ""
