"""Read the configuration: a TOML file, overridden by ``EDUSOC_…`` variables, overridden by the command line.

Every setting ``name`` is also the variable ``EDUSOC_NAME``. Unknown settings in a file are refused with their line's
name, so that a typing error is not silently ignored.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from soc_core.errors import UsageError
from soc_core.i18n import LANGUAGES


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold all settings: ``state`` is the directory of all that must survive, ``store_memory_mb`` bounds queries.

    ``database_url`` (PostgreSQL) and ``elasticsearch_url`` replace the files in ``state`` for a centre that outgrows
    them. Passwords and keys have settings of their own, are never part of an address and are not shown.
    ``retention_months`` (calendar months) guards security logs, ``retention_detail_days`` flows and the like, and
    ``disk_reserve_percent`` is the share of the disk that stays free. ``geoip_city`` and ``geoip_asn`` are files in the
    MaxMind DB format and ``calendar`` a TOML file with terms, lessons and exams (``docs/how-to/enrichment.md``).
    ``intake_…`` say where agents reach this centre, by which names (separated by commas) and certificate, and what one
    agent may send on average; ``parent_forward`` says what goes to the parent centre; ``heartbeat_url`` is called every
    ``heartbeat_minutes``, so that somebody else notices when this centre stops (``docs/how-to/centre.md``).
    """

    state: str = ".state"
    host: str = "127.0.0.1"
    port: int = 8600
    language: str = "zh"
    time_zone: str = "Asia/Shanghai"
    rules: str = ""
    store_memory_mb: int = 300
    database_url: str = ""
    database_password: str = field(default="", repr=False)
    elasticsearch_url: str = ""
    elasticsearch_ca: str = ""
    elasticsearch_username: str = ""
    elasticsearch_password: str = field(default="", repr=False)
    elasticsearch_api_key: str = field(default="", repr=False)
    elasticsearch_prefix: str = "edusoc"
    elasticsearch_replicas: int = 1
    retention_months: int = 6
    retention_detail_days: int = 30
    disk_reserve_percent: int = 5
    geoip_city: str = ""
    geoip_asn: str = ""
    calendar: str = ""
    intake_host: str = "127.0.0.1"
    intake_port: int = 8601
    intake_names: str = ""
    intake_certificate: str = ""
    intake_key: str = ""
    intake_events_per_second: int = 5_000
    intake_megabytes_per_day: int = 20_000
    parent_forward: str = "alerts, statistics, edusoc.health"
    parent_proxy: str = field(default="", repr=False)
    heartbeat_url: str = ""
    heartbeat_minutes: int = 5

    @property
    def state_directory(self) -> Path:
        """Return the state directory as an absolute path."""
        return Path(self.state).expanduser().absolute()


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of ``path`` (if any) and the environment; raise ``UsageError`` naming a bad one."""
    environment = os.environ if environment is None else environment
    given: dict[str, object] = dict(read_toml(path)) if path is not None else {}
    known = {item.name for item in fields(Settings)}
    for name in given:
        if name not in known:
            raise UsageError(
                f"unknown setting '{name}'", where=str(path), todo=f"known are: {', '.join(sorted(known))}"
            )
    for name in known:
        if f"EDUSOC_{name.upper()}" in environment:
            given[name] = environment[f"EDUSOC_{name.upper()}"]
    return _checked(_settings(given))


def _settings(given: Mapping[str, object]) -> Settings:
    usual = Settings()
    typed = {name: _typed(name, value, getattr(usual, name)) for name, value in given.items()}
    return Settings(**typed)  # type: ignore[arg-type] # each has the type of its usual value


def _typed(name: str, value: object, usual: object) -> object:
    """Return a setting's value in the type of its usual one; raise ``UsageError`` for text that is no number."""
    if not isinstance(usual, int):
        return str(value)
    try:
        return int(str(value))
    except ValueError:
        raise UsageError(f"setting '{name}': '{value}' is not a number") from None


def read_toml(path: Path) -> Mapping[str, object]:
    """Return the tables of a TOML file; raise ``UsageError`` when it can't be read or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(error.strerror or "can't be read", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"no valid TOML: {error}", where=str(path)) from error


def _checked(settings: Settings) -> Settings:
    if settings.language not in LANGUAGES:
        raise UsageError(f"setting 'language': '{settings.language}' is none of {', '.join(LANGUAGES)}")
    for name, port in (("port", settings.port), ("intake_port", settings.intake_port)):
        if not 0 <= port <= 65_535:
            raise UsageError(f"setting '{name}': {port} is no port")
    if bool(settings.intake_certificate) != bool(settings.intake_key):
        raise UsageError(
            "settings 'intake_certificate' and 'intake_key' belong together", todo="set both, or none"
        )
    try:
        ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise UsageError(f"setting 'time_zone': '{settings.time_zone}' is unknown") from None
    return settings
