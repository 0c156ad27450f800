"""Define options that several commands share."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from edusoc.cli_language import language_of
from soc_core import i18n
from soc_core.clock import LOCAL_ZONE, local_time, parse_instant
from soc_core.config import Settings, load_settings
from soc_core.errors import UsageError
from soc_core.model.detection import Reason
from soc_core.reasons import reason_text


def say(key: str, **values: str | int) -> str:
    """Return a message of the command line in the user's language."""
    i18n.load("edusoc")
    return i18n.text(key, language_of(), **values)


def said(reason: str) -> str:
    """Return the text of an error in the user's language."""
    for package in ("collectors", "detectors", "intake", "edusoc"):
        i18n.load(package)
    return reason_text(reason, language_of())


def explained(reason: Reason) -> str:
    """Return why a detector fired or what is wrong with a rule, in the user's language."""
    i18n.load("detectors")
    values = dict(reason.values)
    if "detail" in values:
        values["detail"] = said(str(values["detail"]))
    return i18n.text(reason.key, language_of(), **values)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--state``."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=say("edusoc.cli.config"))
    parser.add_argument("--state", metavar="DIRECTORY", help=say("edusoc.cli.state"))


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings: file, then environment, then command line."""
    config = arguments.config or (
        Path(os.environ["EDUSOC_CONFIG"]) if "EDUSOC_CONFIG" in os.environ else None
    )
    settings = load_settings(config)
    return replace(settings, state=arguments.state) if arguments.state else settings


def shown_time(at: str | datetime, zone: tzinfo = LOCAL_ZONE, *, seconds: bool = False) -> str:
    """Return a time (stored ones are canonical UTC text) as clocks in ``zone`` show it, to the minute.

    An empty text, which stands for never, gives a dash.
    """
    if not at:
        return "–"
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return local_time(parse_instant(at) if isinstance(at, str) else at, zone).strftime(form)


def instant_of(text: str, settings: Settings) -> datetime:
    """Return an instant given on the command line; without offset it is local time. Raise ``UsageError``."""
    try:
        return parse_instant(text, zone=ZoneInfo(settings.time_zone))
    except ValueError:
        raise UsageError(
            f"'{text}' is no time", todo="write it like 2026-11-20T08:00 or 2026-11-20T08:00+08:00"
        ) from None
