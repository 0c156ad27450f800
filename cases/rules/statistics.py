"""Count what rules did in a time: hits by what became of them, and what people closed their alerts as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, func, select

from cases.alerts.model import CloseReason
from cases.alerts.tables import alerts
from intake.rules.tables import counts
from soc_core.clock import format_instant, parse_instant
from soc_core.state.among import among
from soc_core.store.interface import Scope


@dataclass(slots=True)
class RuleStatistics:
    """Hold what a rule did: ``closed`` counts its alerts by the reason they were closed for.

    ``last_at`` is the event time of its newest hit; ``cpu_us`` and ``judged`` count from the first start on, whatever
    time was asked for.
    """

    rule_id: str
    fired: int = 0
    silent: int = 0
    suppressed: int = 0
    over_budget: int = 0
    opened: int = 0
    last_at: str = ""
    closed: Mapping[str, int] = field(default_factory=dict)
    cpu_us: int = 0
    judged: int = 0

    @property
    def judged_alerts(self) -> int:
        """Return how many alerts people closed."""
        return sum(self.closed.values())

    @property
    def false_rate(self) -> float | None:
        """Return the share of closed alerts that were false, ``None`` while none is closed."""
        total = self.judged_alerts
        return self.closed.get(CloseReason.FALSE_POSITIVE, 0) / total if total else None


def statistics_of(connection: Connection, scope: Scope, first: date) -> dict[str, RuleStatistics]:
    """Return by rule what happened in the scope's units since a local day; rules that did nothing are left out."""
    found: dict[str, RuleStatistics] = {}
    _add_counts(connection, scope, first, found)
    _add_closed(connection, scope, first, found)
    return found


def _add_counts(connection: Connection, scope: Scope, first: date, found: dict[str, RuleStatistics]) -> None:
    names = ("fired", "silent", "suppressed", "over_budget", "opened")
    sums = [func.sum(counts.c[name]).label(name) for name in names]
    question = select(counts.c.rule_id, func.max(counts.c.last_at).label("last_at"), *sums)
    question = question.where(counts.c.day >= first.isoformat()).group_by(counts.c.rule_id)
    if scope.ids is not None:
        question = question.where(among(connection, counts.c.organization_id, scope.ids))
    for row in connection.execute(question).mappings():
        fired, silent, suppressed, over_budget, opened = (int(row[name]) for name in names)
        found[row["rule_id"]] = RuleStatistics(
            row["rule_id"], fired, silent, suppressed, over_budget, opened, row["last_at"]
        )


def _add_closed(connection: Connection, scope: Scope, first: date, found: dict[str, RuleStatistics]) -> None:
    start = format_instant(parse_instant(f"{first.isoformat()}T00:00:00+08:00"))
    by = (alerts.c.rule_id, alerts.c.close_reason)
    question = select(*by, func.count().label("number")).where(
        alerts.c.close_reason != "", alerts.c.last_seen >= start
    )
    if scope.ids is not None:
        question = question.where(among(connection, alerts.c.organization_id, scope.ids))
    closed: dict[str, dict[str, int]] = {}
    for row in connection.execute(question.group_by(*by)):
        closed.setdefault(row.rule_id, {})[row.close_reason] = int(row.number)
    for rule_id, reasons in closed.items():
        found.setdefault(rule_id, RuleStatistics(rule_id)).closed = reasons


def daily_counts(connection: Connection, scope: Scope, rule_id: str, first: date) -> list[tuple[str, int]]:
    """Return a rule's hits of all outcomes a day since ``first``, days without any left out."""
    hits = func.sum(counts.c.fired + counts.c.silent + counts.c.suppressed + counts.c.over_budget)
    question = select(counts.c.day, hits.label("hits")).where(
        counts.c.rule_id == rule_id, counts.c.day >= first.isoformat()
    )
    if scope.ids is not None:
        question = question.where(among(connection, counts.c.organization_id, scope.ids))
    rows = connection.execute(question.group_by(counts.c.day).order_by(counts.c.day))
    return [(row.day, int(row.hits)) for row in rows]
