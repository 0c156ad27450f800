"""The school calendar: lessons, breaks, nights, holidays with swapped working days, years not yet published."""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path

import pytest

from intake.enrich.school_time import Calendar, SchoolTime, read_calendar
from soc_core.clock import LOCAL_ZONE
from soc_core.errors import UsageError
from soc_core.model.event import Event

CALENDAR = Calendar(
    terms=((date(2026, 2, 26), date(2026, 7, 3)), (date(2026, 9, 1), date(2027, 1, 22))),
    exams=((date(2026, 6, 7), date(2026, 6, 9)),),
    lessons=((time(8), time(8, 40)), (time(8, 50), time(9, 30))),
)


def kind(*parts: int) -> str:
    return CALENDAR.kind(datetime(*parts, tzinfo=LOCAL_ZONE))  # type: ignore[misc,arg-type]  # whole numbers


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ((2026, 11, 24, 8, 0), "lesson"),
        ((2026, 11, 24, 8, 39), "lesson"),
        ((2026, 11, 24, 8, 40), "break"),
        ((2026, 11, 24, 8, 50), "lesson"),
        ((2026, 11, 24, 6, 29), "night"),
        ((2026, 11, 24, 22, 0), "night"),
        ((2026, 11, 22, 8, 10), "weekend"),
        ((2026, 10, 1, 8, 10), "holiday"),
        ((2026, 10, 10, 8, 10), "lesson"),  # a Saturday that is worked for the National Day
        ((2026, 8, 5, 8, 10), "vacation"),
        ((2026, 6, 8, 8, 10), "exam"),
        ((2027, 1, 20, 8, 10), "tentative lesson"),
        ((2027, 1, 23, 8, 10), "tentative weekend"),
        ((2027, 2, 3, 8, 10), "vacation"),
    ],
)
def test_every_time_of_school(parts: tuple[int, ...], wanted: str) -> None:
    assert kind(*parts) == wanted


def test_events_get_it_by_their_own_time() -> None:
    event: Event = {"@timestamp": "2026-11-24T00:10:00.000000Z"}  # 08:10 in China
    SchoolTime(CALENDAR).enrich(event)
    assert event["edusoc.school_time"] == "lesson"


def test_a_calendar_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calendar.toml"
    path.write_text(
        "terms = [[2026-09-01, 2027-01-22]]\nexams = [[2026-11-12, 2026-11-13]]\n"
        "lessons = [[08:50:00, 09:30:00], [08:00:00, 08:40:00]]\nday = [[07:00:00, 21:00:00]]\n"
    )
    calendar = read_calendar(path)
    assert calendar.lessons == ((time(8), time(8, 40)), (time(8, 50), time(9, 30)))
    assert calendar.day == (time(7), time(21))
    assert calendar.exams == ((date(2026, 11, 12), date(2026, 11, 13)),)


@pytest.mark.parametrize(
    "text",
    [
        "terms = 1",
        "terms = [2026-09-01]",
        "terms = [[2027-01-22, 2026-09-01]]",
        "terms = [[2026-09-01T00:00:00, 2027-01-22]]",
        "lessons = [[08:00:00, 08:40:00], [08:30:00, 09:00:00]]",
        "day = [07:00:00, 21:00:00]",
        "term = []",
        "terms = [",
    ],
)
def test_a_wrong_calendar_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calendar.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"calendar\.toml"):
        read_calendar(path)


def test_a_missing_calendar_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none"):
        read_calendar(tmp_path / "none.toml")
