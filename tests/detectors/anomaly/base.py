"""Make synthetic flows, look-ups and log-ins, and run window detectors over them as the pipeline does."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from detectors.base import Site, Window, WindowDetector, window_start
from soc_core import i18n
from soc_core.clock import EPOCH, format_instant, parse_instant
from soc_core.model.detection import Detection
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import AddressPlan
from soc_core.query.evaluate import compile_query

START = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
"""Midnight UTC: the start of a window of every length used here."""
SITE = Site(AddressPlan())
UNIT = "u1"
ZONE = "校园网"


class Maker:
    """Make events with ids of their own, numbered in the order in which they are made."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, seconds: float, fields: Event) -> Event:
        at = format_instant(START + timedelta(seconds=seconds))
        self._number += 1
        return {
            "@timestamp": at,
            "event.id": make_event_id(at, b"test", self._number, b""),
            "organization.id": UNIT,
            "edusoc.zone": ZONE,
            **fields,
        }

    def flow(
        self,
        seconds: float,
        source: str,
        destination: str,
        port: int,
        *,
        answered: bool = True,
        **fields: str | float,
    ) -> Event:
        event: Event = {
            "event.dataset": "packets.flow",
            "source.ip": source,
            "source.port": 40_000 + self._number % 20_000,
            "source.bytes": 600,
            "source.packets": 6 if answered else 1,
            "destination.ip": destination,
            "destination.port": port,
            "destination.bytes": 900 if answered else 0,
            "destination.packets": 5 if answered else 0,
            "network.transport": "tcp",
            "event.duration": 1_000_000_000,
        }
        event.update({name.replace("__", "."): value for name, value in fields.items()})
        return self.event(seconds, event)

    def dns(self, seconds: float, client: str, name: str, kind: str = "A") -> Event:
        fields: Event = {
            "event.dataset": "packets.dns",
            "dns.type": "query",
            "source.ip": client,
            "destination.ip": "192.168.1.1",
            "dns.question.name": name,
            "dns.question.type": kind,
        }
        return self.event(seconds, fields)

    def login(self, seconds: float, source: str, outcome: str, user: str = "root", **fields: str) -> Event:
        event: Event = {
            "event.dataset": "syslog.auth",
            "event.category": ["authentication"],
            "event.action": "ssh_login",
            "event.outcome": outcome,
            "source.ip": source,
            "user.name": user,
            "host.name": "web1",
            "process.name": "sshd",
        }
        event.update({name.replace("__", "."): value for name, value in fields.items()})
        return self.event(seconds, event)


def windows_of(detector: WindowDetector, events: Iterable[Event]) -> list[Window]:
    """Return the windows that the events touch, in order of time, as ``intake.windows`` marks them."""
    starts: set[datetime] = set()
    for event in events:
        instant = parse_instant(str(event["@timestamp"]))
        start = window_start(instant, detector.window)
        while start <= window_start(instant + detector.lookback, detector.window):
            starts.add(start)
            start += detector.window
    return [Window(UNIT, ZONE, start, start + detector.window) for start in sorted(starts)]


def judge(
    detector: WindowDetector,
    events: Sequence[Event],
    *,
    site: Site = SITE,
    cut: Callable[[list[Event]], Iterator[list[Event]]] = lambda chosen: iter([chosen]),
) -> list[Detection]:
    """Return what the detector finds in all windows that the events touch."""
    wants = compile_query(detector.query)
    ordered = sorted((event for event in events if wants(event)), key=lambda event: str(event["@timestamp"]))
    times = [str(event["@timestamp"]) for event in ordered]
    found: list[Detection] = []
    for window in windows_of(detector, ordered):
        low = bisect_left(times, format_instant(window.start - detector.lookback))
        high = bisect_left(times, format_instant(window.end))
        found.extend(detector.detect(window, cut(ordered[low:high]), site))
    assert_sound(found, ordered)
    return found


def assert_sound(found: Sequence[Detection], events: Sequence[Event]) -> None:
    """Check what must hold for every detection: unique ids, evidence that exists in time order, words for reasons."""
    i18n.load("detectors")
    i18n.load("cases")
    times = {str(event["event.id"]): str(event["@timestamp"]) for event in events}
    assert len({detection.id for detection in found}) == len(found)
    for detection in found:
        stamps = [times[event_id] for event_id in detection.evidence]
        assert stamps == sorted(stamps)
        assert stamps
        assert len(stamps) <= min(100, detection.count)
        assert detection.first_seen <= stamps[0] <= stamps[-1] <= detection.last_seen
        assert 0 <= detection.score <= 1
        assert 0 < detection.confidence <= 1
        assert detection.reasons
        for part in ("title", "description", "falsepositives", "triage", "steps", "graded"):
            assert i18n.known(f"cases.kinds.{detection.kind}.{part}")
        for reason in detection.reasons:
            assert i18n.known(reason.key), reason.key
            for language in i18n.LANGUAGES:
                assert "{" not in i18n.text(reason.key, language, **reason.values)


def shuffled_ties(events: Sequence[Event], seed: int) -> list[Event]:
    """Return the events by time with ties in a random order: stores promise no more."""
    chooser = random.Random(seed)
    return sorted(events, key=lambda event: (str(event["@timestamp"]), chooser.random()))


def cut_at(size: int) -> Callable[[list[Event]], Iterator[list[Event]]]:
    """Return a cutter into batches of ``size``."""

    def cut(chosen: list[Event]) -> Iterator[list[Event]]:
        return (chosen[start : start + size] for start in range(0, len(chosen), size))

    return cut


def names(found: Iterable[Detection]) -> set[str]:
    """Return the last words of the reasons' keys."""
    return {reason.key.rsplit(".", 1)[1] for detection in found for reason in detection.reasons}


def seconds_since_epoch(seconds: float) -> float:
    """Return ``START`` plus ``seconds`` as seconds since 1970."""
    return (START - EPOCH).total_seconds() + seconds
