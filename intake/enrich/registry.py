"""List the enrichers of a centre, in the order in which they see events."""

from __future__ import annotations

from pathlib import Path

from intake.enrich.base import Enricher
from intake.enrich.browsers import Browsers
from intake.enrich.directory import Directory
from intake.enrich.domains import Domains
from intake.enrich.geography import Geography
from intake.enrich.makers import Makers
from intake.enrich.school_time import Calendar, SchoolTime, read_calendar
from soc_core.clock import Clock
from soc_core.config import Settings
from soc_core.state.database import Database


def default_enrichers(settings: Settings, database: Database, clock: Clock) -> list[Enricher]:
    """Return all enrichers. Raises ``UsageError`` for a calendar that can't be read."""
    files = [Path(name).expanduser() for name in (settings.geoip_city, settings.geoip_asn) if name]
    calendar = read_calendar(Path(settings.calendar).expanduser()) if settings.calendar else Calendar()
    found: list[Enricher] = [
        Directory(database, clock),
        Domains(),
        Makers(),
        Browsers(),
        SchoolTime(calendar),
    ]
    return [*found, Geography(files)] if files else found
