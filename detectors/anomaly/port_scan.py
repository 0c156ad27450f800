"""Find vertical scans: one device tries many ports of another and most refuse or stay silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Room
from detectors.anomaly.flows import FLOW_FIELDS, FLOW_QUERY, FlowRecord, is_backscatter, read_flows
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.targets import (
    MAX_TARGETS_IN_ALL,
    Calendar,
    Period,
    Targets,
    when_it_becomes_true,
)
from detectors.base import Site, Window
from soc_core.model.detection import Detection, Severity
from soc_core.model.event import Event
from soc_core.query.tree import Query

MIN_PORTS: Final = 15
"""Ports that did not answer. Software that looks for a service tries a handful; nmap's shortest list has 100."""
MIN_SHARE: Final = 0.5
"""Share of tried ports that did not answer. FTP, video calls and games use many ports, but those answer."""
HIGH_PORTS: Final = 30
"""From here on an inside device is searched so thoroughly that somebody must look at the searcher."""
HIGH_PORTS_OUTSIDE: Final = 100
"""The same towards the internet, where a few dozen closed ports are also what broken software leaves behind."""
MAX_PAIRS: Final = 50_000
MAX_PORTS: Final = 1_024
# Traceroute sends UDP to rising ports from 33434 on, one per probe (RFC 1393 era practice, BSD traceroute).
TRACEROUTE: Final = range(33_434, 33_690)
Pair = tuple[str, str, str]


class PortScan:
    """Judge per (source, destination, transport) how many ports failed within the hour and the hour before."""

    id = "port_scan"
    window = timedelta(hours=1)
    lookback = timedelta(hours=1)
    query: Query = FLOW_QUERY
    fields: tuple[str, ...] = FLOW_FIELDS

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per pair whose scan becomes evident in ``window``.

        The device is the scanner when it is inside, otherwise the device scanned: what the school can act on.
        """
        calendar = Calendar(window)
        places = Room(MAX_TARGETS_IN_ALL)
        table: BoundedTable[Pair, Targets] = BoundedTable(MAX_PAIRS, lambda: Targets(MAX_PORTS, places))
        for flow in read_flows(batches):
            if _counts(flow):
                period = calendar.period(flow.time_us)
                pair = (flow.source, flow.destination, flow.transport)
                row = table.visit(pair, early=period is Period.BEFORE)
                if row is not None:
                    row.add(flow.port, flow, period)
        found: list[Detection] = []
        for pair, targets in table.items():
            verdict = _judge(pair, targets, site, table.left_out)
            if verdict is not None:
                found.append(make_detection(self.id, window, verdict, targets.evidence))
        return in_stable_order(found)


def _counts(flow: FlowRecord) -> bool:
    if flow.transport not in {"tcp", "udp"} or flow.part > 1 or is_backscatter(flow):
        return False
    return not (flow.transport == "udp" and flow.port in TRACEROUTE)


def _judge(pair: Pair, targets: Targets, site: Site, left_out: int) -> Verdict | None:
    if targets.tried(Period.BOTH) < MIN_PORTS:
        return None
    failed = when_it_becomes_true(lambda period: _scanned(targets, period))
    if failed is None:
        return None
    source, destination, transport = pair
    scanner_inside = site.plan.is_inside(source)
    opened = sorted(int(port) for port in targets.answered(Period.BOTH))
    reasons = [
        reason(
            "port_scan",
            "ports",
            source=source,
            peer=destination,
            ports=targets.tried(Period.BOTH),
            failed=failed,
            transport=transport.upper(),
        )
    ]
    if opened:
        reasons.append(
            reason("port_scan", "answered", count=len(opened), ports=", ".join(map(str, opened[:10])))
        )
    return Verdict(
        kind="port_scan",
        address=source if scanner_inside else destination,
        peer=destination if scanner_inside else source,
        about=f"{transport}|{'out' if scanner_inside else 'in'}",
        severity=_severity(failed, scanner_inside, site.plan.is_inside(destination)),
        reasons=(*reasons, *overflow_reasons(left_out + targets.left_out)),
        techniques=("T1046",) if scanner_inside else ("T1595.001",),
        confidence=0.95 if failed >= HIGH_PORTS else 0.8,
    )


def _scanned(targets: Targets, period: Period) -> int | None:
    failed, tried = len(targets.failed(period)), targets.tried(period)
    return failed if failed >= MIN_PORTS and failed >= MIN_SHARE * tried else None


def _severity(failed: int, scanner_inside: bool, target_inside: bool) -> Severity:
    """Return low for scans from the internet, which every public address sees all day and nobody needs to act on."""
    if not scanner_inside:
        return Severity.LOW
    needed = HIGH_PORTS if target_inside else HIGH_PORTS_OUTSIDE
    return Severity.HIGH if failed >= needed else Severity.MEDIUM
