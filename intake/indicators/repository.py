"""Read and change what is kept of lists. Each change is recorded in the journal, with who and why, as it is made."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from detectors.indicators.model import Kind, Tlp
from intake.indicators.model import STREAM, Allowed, Hunt, KeptList
from intake.indicators.tables import allowed, hits, hunts, lists
from soc_core.audit.chain import Plain
from soc_core.audit.journal import record
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.state.among import among
from soc_core.store.interface import Scope

LONGEST_REASON: Final = 500
MOST_ALLOWED: Final = 100_000
SEE_LIST: Final = "see: edusoc indicators list"
_NAME: Final = re.compile(r"[\w][\w .:@()（）-]{0,127}")


def list_lists(connection: Connection) -> list[KeptList]:
    """Return all lists by name."""
    rows = connection.execute(select(lists).order_by(lists.c.name))
    return [_kept(row._mapping) for row in rows]


def has_lists(connection: Connection) -> bool:
    """Tell whether there is any list."""
    return connection.execute(select(lists.c.id).limit(1)).first() is not None


def find_list(connection: Connection, name: str) -> KeptList | None:
    """Return the list of a name or id, ``None`` when there is none."""
    question = select(lists).where((lists.c.name == name) | (lists.c.id == name))
    row = connection.execute(question.limit(1)).first()
    return None if row is None else _kept(row._mapping)


def need_list(connection: Connection, name: str) -> KeptList:
    """Return the list of a name or id; raise ``UsageError`` when there is none."""
    found = find_list(connection, name)
    if found is None:
        raise UsageError(f"there is no list '{name[:128]}'", todo=SEE_LIST)
    return found


def put_list(connection: Connection, kept: KeptList, *, new: bool, now: datetime) -> None:
    """Store a new list or a new version of one, and record it."""
    values = {name: getattr(kept, name) for name in KeptList.__slots__}
    values |= {"tlp": kept.tlp.value, "columns": orjson.dumps(dict(kept.columns)).decode()}
    if new:
        connection.execute(insert(lists).values(values))
    else:
        for name in ("id", "hits", "last_hit_at", "created_at"):
            del values[name]
        connection.execute(update(lists).where(lists.c.id == kept.id).values(values))
    body: dict[str, Plain] = {
        "list": kept.name,
        "version": kept.version,
        "sha256": kept.sha256,
        "entries": kept.entries,
        "bad": kept.bad,
        "actor": kept.actor,
        "reason": kept.reason,
    }
    record(connection, STREAM, "list.imported", body, now=now)


def remove_list(connection: Connection, kept: KeptList, actor: str, reason: str, *, now: datetime) -> None:
    """Remove a list with its counts and searches, and record it; detections stay."""
    require_reason(reason)
    for table in (hits, hunts):
        connection.execute(delete(table).where(table.c.list_id == kept.id))
    connection.execute(delete(lists).where(lists.c.id == kept.id))
    body: dict[str, Plain] = {"list": kept.name, "entries": kept.entries, "actor": actor, "reason": reason}
    record(connection, STREAM, "list.removed", body, now=now)


def set_enabled(
    connection: Connection, kept: KeptList, enabled: bool, who: tuple[str, str], *, now: datetime
) -> None:
    """Let a list match or not; ``who`` is the actor and the reason."""
    actor, reason = who
    require_reason(reason)
    connection.execute(update(lists).where(lists.c.id == kept.id).values(enabled=enabled))
    body: dict[str, Plain] = {"list": kept.name, "enabled": enabled, "actor": actor, "reason": reason}
    record(connection, STREAM, "list.set", body, now=now)


def list_allowed(connection: Connection) -> list[Allowed]:
    """Return what the site allows, by kind and value."""
    question = select(allowed).order_by(allowed.c.kind, allowed.c.value)
    return [Allowed(**row._mapping) for row in connection.execute(question)]


def count_ended(connection: Connection, now: datetime) -> int:
    """Return of how many allowed values the time is over."""
    over = (allowed.c.until != "", allowed.c.until <= format_instant(now))
    return connection.scalar(select(func.count()).select_from(allowed).where(*over)) or 0


def allow(connection: Connection, item: Allowed, *, now: datetime) -> None:
    """Allow a value, in place of what was said of it before."""
    require_reason(item.reason)
    if (connection.scalar(select(func.count()).select_from(allowed)) or 0) >= MOST_ALLOWED:
        raise UsageError(
            f"a site allows at most {MOST_ALLOWED} values", todo="import them as a list: --allow"
        )
    _forget(connection, item.kind, item.value)
    connection.execute(insert(allowed).values(asdict(item)))
    body: dict[str, Plain] = {
        "kind": item.kind,
        "value": item.value,
        "until": item.until,
        "actor": item.actor,
        "reason": item.reason,
    }
    record(connection, STREAM, "value.allowed", body, now=now)


def take_back(connection: Connection, kind: Kind, value: str, who: tuple[str, str], *, now: datetime) -> bool:
    """Allow a value no longer; return whether it was allowed. ``who`` is the actor and the reason."""
    actor, reason = who
    require_reason(reason)
    if not _forget(connection, kind.value, value):
        return False
    body: dict[str, Plain] = {"kind": kind.value, "value": value, "actor": actor, "reason": reason}
    record(connection, STREAM, "value.taken_back", body, now=now)
    return True


def _forget(connection: Connection, kind: str, value: str) -> int:
    same = (allowed.c.kind == kind, allowed.c.value == value)
    return connection.execute(delete(allowed).where(*same)).rowcount


def add_hunt(connection: Connection, kept: KeptList, entries: int, *, now: datetime) -> Hunt:
    """Store that a list's new entries are to be searched in history up to now; one that is there is begun anew."""
    at = format_instant(now)
    hunt = Hunt(kept.id, kept.version, "waiting", entries, 0, 0, at, "", 0, 0, at, "", "", "")
    connection.execute(delete(hunts).where(hunts.c.list_id == kept.id, hunts.c.version == kept.version))
    connection.execute(insert(hunts).values(asdict(hunt)))
    return hunt


