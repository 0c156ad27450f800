"""Find exfiltration by volume: a device sends much more to one outside peer than it gets back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Evidence
from detectors.anomaly.flows import FLOW_FIELDS, FLOW_QUERY, read_flows
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from soc_core.model.detection import Detection, Severity
from soc_core.model.event import Event
from soc_core.query.tree import Query

MEGABYTE: Final = 1_000_000
MIN_SENT: Final = 200 * MEGABYTE
"""A day's mail, homework and video calls to one address stay below; a school's pupil register is larger."""
MIN_RATIO: Final = 5.0
"""Sent over received. Downloads have 0.02, calls about 1, uploads of files 20 and more."""
HIGH_SENT: Final = 1_000 * MEGABYTE
HIGH_RATIO: Final = 10.0
SMALL_SENT: Final = 20 * MEGABYTE
"""Enough on ports where no school device has a reason to upload, see ``ORDINARY_PORTS``."""
ORDINARY_PORTS: Final = frozenset({80, 443, 554, 993, 465, 587, 1935, 8080, 8443})
"""Web, mail, cameras and streaming: backups and recorders upload there by trade, so these are never high."""
SHARED_HOSTS: Final = 3
"""From this many senders on, the peer is a service of the school (backup, netdisk), not one machine's secret."""
MAX_PAIRS: Final = 50_000
Pair = tuple[str, str, int, str]


@dataclass(slots=True)
class Volume:
    """Add up what one device sent to, and got from, one peer and port, per period in bytes."""

    sent: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    received: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    evidence: Evidence = field(default_factory=lambda: Evidence(20))

    def total(self, period: Period) -> tuple[int, int]:
        """Return bytes sent and received in ``period``."""
        parts = [part for part in (Period.BEFORE, Period.NOW) if part & period]
        return sum(self.sent[part] for part in parts), sum(self.received[part] for part in parts)


class Exfiltration:
    """Judge per (device, peer, port) the volume of half a day and the half before."""

    id = "exfiltration"
    window = timedelta(hours=12)
    lookback = timedelta(hours=12)
    query: Query = FLOW_QUERY
    fields: tuple[str, ...] = FLOW_FIELDS

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per device and peer whose volume becomes evident in ``window``."""
        calendar = Calendar(window)
        table: BoundedTable[Pair, Volume] = BoundedTable(MAX_PAIRS, Volume)
        for flow in read_flows(batches):
            if not site.plan.is_inside(flow.source) or site.plan.is_inside(flow.destination):
                continue
            period = calendar.period(flow.time_us)
            pair = (flow.source, flow.destination, flow.port, flow.transport)
            volume = table.visit(pair, early=period is Period.BEFORE)
            if volume is not None:
                volume.sent[period] += flow.sent
                volume.received[period] += flow.received
                volume.evidence.add(
                    flow.event_id,
                    flow.timestamp,
                    early=period is Period.BEFORE,
                    keep=flow.sent > flow.received,
                )
        senders = _senders(table)
        found: list[Detection] = []
        for pair, volume in table.items():
            verdict = _judge(pair, volume, senders.get(pair[1], 1), table.left_out)
            if verdict is not None:
                found.append(make_detection(self.id, window, verdict, volume.evidence))
        return in_stable_order(found)


def _senders(table: BoundedTable[Pair, Volume]) -> dict[str, int]:
    """Return for each peer how many devices sent it more than a megabyte."""
    devices: dict[str, set[str]] = {}
    for (source, peer, _, _), volume in table.items():
        if volume.total(Period.BOTH)[0] > MEGABYTE:
            devices.setdefault(peer, set()).add(source)
    return {peer: len(sources) for peer, sources in devices.items()}


def _judge(pair: Pair, volume: Volume, senders: int, left_out: int) -> Verdict | None:
    source, peer, port, transport = pair
    needed = MIN_SENT if port in ORDINARY_PORTS else SMALL_SENT
    if when_it_becomes_true(lambda period: _uploaded(volume, period, needed)) is None:
        return None
    sent, received = volume.total(Period.BOTH)
    reasons = [
        reason(
            "exfiltration",
            "volume",
            source=source,
            peer=peer,
            service=f"{transport.upper()}/{port}",
            sent=round(sent / MEGABYTE, 1),
            received=round(received / MEGABYTE, 1),
        )
    ]
    if senders >= SHARED_HOSTS:
        reasons.append(reason("exfiltration", "shared", hosts=senders))
    elif port in ORDINARY_PORTS:
        reasons.append(reason("exfiltration", "ordinary_port", port=port))
    else:
        reasons.append(reason("exfiltration", "unusual_port", port=port))
    return Verdict(
        kind="exfiltration",
        address=source,
        peer=peer,
        about=f"{transport}/{port}",
        severity=_severity(sent, received, port, senders),
        reasons=(*reasons, *overflow_reasons(left_out)),
        techniques=("T1048", "T1041"),
        score=min(1.0, 0.5 + sent / (4 * HIGH_SENT)),
        confidence=0.6,
    )


def _uploaded(volume: Volume, period: Period, needed: int) -> bool | None:
    sent, received = volume.total(period)
    return True if sent >= needed and sent >= MIN_RATIO * received else None


def _severity(sent: int, received: int, port: int, senders: int) -> Severity:
    if senders >= SHARED_HOSTS:
        return Severity.LOW
    if port in ORDINARY_PORTS:
        return Severity.MEDIUM
    return Severity.HIGH if sent >= HIGH_SENT and sent >= HIGH_RATIO * received else Severity.MEDIUM
