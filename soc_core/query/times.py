"""Read the times people type: a date means the whole day, ``now-1d`` a moment, ``now/d`` a day, as in Kibana.

A time written less exactly than to the microsecond means all of the span it names. Without an offset it is local. Units
are ``y M w d h H m s``; weeks begin on Monday.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from soc_core.clock import parse_instant

_LEAST: Final = timedelta(microseconds=1)
_MOST_STEPS: Final = 10
_STEP: Final = re.compile(r"([+-])(\d{1,6})([yMwdhHms])|/([yMwdhHms])")
_NOW: Final = re.compile(r"now((?:[+-]\d{1,6}[yMwdhHms]|/[yMwdhHms])*)")
_ANCHORED: Final = re.compile(r"(.+?)\|\|(.*)")
_FORMS: Final = (
    (re.compile(r"\d{4}"), "{}-01-01", "y"),
    (re.compile(r"\d{4}-\d\d"), "{}-01", "M"),
    (re.compile(r"\d{4}-\d\d-\d\d|\d{8}"), "{}", "d"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d(?:Z|[+-]\d\d:?\d\d)?"), "{}", "h"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)?"), "{}", "m"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)?"), "{}", "s"),
)
_FIXED: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "H": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Moment:
    """Hold the span a written time names, in UTC: ``start`` inclusive, ``end`` exclusive."""

    start: datetime
    end: datetime


def parse_moment(text: str, now: datetime, zone: tzinfo) -> Moment:
    """Return the span that ``text`` names; raise ``ValueError`` where it names none or one outside the calendar."""
    try:
        return _parse(text.strip(), now, zone)
    except OverflowError as error:
        raise ValueError(f"'{text}' lies outside the calendar") from error


def _parse(text: str, now: datetime, zone: tzinfo) -> Moment:
    relative = _NOW.fullmatch(text)
    if relative is not None:
        return _stepped(now, relative[1], zone)
    anchored = _ANCHORED.fullmatch(text)
    if anchored is not None:
        return _stepped(_parse(anchored[1], now, zone).start, anchored[2], zone)
    for form, written, unit in _FORMS:
        if form.fullmatch(text):
            start = parse_instant(written.format(text), zone=zone)
            return Moment(start, _moved(start, 1, unit, zone))
    start = parse_instant(text, zone=zone)
    digits = re.search(r"\.(\d{1,6})", text)
    return Moment(start, start + (timedelta(seconds=10 ** -len(digits[1])) if digits else _LEAST))


def _stepped(start: datetime, steps: str, zone: tzinfo) -> Moment:
    """Return the moment after steps such as ``-1d`` and ``/d``; the last one decides how long it is."""
    found = list(_STEP.finditer(steps))
    if len(found) > _MOST_STEPS or "".join(step.group() for step in found) != steps:
        raise ValueError(f"'{steps}' are no steps in time")
    unit = ""
    for step in found:
        if step[4]:
            unit = step[4]
            start = _floor(start, unit, zone)
        else:
            unit = ""
            start = _moved(start, int(step[1] + step[2]), step[3], zone)
    return Moment(start, _moved(start, 1, unit, zone) if unit else start + _LEAST)


def _moved(start: datetime, count: int, unit: str, zone: tzinfo) -> datetime:
    """Return the instant ``count`` units later; years, months, weeks and days are those of the local calendar."""
    if unit in "hHms":
        return start + timedelta(seconds=count * _FIXED[unit])
    local = start.astimezone(zone)
    if unit in "wd":
        moved = local.replace(tzinfo=None) + timedelta(seconds=count * _FIXED[unit])
    else:
        months = local.year * 12 + local.month - 1 + count * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            raise OverflowError
        day = min(local.day, calendar.monthrange(year, month + 1)[1])
        moved = local.replace(year=year, month=month + 1, day=day, tzinfo=None)
    return moved.replace(tzinfo=zone).astimezone(UTC)


_FLOORS: Final[dict[str, Callable[[datetime], datetime]]] = {
    "y": lambda local: local.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0),
    "M": lambda local: local.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    "d": lambda local: local.replace(hour=0, minute=0, second=0, microsecond=0),
    "h": lambda local: local.replace(minute=0, second=0, microsecond=0),
    "m": lambda local: local.replace(second=0, microsecond=0),
    "s": lambda local: local.replace(microsecond=0),
}


def _floor(start: datetime, unit: str, zone: tzinfo) -> datetime:
    """Return the beginning of the local year, month, week, day, hour, minute or second."""
    local = start.astimezone(zone)
    if unit == "w":
        return _floor(start - timedelta(days=local.weekday()), "d", zone)
    return _FLOORS[unit.lower() if unit == "H" else unit](local).astimezone(UTC)
