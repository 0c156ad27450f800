"""Turn requests into query trees: scope, time and cursor are part of each question."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import orjson

from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP
from soc_core.query.tree import And, OneOf, Or, Query, Range
from soc_core.store.interface import Scope, Search
from soc_core.store.shape import DATE_FORM


@dataclass(frozen=True, slots=True)
class Key:
    """Name a place in the order of events: time, then id."""

    timestamp: str
    event_id: str


def scope_query(scope: Scope) -> Query:
    """Return the condition that only events inside the scope are seen."""
    if scope.ids is None:
        return And(())
    return OneOf(ORGANIZATION_ID, tuple(sorted(scope.ids)), cased=True)


def whole_query(request: Search, after: Key | None) -> Query:
    """Return the question with its scope, its time and what comes after ``after`` in its order."""
    time = Range(TIMESTAMP, gte=format_instant(request.start), lt=format_instant(request.end))
    parts: list[Query] = [time, scope_query(request.scope), request.query]
    if after is not None:
        parts.extend(_after(after, ascending=request.ascending))
    return And(tuple(parts))


def _after(key: Key, *, ascending: bool) -> tuple[Query, Query]:
    """Return a plain bound, by which parts of files are skipped, and the exact condition."""
    same = Range(TIMESTAMP, gte=key.timestamp, lte=key.timestamp)
    if ascending:
        beyond = And((same, Range(EVENT_ID, gt=key.event_id)))
        return Range(TIMESTAMP, gte=key.timestamp), Or((Range(TIMESTAMP, gt=key.timestamp), beyond))
    beyond = And((same, Range(EVENT_ID, lt=key.event_id)))
    return Range(TIMESTAMP, lte=key.timestamp), Or((Range(TIMESTAMP, lt=key.timestamp), beyond))


def encode_cursor(key: Key, *, ascending: bool) -> str:
    """Return the opaque text of a cursor."""
    body = orjson.dumps([key.timestamp, key.event_id, ascending])
    return base64.urlsafe_b64encode(body).decode("ascii").rstrip("=")


def decode_cursor(text: str, *, ascending: bool) -> Key | None:
    """Return the place a cursor names, ``None`` for no cursor; raise ``UsageError`` when it is not ours."""
    if not text:
        return None
    try:
        body = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        body = None
    sound = (
        isinstance(body, list)
        and len(body) == 3
        and all(isinstance(part, str) for part in body[:2])
        and DATE_FORM.fullmatch(body[0])
    )
    if not sound or body[2] is not ascending:
        raise UsageError("this cursor does not belong to the question", todo="start from the first page")
    return Key(body[0], body[1])
