"""Find beacons: a device calls one outside peer again and again at regular intervals for hours.

Regularity alone proves little: updates, cameras' clouds and time servers are regular too. So the level depends on who
else calls the peer, on which port, and whether the gaps are varied on purpose; only all three together are high.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import numpy as np

from detectors.anomaly.bounded import BoundedTable, Evidence, Room, room
from detectors.anomaly.flows import FLOW_FIELDS, FLOW_QUERY, FlowRecord, read_flows
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.regularity import Numbers, RitaScore, rita_score, steady_score
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from soc_core.model.detection import Detection, Reason, Severity
from soc_core.model.event import Event
from soc_core.query.tree import Query

MIN_CALLS: Final = 24
"""Fewer calls, even evenly spaced, are often chance: 24 is one an hour for a day or one in 20 minutes for 8 hours."""
MIN_HOURS: Final = 3.0
"""Polling web pages are open for a lesson or two; malware for as long as the machine is on."""
MIN_SCORE: Final = 0.8
BOTH_STEADY: Final = 0.65
BOTH_RITA: Final = 0.55
BOTH_CALLS: Final = 36
"""Where the gaps vary by half and the sizes too, neither score is sure alone; both together are, given enough calls."""
HIGH_SCORE: Final = 0.85
MIN_ANSWERED: Final = 0.5
"""A program that nobody answers repeats itself too; it may be a dead trojan or a dead printer server: never high."""
HIGH_JITTER: Final = 0.05
"""Keep-alives of recorders, agents and cloud services tick exactly; a gap that is varied on purpose hides something."""
DAY_SECONDS: Final = 86_400.0
SHARED_HOSTS: Final = 4
"""From this many devices of ours on, the peer is software that many have (updates, antivirus, cloud of a vendor)."""
ORDINARY_PORTS: Final = frozenset(
    {80, 443, 8080, 8443, 25, 110, 143, 465, 587, 993, 995, 554, 1883, 5222, 5223, 5228, 8883}
)
"""Ports where regular calls are everyday life: web, mail clients polling, cameras, message push."""
CLOCKWORK: Final = frozenset(
    {("udp", 123), ("udp", 53), ("tcp", 53), ("tcp", 853), ("udp", 161), ("udp", 3478), ("udp", 19302)}
)
"""Left out: NTP is regular by definition (RFC 5905 poll interval), DNS has its own detector, SNMP and STUN poll."""
MAX_PAIRS: Final = 20_000
MAX_CALLS: Final = 4_096
MAX_CALLS_IN_ALL: Final = 1_000_000
MAX_PEER_HOSTS: Final = 8
Pair = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Hold what the calls of the last day look like.

    ``period`` is the typical gap in seconds, ``jitter`` the median deviation from it as a share of it, ``answered``
    the share of calls the peer took.
    """

    steady: float
    rita: RitaScore | None
    calls: int
    period: float
    jitter: float
    hours: float
    answered: float = 1.0


@dataclass(slots=True)
class Calls:
    """Collect the calls of one device to one peer and port: times in µs (ascending), bytes sent.

    ``earlier`` is how many of them lie in the look-back, ``answered`` how many the peer took.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    evidence: Evidence = field(default_factory=lambda: Evidence(20))
    earlier: int = 0
    answered: int = 0

    def add(self, flow: FlowRecord, places: Room, *, early: bool) -> bool:
        """Note a call; return ``False`` when there is no room for it."""
        if len(self.times) >= room(MAX_CALLS, early=early) or not places.take(early=early):
            return False
        self.times.append(flow.time_us)
        self.sizes.append(flow.sent)
        self.earlier += early
        self.answered += not flow.failed
        self.evidence.add(flow.event_id, flow.timestamp, early=early)
        return True

    def rhythm(self, period: Period) -> Rhythm | None:
        """Return the rhythm of the calls of ``period`` if they are a beacon's."""
        first = 0 if period & Period.BEFORE else self.earlier
        last = len(self.times) if period & Period.NOW else self.earlier
        rhythm = measure(self.times[first:last], self.sizes[first:last])
        if rhythm is None or not is_beacon(rhythm):
            return None
        return replace(rhythm, answered=self.answered / len(self.times))


