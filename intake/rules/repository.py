"""Read and change what is set for rules. Each change is recorded in the journal, with who and why, as it is made."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update

from intake.rules.model import ALL_RULES, STREAM, RuleState, Setting, Suppression
from intake.rules.standings import test_of
from intake.rules.tables import settings, suppressions
from soc_core.audit.chain import Plain
from soc_core.audit.journal import record
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import ConflictError, NotAllowedError, UsageError
from soc_core.model.detection import Severity
from soc_core.state.among import among
from soc_core.store.interface import Scope

MOST_BUDGET: Final = 1_000_000
MOST_SUPPRESSIONS: Final = 2_000
"""Active at once; each costs a look at every detection of its rule."""
LONGEST_SUPPRESSION: Final = timedelta(days=366)
LONGEST_REASON: Final = 500
LONGEST_QUERY: Final = 2_000
LONGEST_ENTITY: Final = 255
READ_AGAIN: Final = "read it again and repeat"
_ID: Final = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True)
class SettingChange:
    """Say who sets what of a rule at a unit, and why. Parts not in ``parts`` stay; ``None`` is inherited from above.

    ``version`` is the one the caller saw (0: nothing was set), ``None`` whatever it is.
    """

    rule_id: str
    organization_id: str
    actor: str
    reason: str
    parts: frozenset[str]
    state: RuleState | None = None
    severity: Severity | None = None
    budget: int | None = None
    version: int | None = None


def list_settings(connection: Connection, scope: Scope | None = None) -> list[Setting]:
    """Return what is set, ordered by rule and unit; of a scope only its own units (not what holds everywhere)."""
    question = select(settings).order_by(settings.c.rule_id, settings.c.organization_id)
    if scope is not None and scope.ids is not None:
        question = question.where(among(connection, settings.c.organization_id, scope.ids))
    return [_setting(row._mapping) for row in connection.execute(question)]


def get_setting(connection: Connection, rule_id: str, organization_id: str) -> Setting:
    """Return what is set for a rule at a unit itself; one of version 0 where nothing is."""
    same = (settings.c.rule_id == rule_id, settings.c.organization_id == organization_id)
    row = connection.execute(select(settings).where(*same)).first()
    return Setting(rule_id, organization_id) if row is None else _setting(row._mapping)


def change_setting(connection: Connection, scope: Scope, change: SettingChange, *, now: datetime) -> Setting:
    """Set a rule's state, severity or budget at a unit and record it; return what is set now.

    Raises ``NotAllowedError`` outside the scope, ``ConflictError`` for an old version, ``UsageError`` without reason.
    """
    _require_unit(scope, change.organization_id)
    _check(change)
    before = get_setting(connection, change.rule_id, change.organization_id)
    if change.version is not None and change.version != before.version:
        raise ConflictError("the rule's setting was changed meanwhile", where=change.rule_id, todo=READ_AGAIN)
    given = {name: getattr(change, name) for name in sorted(change.parts)}
    changed = replace(
        before,
        **given,
        version=before.version + 1,
        actor=change.actor,
        reason=change.reason.strip(),
        updated_at=format_instant(now),
    )
    same = (settings.c.rule_id == change.rule_id, settings.c.organization_id == change.organization_id)
    connection.execute(delete(settings).where(*same))
    connection.execute(insert(settings).values(_values(changed)))
    body: dict[str, Plain] = {
        "rule": change.rule_id,
        "organization_id": change.organization_id,
        "actor": change.actor,
        "reason": changed.reason,
        "before": {name: _plain(getattr(before, name)) for name in given},
        "after": {name: _plain(value) for name, value in given.items()},
    }
    record(connection, STREAM, "rule.set", body, now=now)
    return changed


def _check(change: SettingChange) -> None:
    _require_reason(change.reason)
    if not _ID.fullmatch(change.rule_id):
        raise UsageError("this is no id of a rule", where=repr(change.rule_id[:80]))
    if change.rule_id == ALL_RULES and change.parts - {"budget"}:
        raise UsageError("of all rules together only the budget can be set", where=ALL_RULES)
    if change.budget is not None and not 0 <= change.budget <= MOST_BUDGET:
        raise UsageError(f"a budget is a number of alerts from 0 to {MOST_BUDGET}", where=change.rule_id)


def _require_unit(scope: Scope, organization_id: str) -> None:
    if scope.ids is not None and organization_id not in scope.ids:
        raise NotAllowedError(f"there is no unit '{organization_id}' that you may see")


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise UsageError(
            f"a change to rules needs a reason of at most {LONGEST_REASON} characters",
            todo="say why, so that others understand it later",
        )


def _plain(value: RuleState | Severity | int | None) -> str | int | None:
    return value.value if isinstance(value, RuleState | Severity) else value


def _values(setting: Setting) -> dict[str, str | int | None]:
    return {
        "rule_id": setting.rule_id,
        "organization_id": setting.organization_id,
        "state": setting.state.value if setting.state else "",
        "severity": setting.severity.value if setting.severity else "",
        "budget": setting.budget,
        "version": setting.version,
        "actor": setting.actor,
        "reason": setting.reason,
        "updated_at": setting.updated_at,
    }


def _setting(row: RowMapping) -> Setting:
    plain = dict(row)
    plain["state"] = RuleState(row["state"]) if row["state"] else None
    plain["severity"] = Severity(row["severity"]) if row["severity"] else None
    return Setting(**plain)


@dataclass(frozen=True, slots=True)
class NewSuppression:
    """Say what is to be suppressed, at which unit and below, until when, by whom and why."""

    rule_id: str
    organization_id: str
    owner: str
    reason: str
    expires: datetime
    entity_kind: str = ""
    entity_value: str = ""
    query: str = ""


def add_suppression(
    connection: Connection, scope: Scope, wanted: NewSuppression, *, now: datetime
) -> Suppression:
    """Suppress from now on and record it.

    Raises ``NotAllowedError`` outside the scope, ``UsageError`` without reason, with a query that is not understood, an
    expiry that is past or too far, or nothing that narrows a suppression of all rules.
    """
    _require_unit(scope, wanted.organization_id)
    _check_suppression(wanted, now)
    active = _active(format_instant(now))
    if (
        connection.scalar(select(func.count()).select_from(suppressions).where(*active)) or 0
    ) >= MOST_SUPPRESSIONS:
        raise UsageError("too many suppressions are active", todo="end those that are not needed any more")
    made = Suppression(
        id="s" + secrets.token_hex(8),
        rule_id=wanted.rule_id,
        organization_id=wanted.organization_id,
        entity_kind=wanted.entity_kind,
        entity_value=wanted.entity_value,
        query=wanted.query.strip(),
        owner=wanted.owner,
        reason=wanted.reason.strip(),
        created_at=format_instant(now),
        expires_at=format_instant(wanted.expires),
    )
    connection.execute(
        insert(suppressions).values({name: getattr(made, name) for name in Suppression.__slots__})
    )
    body: dict[str, Plain] = {
        name: getattr(made, name)
        for name in ("id", "rule_id", "organization_id", "entity_kind", "entity_value", "query", "expires_at")
    }
    record(connection, STREAM, "rule.suppress", {**body, "actor": made.owner, "reason": made.reason}, now=now)
    return made


def _check_suppression(wanted: NewSuppression, now: datetime) -> None:
    _require_reason(wanted.reason)
    if not _ID.fullmatch(wanted.rule_id):
        raise UsageError("this is no id of a rule", where=repr(wanted.rule_id[:80]))
    if not now < wanted.expires <= now + LONGEST_SUPPRESSION:
        raise UsageError("a suppression ends within a year", todo="give an expiry between now and then")
    if wanted.rule_id == ALL_RULES and not (wanted.entity_value or wanted.query.strip()):
        raise UsageError("a suppression of all rules needs an entity or a query")
    if len(wanted.query) > LONGEST_QUERY or len(wanted.entity_value) > LONGEST_ENTITY:
        raise UsageError("the query or the entity is too long")
    if wanted.entity_kind and not wanted.entity_value:
        raise UsageError("a kind of entity needs its value")
    test_of(wanted.query)


@dataclass(frozen=True, slots=True)
class Ending:
    """Say who takes which suppression back, and why; ``version`` is the one seen, ``None`` whatever it is."""

    suppression_id: str
    actor: str
    reason: str
    version: int | None = None


def end_suppression(connection: Connection, scope: Scope, ending: Ending, *, now: datetime) -> Suppression:
    """Take a suppression back and record it; ending one that is over changes nothing.

    Raises ``NotAllowedError`` when there is none in the scope, ``ConflictError`` for an old version.
    """
    found = get_suppression(connection, scope, ending.suppression_id)
    _require_reason(ending.reason)
    if ending.version is not None and ending.version != found.version:
        raise ConflictError("the suppression was changed meanwhile", where=found.id, todo=READ_AGAIN)
    if found.ended_at:
        return found
    at = format_instant(now)
    changed = update(suppressions).where(suppressions.c.id == found.id)
    connection.execute(changed.values(ended_at=at, version=found.version + 1))
    body: dict[str, Plain] = {
        "id": found.id,
        "rule_id": found.rule_id,
        "organization_id": found.organization_id,
        "actor": ending.actor,
        "reason": ending.reason.strip(),
        "hits": found.hits,
    }
    record(connection, STREAM, "rule.unsuppress", body, now=now)
    return replace(found, ended_at=at, version=found.version + 1)


def get_suppression(connection: Connection, scope: Scope, suppression_id: str) -> Suppression:
    """Return a suppression; raise ``NotAllowedError`` when there is none inside the scope."""
    row = connection.execute(select(suppressions).where(suppressions.c.id == suppression_id)).first()
    if row is None or not (scope.ids is None or row.organization_id in scope.ids):
        raise NotAllowedError(f"there is no suppression '{suppression_id[:40]}' that you may see")
    return Suppression(**row._mapping)


def list_suppressions(
    connection: Connection,
    scope: Scope,
    *,
    active_at: str = "",
    rule_id: str = "",
    limit: int = MOST_SUPPRESSIONS,
) -> list[Suppression]:
    """Return suppressions of the scope's units, newest first; with ``active_at`` only those not over then."""
    question = select(suppressions).order_by(suppressions.c.created_at.desc(), suppressions.c.id).limit(limit)
    if active_at:
        question = question.where(*_active(active_at))
    if rule_id:
        question = question.where(or_(suppressions.c.rule_id == rule_id, suppressions.c.rule_id == ALL_RULES))
    if scope.ids is not None:
        question = question.where(among(connection, suppressions.c.organization_id, scope.ids))
    return [Suppression(**row._mapping) for row in connection.execute(question)]


def _active(at: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return suppressions.c.ended_at == "", suppressions.c.expires_at > at


def is_active(suppression: Suppression, now: datetime) -> bool:
    """Tell whether a suppression still holds."""
    return not suppression.ended_at and parse_instant(suppression.expires_at) > now