def list_hunts(connection: Connection, list_id: str = "") -> list[Hunt]:
    """Return searches, newest first, of one list or of all."""
    question = select(hunts).order_by(hunts.c.created_at.desc(), hunts.c.list_id)
    if list_id:
        question = question.where(hunts.c.list_id == list_id)
    return [Hunt(**row._mapping) for row in connection.execute(question.limit(1_000))]


def get_hunt(connection: Connection, list_id: str, version: int) -> Hunt | None:
    """Return one search."""
    question = select(hunts).where(hunts.c.list_id == list_id, hunts.c.version == version)
    row = connection.execute(question).first()
    return None if row is None else Hunt(**row._mapping)


def update_hunt(connection: Connection, hunt: Hunt, **values: str | int) -> None:
    """Keep how far a search is."""
    same = (hunts.c.list_id == hunt.list_id, hunts.c.version == hunt.version)
    connection.execute(update(hunts).where(*same).values(values))


def list_hits(
    connection: Connection, scope: Scope, list_id: str = "", *, limit: int = 100, red: bool = True
) -> list[RowMapping]:
    """Return which indicators were seen in the units of a scope, those seen last first.

    ``red`` says whether lists for named people only are told.
    """
    question = select(hits, lists.c.name, lists.c.tlp).join(lists, lists.c.id == hits.c.list_id)
    if scope.ids is not None:
        question = question.where(among(connection, hits.c.organization_id, scope.ids))
    if list_id:
        question = question.where(hits.c.list_id == list_id)
    if not red:
        question = question.where(lists.c.tlp != Tlp.RED.value)
    question = question.order_by(hits.c.last_at.desc(), hits.c.indicator).limit(limit)
    return [row._mapping for row in connection.execute(question)]


def require_reason(reason: str) -> None:
    """Raise ``UsageError`` unless a reason is given."""
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise UsageError(f"a change to indicators needs a reason of at most {LONGEST_REASON} characters")


def require_name(name: str) -> None:
    """Raise ``UsageError`` unless a list may be called so."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "this is no name for a list", where=repr(name[:80]), todo="use letters, digits and - . _"
        )


def _kept(row: RowMapping) -> KeptList:
    values = {name: row[name] for name in KeptList.__slots__}
    return KeptList(**{**values, "tlp": Tlp(row["tlp"]), "columns": orjson.loads(row["columns"])})
