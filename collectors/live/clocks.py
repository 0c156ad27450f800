"""Compare the times that senders write with those of arrival: skew, wrong zones, impossible dates.

A time that can't be right (more than a day ahead, or older than the protocol can explain) is replaced by that of the
arrival, else anyone could spread records over all days of the calendar, where nobody looks for them; what was claimed
is kept (``edusoc.time.claimed``). Everything else stays as the source says it.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from collectors.live.base import Counters
from soc_core.clock import EPOCH, epoch_us, format_instant, parse_instant
from soc_core.model.event import TIMESTAMP, Event

_AHEAD: Final = 86_400_000_000
_FUTURE: Final = 300_000_000
_SAID_FROM: Final = 5_000_000
_SKEWED_FROM: Final = 60_000_000
_WINDOW: Final = 300_000_000
_HOUR: Final = 3_600_000_000
_ZONES: Final = 14
_SENDERS_KEPT: Final = 8_192
_STAMPS_KEPT: Final = 4_096


def believe(event: Event, arrival: datetime, oldest: timedelta) -> str:
    """Replace an impossible time in ``event`` by that of its arrival; return what was wrong with it, else nothing."""
    stamp = str(event[TIMESTAMP])
    delay = (arrival - parse_instant(stamp)) // timedelta(microseconds=1)
    return _replace(event, delay, oldest // timedelta(microseconds=1), format_instant(arrival))


def _replace(event: Event, delay: int, oldest: int, arrival: str) -> str:
    if -_AHEAD <= delay <= oldest:
        return ""
    fault = "future" if delay < 0 else "past"
    event["edusoc.time.claimed"] = event[TIMESTAMP]
    event[TIMESTAMP] = arrival
    event["edusoc.time.fault"] = fault
    return fault


class SenderClocks:
    """Measure the clock of each sender; remembers the 8,192 heard last. For one thread.

    The skew of a sender is the least delay of its records within the last five to ten minutes: a record can be late for
    many reasons, but never early.
    """

    def __init__(self, counters: Counters, oldest: timedelta) -> None:
        """Take how old a record may be. Counts ``skewed`` records and times ``missing``, in the future and past."""
        self._counters = counters
        self._oldest = oldest // timedelta(microseconds=1)
        self._least: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        self._arrival = EPOCH
        self._arrival_text = ""
        self._delays: dict[str, int] = {}

    def arrived(self, arrival: datetime) -> None:
        """Say when the records came that are judged from now on."""
        self._arrival = arrival
        self._arrival_text = format_instant(arrival)
        self._delays.clear()

    def judge(self, event: Event, sender: str) -> None:
        """Mark in ``event`` what is wrong with its time, and how the sender's clock goes."""
        if event.get("edusoc.time.fault") is not None:
            self._counters.add("time_missing")
            return
        stamp = str(event[TIMESTAMP])
        delay = self._delays.get(stamp)
        if delay is None:
            delay = epoch_us(self._arrival) - epoch_us(parse_instant(stamp))
            if len(self._delays) >= _STAMPS_KEPT:
                self._delays.clear()
            self._delays[stamp] = delay
        if fault := _replace(event, delay, self._oldest, self._arrival_text):
            self._counters.add(f"time_{fault}")
            return
        skew = self._measure(sender, delay)
        if skew <= -_SAID_FROM or skew >= _SAID_FROM:
            self._skewed(event, skew)
        elif delay < -_FUTURE:
            self._fault(event, "future")

    def _measure(self, sender: str, delay: int) -> int:
        """Take one delay into account and return the sender's skew, both in microseconds."""
        now = epoch_us(self._arrival)
        begun, least, before = self._least.get(sender, (now, delay, delay))
        if now - begun >= _WINDOW:
            begun, least, before = now, delay, least if now - begun < 2 * _WINDOW else delay
        least = min(least, delay)
        self._least[sender] = (begun, least, before)
        self._least.move_to_end(sender)
        if len(self._least) > _SENDERS_KEPT:
            self._least.popitem(last=False)
        return min(least, before)

    def _skewed(self, event: Event, skew: int) -> None:
        event["edusoc.time.skew"] = skew * 1_000
        if abs(skew) >= _SKEWED_FROM:
            self._counters.add("skewed")
        if _is_zone(skew):
            self._fault(event, "zone")
        elif skew < -_FUTURE:
            self._fault(event, "future")

    def _fault(self, event: Event, fault: str) -> None:
        event["edusoc.time.fault"] = fault
        self._counters.add(f"time_{fault}")


def _is_zone(skew: int) -> bool:
    """Tell whether a skew in microseconds is some whole hours to within a minute: a clock that is right elsewhere."""
    hours = round(skew / _HOUR)
    return 1 <= abs(hours) <= _ZONES and abs(skew - hours * _HOUR) <= _SKEWED_FROM
