"""Tell the time, and turn instants into the one canonical text form and back.

Inside the system an instant is either an aware UTC ``datetime`` or the canonical text
``YYYY-MM-DDTHH:MM:SS.ffffffZ`` (always six fractional digits, so that text order equals time order).
Local time exists only on screen; the default zone is Asia/Shanghai.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_ZONE = ZoneInfo("Asia/Shanghai")
FIRST_INSTANT = "0001-01-01T00:00:00.000000Z"
LAST_INSTANT = "9999-12-31T23:59:59.999999Z"


def utc_now() -> datetime:
    """Return the current instant, aware, in UTC. Pass it as a ``Clock`` where time matters."""
    return datetime.now(UTC)


def format_instant(instant: datetime) -> str:
    """Return the canonical text of an aware ``instant``; raise ``ValueError`` on a naive one."""
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is not an instant")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def format_epoch_us(microseconds: int) -> str:
    """Return the canonical text of ``microseconds`` since 1970 UTC; raise ``OverflowError`` outside years 1–9999."""
    return format_instant(EPOCH + timedelta(microseconds=microseconds))


def parse_instant(text: str, *, zone: tzinfo = UTC) -> datetime:
    """Return the aware UTC instant of an ISO 8601 ``text``; without an offset it is read in ``zone``.

    Accepts up to nanoseconds (cut to microseconds). Raises ``ValueError`` for anything else.
    """
    instant = datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # the first and last hours of the calendar
        raise ValueError(f"'{text}' lies outside the calendar") from error


def epoch_us(instant: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC of an aware ``instant``."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def moved(instant: str, by: timedelta) -> str:
    """Return the canonical text of an instant moved by a time, the calendar's first or last where that lies outside."""
    try:
        return format_instant(parse_instant(instant) + by)
    except OverflowError:
        return FIRST_INSTANT if by < timedelta(0) else LAST_INSTANT


def local_time(instant: datetime, zone: tzinfo) -> datetime:
    """Return an instant in a zone; in UTC where the zone's calendar would end, which only a wrong clock reaches."""
    try:
        return instant.astimezone(zone)
    except OverflowError:
        return instant