class Beacon:
    """Judge per (device, peer, port) the last 24 hours of calls in the window and the day before it."""

    id = "beacon"
    window = timedelta(hours=24)
    lookback = timedelta(hours=24)
    query: Query = FLOW_QUERY
    fields: tuple[str, ...] = FLOW_FIELDS

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per beacon that becomes evident in ``window``: device is the caller, peer the called."""
        calendar, places = Calendar(window), Room(MAX_CALLS_IN_ALL)
        table: BoundedTable[Pair, Calls] = BoundedTable(MAX_PAIRS, Calls)
        callers: BoundedTable[str, set[str]] = BoundedTable(MAX_PAIRS, set)
        for flow in read_flows(batches):
            if not _counts(flow, site):
                continue
            period = calendar.period(flow.time_us)
            early = period is Period.BEFORE
            sources = callers.visit(flow.destination, early=early)
            if sources is not None and len(sources) < MAX_PEER_HOSTS:
                sources.add(flow.source)
            pair = (flow.source, flow.destination, flow.transport, flow.port)
            calls = table.visit(pair, early=early)
            if calls is not None:
                table.left_out += not calls.add(flow, places, early=early)
        shared = {peer: len(sources) for peer, sources in callers.items()}
        found: list[Detection] = []
        for pair, calls in table.items():
            rhythm = when_it_becomes_true(calls.rhythm) if len(calls.times) >= MIN_CALLS else None
            if rhythm is not None:
                verdict = _verdict(pair, rhythm, shared.get(pair[1], 1), table.left_out)
                found.append(make_detection(self.id, window, verdict, calls.evidence))
        return in_stable_order(found)


def _counts(flow: FlowRecord, site: Site) -> bool:
    if flow.part > 1 or flow.transport not in {"tcp", "udp"}:
        return False
    if (flow.transport, flow.port) in CLOCKWORK:
        return False
    return site.plan.is_inside(flow.source) and not site.plan.is_inside(flow.destination)


def measure(times_us: Sequence[int], sizes: Sequence[int]) -> Rhythm | None:
    """Return the rhythm of the last 24 hours of calls (µs, ascending); ``None`` when they are too few or too short."""
    if len(times_us) < MIN_CALLS:
        return None
    times: Numbers = np.asarray(times_us, dtype=np.float64) / 1e6
    recent = times > times[-1] - DAY_SECONDS
    times, sent = times[recent], np.asarray(sizes, dtype=np.float64)[recent]
    hours = float(times[-1] - times[0]) / 3600
    if len(times) < MIN_CALLS or hours < MIN_HOURS:
        return None
    gaps = np.diff(times)
    gaps = gaps[gaps >= 1.0]
    if not len(gaps):
        return None
    end, period = float(times[-1]), float(np.median(gaps))
    return Rhythm(
        steady=steady_score(times, sent),
        rita=rita_score(times, sent, start=end - DAY_SECONDS, end=end),
        calls=len(times),
        period=period,
        jitter=float(np.median(np.abs(gaps - period))) / period,
        hours=hours,
    )


def is_beacon(rhythm: Rhythm) -> bool:
    """Tell whether the calls are regular enough by the steady score, or by both scores together."""
    if rhythm.steady >= MIN_SCORE:
        return True
    both = rhythm.steady >= BOTH_STEADY and rhythm.rita is not None and rhythm.rita.score >= BOTH_RITA
    return both and rhythm.calls >= BOTH_CALLS


def _verdict(pair: Pair, rhythm: Rhythm, hosts: int, left_out: int) -> Verdict:
    source, peer, transport, port = pair
    reasons: list[Reason] = [
        reason(
            "beacon",
            "rhythm",
            source=source,
            peer=peer,
            service=f"{transport.upper()}/{port}",
            calls=rhythm.calls,
            hours=round(rhythm.hours, 1),
            seconds=round(rhythm.period),
        ),
        reason("beacon", "score", steady=rhythm.steady, rita=rhythm.rita.score if rhythm.rita else 0.0),
    ]
    if rhythm.answered < MIN_ANSWERED:
        reasons.append(reason("beacon", "unanswered", percent=round(100 * rhythm.answered)))
    if rhythm.jitter >= HIGH_JITTER:
        reasons.append(reason("beacon", "jitter", percent=round(100 * rhythm.jitter)))
    if hosts >= SHARED_HOSTS:
        reasons.append(reason("beacon", "shared", hosts=hosts))
    elif port in ORDINARY_PORTS:
        reasons.append(reason("beacon", "ordinary_port", port=port))
    else:
        reasons.append(reason("beacon", "rare", hosts=hosts))
    return Verdict(
        kind="beacon",
        address=source,
        peer=peer,
        about=f"{transport}/{port}",
        severity=_severity(rhythm, port, hosts),
        reasons=(*reasons, *overflow_reasons(left_out)),
        techniques=("T1071", "T1573"),
        score=rhythm.steady,
        confidence=0.6 if port in ORDINARY_PORTS else 0.75,
    )


def _severity(rhythm: Rhythm, port: int, hosts: int) -> Severity:
    clockwork = rhythm.jitter < HIGH_JITTER
    if hosts >= SHARED_HOSTS or (clockwork and port in ORDINARY_PORTS):
        return Severity.LOW
    if port in ORDINARY_PORTS or rhythm.answered < MIN_ANSWERED:
        return Severity.MEDIUM
    return Severity.HIGH if rhythm.steady >= HIGH_SCORE and not clockwork else Severity.MEDIUM
