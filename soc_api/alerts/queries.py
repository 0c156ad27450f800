"""Ask for alerts the way both the API and the pages show them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cases.alerts.card import AlertCard, CardMaker
from cases.alerts.model import Alert, HistoryEntry, Status
from cases.alerts.repository import (
    AlertCursor,
    AlertFilter,
    count_alerts,
    detections_of,
    get_alert,
    history_of,
    list_alerts,
)
from soc_api.cursors import seal, unseal
from soc_api.security import Caller
from soc_api.services import Services
from soc_core.clock import format_instant
from soc_core.errors import NotAllowedError, UsageError
from soc_core.model.detection import Severity
from soc_core.organisations.repository import find_assets

MOST_COUNTED: Final = 10_000
"""Lists say "10,000 and more" above this: counting a million on every page would be slower than showing it."""


@dataclass(frozen=True, slots=True)
class AlertQuestion:
    """Hold what a caller asks for, as it came; empty parts do not narrow."""

    status: tuple[str, ...] = ()
    severity: str = ""
    levels: tuple[str, ...] = ()
    kind: str = ""
    organisation: str = ""
    entity: str = ""
    address: str = ""
    assigned_to: str = ""
    help_wanted: bool = False
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 50
    cursor: str = ""

    @property
    def text(self) -> str:
        """Return the question without paging: cursors are bound to it."""
        return repr(replace(self, limit=0, cursor=""))


@dataclass(frozen=True, slots=True)
class AlertRow:
    """Hold an alert with the words a list shows."""

    alert: Alert
    title: str
    unit: str
    device: str


@dataclass(frozen=True, slots=True)
class AlertRows:
    """Hold one page of rows; ``total`` is at least that many where ``exact`` is false."""

    rows: list[AlertRow]
    total: int
    exact: bool
    cursor: str


def card_maker(services: Services, caller: Caller, language: str = "") -> CardMaker:
    """Return the card maker of the caller's language."""
    return CardMaker(caller.tree, services.rules, language or caller.user.language)


def alert_filter(question: AlertQuestion, caller: Caller) -> AlertFilter:
    """Return the filter of a question; raise ``UsageError`` for an unknown status or level."""
    unknown = [status for status in question.status if status not in set(Status)]
    if unknown:
        raise UsageError(f"there is no status '{unknown[0]}'")
    unknown = [level for level in (question.severity, *question.levels) if level not in {"", *Severity}]
    if unknown:
        raise UsageError(f"there is no severity '{unknown[0]}'")
    return AlertFilter(
        statuses=question.status,
        min_severity=Severity(question.severity) if question.severity else None,
        severities=tuple(Severity(level) for level in question.levels),
        kinds=(question.kind,) if question.kind else (),
        organization_ids=caller.narrowed(question.organisation).ids if question.organisation else None,
        entity=question.entity,
        address=question.address,
        assigned_to=question.assigned_to,
        help_wanted=question.help_wanted,
        start=format_instant(question.start) if question.start else "",
        end=format_instant(question.end) if question.end else "",
    )


def page_of_alerts(
    services: Services, caller: Caller, question: AlertQuestion, language: str = ""
) -> AlertRows:
    """Return one page of the alerts the caller may see."""
    narrow = alert_filter(question, caller)
    after = None
    if question.cursor:
        priority, last_seen, id_ = unseal(services.keys, question.text, question.cursor)
        after = AlertCursor(int(priority), str(last_seen), str(id_))
    with services.database.read() as connection:
        found = list_alerts(connection, caller.scope, narrow, limit=question.limit + 1, after=after)
        total = count_alerts(connection, caller.scope, narrow, most=MOST_COUNTED + 1)
        shown = found[: question.limit]
        assets = find_assets(connection, [_key(alert) for alert in shown])
    maker = card_maker(services, caller, language)
    rows = [
        AlertRow(alert, maker.title(alert), maker.unit(alert), maker.device(alert, assets.get(_key(alert))))
        for alert in shown
    ]
    cursor = ""
    if len(found) > question.limit:
        last = shown[-1]
        cursor = seal(services.keys, question.text, (last.priority, last.last_seen, last.id))
    return AlertRows(rows, min(total, MOST_COUNTED), total <= MOST_COUNTED, cursor)


def card_of(
    services: Services, caller: Caller, alert_id: str, language: str = ""
) -> tuple[AlertCard, list[HistoryEntry]]:
    """Return an alert's card and history; raise ``NotAllowedError`` when there is none the caller may see."""
    with services.database.read() as connection:
        alert = get_alert(connection, caller.scope, alert_id)
        if alert is None:
            raise NotAllowedError(f"there is no alert '{alert_id}' that you may see")
        found = detections_of(connection, caller.scope, alert_id)
        history = history_of(connection, caller.scope, alert_id)
        asset = find_assets(connection, [_key(alert)]).get(_key(alert))
    return card_maker(services, caller, language).make(alert, found, asset), history


def _key(alert: Alert) -> tuple[str, str, str]:
    return (alert.organization_id, alert.entity.zone, alert.entity.value)
