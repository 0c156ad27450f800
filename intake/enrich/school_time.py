"""Say what time of school it was when an event happened: lesson, break, night, weekend, holiday, vacation, exam.

National holidays and the working days swapped for them (调休) are those the State Council published for the year, as
``chinesecalendar`` has them; a year that is not published yet goes by weekdays, and its days are marked ``tentative``
(暂定). Terms, lessons and exams come from the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

import chinese_calendar

from soc_core.clock import LOCAL_ZONE, parse_instant
from soc_core.config import read_toml
from soc_core.errors import UsageError
from soc_core.model.event import TIMESTAMP, Event

FIELD: Final = "edusoc.school_time"
LESSON, BREAK, NIGHT, WEEKEND = "lesson", "break", "night", "weekend"
HOLIDAY, VACATION, EXAM = "holiday", "vacation", "exam"
TENTATIVE: Final = "tentative "
_CACHED: Final = 65_536
_EXAMPLES: Final = {"date": "[[2026-09-01, 2027-01-22]]", "time": "[[08:00:00, 08:40:00]]"}
T = TypeVar("T", date, time)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Hold a site's calendar; days are local, ranges of days include both ends, times end exclusive.

    ``lessons`` are the school day's periods, ``day`` is when anybody may be there at all. Without ``terms`` every
    working day is a school day.
    """

    terms: tuple[tuple[date, date], ...] = ()
    exams: tuple[tuple[date, date], ...] = ()
    lessons: tuple[tuple[time, time], ...] = ((time(8), time(11, 50)), (time(13, 30), time(17)))
    day: tuple[time, time] = (time(6, 30), time(22))
    zone: tzinfo = LOCAL_ZONE

    def kind(self, instant: datetime) -> str:
        """Return what time of school an instant is; a day of a year without published holidays is ``tentative``."""
        local = instant.astimezone(self.zone)
        kind, tentative = self._day(local.date())
        clock = local.time()
        if kind in {LESSON, EXAM}:
            if not self.day[0] <= clock < self.day[1]:
                kind = NIGHT
            elif not any(start <= clock < end for start, end in self.lessons):
                kind = BREAK
        return TENTATIVE + kind if tentative else kind

    def _day(self, day: date) -> tuple[str, bool]:
        """Return what kind of day it is (``lesson`` for a school day), and whether that may still change."""
        try:
            off, name = chinese_calendar.get_holiday_detail(day)
            tentative = False
        except NotImplementedError:
            off, name, tentative = day.weekday() >= 5, None, True
        if off:
            return (HOLIDAY if name else WEEKEND), tentative
        if any(first <= day <= last for first, last in self.exams):
            return EXAM, tentative
        if self.terms and not any(first <= day <= last for first, last in self.terms):
            return VACATION, False  # whatever the State Council says
        return LESSON, tentative


class SchoolTime:
    """Write ``edusoc.school_time``."""

    name = "school_time"

    def __init__(self, calendar: Calendar) -> None:
        """Take the calendar of the site."""
        self._kind = lru_cache(_CACHED)(lambda minute: calendar.kind(parse_instant(minute)))

    def enrich(self, event: Event) -> None:
        """Add what time of school the event happened at."""
        value = event.get(TIMESTAMP)
        if isinstance(value, str) and len(value) > 16:
            try:
                event.setdefault(FIELD, self._kind(f"{value[:16]}:00Z"))
            except (ValueError, OverflowError):
                return


def read_calendar(path: Path) -> Calendar:
    """Return the calendar of a TOML file. Raises ``UsageError`` naming file, key and what it should look like."""
    table = read_toml(path)
    usual = Calendar()
    for name in table:
        if name not in {"terms", "exams", "lessons", "day"}:
            raise UsageError(
                f"unknown setting '{name}'", where=str(path), todo="known are: day, exams, lessons, terms"
            )
    lessons = _pairs(table, "lessons", time, path) or usual.lessons
    if any(one[1] > two[0] for one, two in pairwise(sorted(lessons))):
        raise UsageError("two lessons overlap", where=f"{path}: lessons", todo="put one behind the other")
    return Calendar(
        terms=_pairs(table, "terms", date, path),
        exams=_pairs(table, "exams", date, path),
        lessons=tuple(sorted(lessons)),
        day=(_pairs(table, "day", time, path) or (usual.day,))[0],
    )


def _pairs(table: Mapping[str, object], name: str, kind: type[T], path: Path) -> tuple[tuple[T, T], ...]:
    """Return the pairs of a setting; the first of each comes before the second."""
    given = table.get(name, [])
    example = _EXAMPLES[kind.__name__]
    pairs = [tuple(item) for item in given if isinstance(item, list)] if isinstance(given, list) else []
    sound = isinstance(given, list) and len(pairs) == len(given)
    if not sound or not all(_is_pair(pair, kind) for pair in pairs):
        raise UsageError(
            f"setting '{name}' is no list of pairs", where=str(path), todo=f"write {name} = {example}"
        )
    return tuple((first, last) for first, last in pairs)


def _is_pair(pair: tuple[object, ...], kind: type) -> bool:
    if len(pair) != 2 or not all(type(item) is kind for item in pair):
        return False
    first, last = pair
    return bool(first <= last)  # type: ignore[operator]  # both are of one kind
