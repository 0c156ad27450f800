"""Handle the alerts of the generated months, so that the demo has closed alerts with reasons and a history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from cases.alerts.model import CloseReason, Status
from cases.alerts.repository import AlertChange, AlertFilter, change_alert, list_alerts
from edusoc.demo.words import say
from soc_core.clock import format_instant
from soc_core.store.interface import SYSTEM_SCOPE

OLD: Final = timedelta(days=14)
ACTOR: Final = "demo-analyst"
_REASONS: Final = (
    CloseReason.TRUE_POSITIVE,
    CloseReason.TRUE_POSITIVE,
    CloseReason.DRILL,
    CloseReason.TRUE_POSITIVE,
    CloseReason.BENIGN,
    CloseReason.TRUE_POSITIVE,
    CloseReason.FALSE_POSITIVE,
)
"""In the order of the incidents of ``world/history.toml``."""
MAX_ALERTS: Final = 500


def close_old_alerts(connection: Connection, anchor: datetime, language: str, *, now: datetime) -> int:
    """Close new alerts that ended long before the anchor, with reasons in turn; return how many there were."""
    old = AlertFilter(statuses=(Status.NEW,), end=format_instant(anchor - OLD))
    found = list_alerts(connection, SYSTEM_SCOPE, old, limit=MAX_ALERTS)
    for number, alert in enumerate(sorted(found, key=lambda alert: (alert.first_seen, alert.id))):
        taken = AlertChange(ACTOR, alert.version, Status.IN_PROGRESS, assigned_to=ACTOR)
        version = change_alert(connection, SYSTEM_SCOPE, alert.id, taken, now=now).version
        reason = _REASONS[number % len(_REASONS)]
        comment = say(f"handled.{reason.value}", language)
        closed = AlertChange(ACTOR, version, Status.CLOSED, close_reason=reason, comment=comment)
        change_alert(connection, SYSTEM_SCOPE, alert.id, closed, now=now)
    return len(found)
