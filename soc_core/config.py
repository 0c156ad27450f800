"""Read the configuration: a TOML file, overridden by ``EDUSOC_…`` variables, overridden by the command line.

Every setting ``name`` is also the variable ``EDUSOC_NAME``. Unknown settings in a file are refused with their line's
name, so that a typing error is not silently ignored.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from soc_core.errors import UsageError
from soc_core.i18n import LANGUAGES


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold all settings: ``state`` is the directory of all that must survive, ``store_memory_mb`` bounds queries."""

    state: str = ".state"
    host: str = "127.0.0.1"
    port: int = 8600
    language: str = "zh"
    time_zone: str = "Asia/Shanghai"
    rules: str = ""
    store_memory_mb: int = 300

    @property
    def state_directory(self) -> Path:
        """Return the state directory as an absolute path."""
        return Path(self.state).expanduser().absolute()


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of ``path`` (if any) and the environment; raise ``UsageError`` naming a bad one."""
    environment = os.environ if environment is None else environment
    given: dict[str, object] = dict(_read_file(path)) if path is not None else {}
    known = {field.name for field in fields(Settings)}
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

    def text(name: str) -> str:
        return str(given.get(name, getattr(usual, name)))

    def number(name: str) -> int:
        try:
            return int(text(name))
        except ValueError:
            raise UsageError(f"setting '{name}': '{text(name)}' is not a number") from None

    return Settings(
        state=text("state"),
        host=text("host"),
        port=number("port"),
        language=text("language"),
        time_zone=text("time_zone"),
        rules=text("rules"),
        store_memory_mb=number("store_memory_mb"),
    )


def _read_file(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(error.strerror or "can't be read", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"no valid TOML: {error}", where=str(path)) from error


def _checked(settings: Settings) -> Settings:
    if settings.language not in LANGUAGES:
        raise UsageError(f"setting 'language': '{settings.language}' is none of {', '.join(LANGUAGES)}")
    if not 0 <= settings.port <= 65_535:
        raise UsageError(f"setting 'port': {settings.port} is no port")
    try:
        ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise UsageError(f"setting 'time_zone': '{settings.time_zone}' is unknown") from None
    return settings
