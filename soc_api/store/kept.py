"""Ask what is kept the way both the API and the pages show it."""

from __future__ import annotations

from soc_api.services import Services
from soc_core import i18n
from soc_core.organisations.repository import known_since
from soc_core.reasons import reason_text
from soc_core.store.coverage import SourceCoverage, retention_report
from soc_core.store.interface import Health, Scope
from soc_core.store.retention import Policy


def policy_of(services: Services) -> Policy:
    """Return how long this installation keeps what."""
    return Policy.of(services.settings)


def sources_kept(services: Services, scope: Scope) -> list[SourceCoverage]:
    """Return what is kept of each source inside the scope, ordered by unit and data set."""
    zone = policy_of(services).zone
    with services.database.read() as connection:
        since = {unit: at.astimezone(zone).date() for unit, at in known_since(connection).items()}
    return retention_report(services.reader, services.settings, services.clock(), scope, since)


def reasons_of(health: Health, language: str) -> list[str]:
    """Return in words what is wrong with the store."""
    i18n.load("soc_core")
    return [reason_text(reason, language) for reason in health.reasons]
