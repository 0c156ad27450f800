"""Find horizontal scans: one device tries one port (or ping) on many hosts and many of them don't answer.

Slow scans count too: the window reaches back six hours in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

REMOTE_PORTS: Final = frozenset(
    {21, 22, 23, 135, 139, 445, 1433, 2323, 3306, 3389, 5555, 5900, 5985, 6379, 8291}
)
"""Ports by which worms and intruders enter: file shares, remote control, databases, device administration."""
NOISY_PORTS: Final = frozenset({137, 138, 1900, 3702, 5350, 5351, 5353, 5355, 7680, 17500, 27036, 51413})
"""Ports that well-behaved software tries on every neighbour: name and device discovery, Windows delivery optimisation,
Dropbox and Steam on the LAN, BitTorrent. Silence there means nothing."""
BITTORRENT: Final = range(6881, 6890)
WEB_PORTS: Final = frozenset({80, 443, 8080, 8443})
MAX_SOURCES: Final = 50_000
MAX_HOSTS: Final = 4_096
Group = tuple[str, str, int, bool, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold when a group of targets counts as scanned: hosts that never answered, and their share of all tried.

    ``burst`` is how many of them must be tried within a minute (0: any pace), ``high`` from how many on it is high.
    """

    hosts: int
    share: float
    high: int
    burst: int = 0


INSIDE: Final = Limits(hosts=10, share=0.3, high=25)
"""Inside, addresses without a device are rarely tried by chance. 25 is also the threshold of Zeek's scan.zeek."""
INSIDE_REMOTE: Final = Limits(hosts=10, share=0.3, high=15)
OUTSIDE: Final = Limits(hosts=20, share=0.5, high=1_000)
OUTSIDE_REMOTE: Final = Limits(hosts=15, share=0.5, high=25)
"""A device of ours that looks for remote access on the internet is infected or misused: the school must act."""
OUTSIDE_WEB: Final = Limits(hosts=10, share=0.35, high=100_000, burst=10)
"""Dead advertising hosts fail all day, but not ten within a minute. Never high: browsers do odd things."""
PING: Final = Limits(hosts=25, share=0.5, high=100_000)
"""Network management pings a lot, and mostly hosts that exist."""
BURST_SECONDS: Final = 60
MAX_PORTS_TOLD: Final = 10
"""Ports a window tells of one source: who sweeps a hundred ports needs no hundred detections, the rest is counted."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Hold a group that counts as scanned, and how many of its hosts did not answer."""

    group: Group
    targets: Targets
    failed: int


class HostScan:
    """Judge per (source, transport, port, inside or outside, IP version) how many hosts never answered."""

    id = "host_scan"
    window = timedelta(hours=3)
    lookback = timedelta(hours=3)
    query: Query = FLOW_QUERY
    fields: tuple[str, ...] = FLOW_FIELDS

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per scanning source, port and side. The device is the scanner, wherever it is."""
        calendar = Calendar(window)
        places = Room(MAX_TARGETS_IN_ALL)
        table: BoundedTable[Group, Targets] = BoundedTable(MAX_SOURCES, lambda: Targets(MAX_HOSTS, places))
        for flow in read_flows(batches):
            if _counts(flow):
                period = calendar.period(flow.time_us)
                row = table.visit(_group(flow, site), early=period is Period.BEFORE)
                if row is not None:
                    row.add(flow.destination, flow, period)
        groups = dict(table.items())
        scans: dict[str, list[Scan]] = {}
        for group, targets in groups.items():
            scan = None if _is_broken_ipv6(group, groups) else _judge(group, targets)
            if scan is not None:
                scans.setdefault(group[0], []).append(scan)
        found: list[Detection] = []
        for ports in scans.values():
            ports.sort(key=lambda scan: (-scan.failed, scan.group))
            for place, scan in enumerate(ports[:MAX_PORTS_TOLD]):
                others = max(0, len(ports) - MAX_PORTS_TOLD) if place == 0 else 0
                verdict = _verdict(scan, site, others, table.left_out)
                found.append(make_detection(self.id, window, verdict, scan.targets.evidence))
        return in_stable_order(found)


def _counts(flow: FlowRecord) -> bool:
    if flow.transport == "icmp":
        return flow.part == 1
    if flow.transport not in {"tcp", "udp"} or flow.part > 1 or is_backscatter(flow):
        return False
    return not flow.midstream and flow.port not in NOISY_PORTS and flow.port not in BITTORRENT


def _group(flow: FlowRecord, site: Site) -> Group:
    port = 0 if flow.transport == "icmp" else flow.port
    version = 6 if ":" in flow.destination else 4
    return (flow.source, flow.transport, port, site.plan.is_inside(flow.destination), version)


def _is_broken_ipv6(group: Group, groups: dict[Group, Targets]) -> bool:
    """Tell whether a device merely has IPv6 without a way out: browsers try it first, every time (RFC 8305)."""
    source, transport, port, inside, version = group
    if version != 6 or inside or port not in WEB_PORTS or groups[group].answered(Period.BOTH):
        return False
    other = groups.get((source, transport, port, False, 4))
    return other is not None and bool(other.answered(Period.BOTH))


def _limits(group: Group) -> Limits:
    _, transport, port, inside, _ = group
    if transport == "icmp":
        return PING
    if inside:
        return INSIDE_REMOTE if port in REMOTE_PORTS else INSIDE
    if port in WEB_PORTS:
        return OUTSIDE_WEB
    return OUTSIDE_REMOTE if port in REMOTE_PORTS else OUTSIDE


def _judge(group: Group, targets: Targets) -> Scan | None:
    limits = _limits(group)
    if targets.tried(Period.BOTH) < limits.hosts:
        return None
    failed = when_it_becomes_true(lambda period: _scanned(targets, period, limits))
    return None if failed is None else Scan(group, targets, failed)


def _verdict(scan: Scan, site: Site, others: int, left_out: int) -> Verdict:
    source, transport, port, inside, version = scan.group
    targets, failed, limits = scan.targets, scan.failed, _limits(scan.group)
    name = "pings" if transport == "icmp" else "hosts"
    hosts = targets.tried(Period.BOTH)
    reasons = [
        reason(
            "host_scan",
            name,
            source=source,
            hosts=hosts,
            failed=failed,
            service=f"{transport.upper()}/{port}",
        )
    ]
    if port in REMOTE_PORTS and transport == "tcp":
        reasons.append(reason("host_scan", "remote", port=port))
    if targets.answered(Period.BOTH):
        reasons.append(reason("host_scan", "answered", count=len(targets.answered(Period.BOTH))))
    if others:
        reasons.append(reason("host_scan", "others", count=others))
    return Verdict(
        kind="host_scan",
        address=source,
        about=f"{transport}/{port}/{'inside' if inside else 'outside'}/{version}",
        severity=_severity(failed, site.plan.is_inside(source), limits),
        reasons=(*reasons, *overflow_reasons(left_out + targets.left_out)),
        techniques=("T1018", "T1046"),
        confidence=0.9 if failed >= limits.high else 0.7,
    )


def _scanned(targets: Targets, period: Period, limits: Limits) -> int | None:
    failed, tried = len(targets.failed(period)), targets.tried(period)
    if failed < limits.hosts or failed < limits.share * tried:
        return None
    return failed if targets.fastest(period, BURST_SECONDS) >= limits.burst else None


def _severity(failed: int, scanner_inside: bool, limits: Limits) -> Severity:
    if not scanner_inside:
        return Severity.LOW
    return Severity.HIGH if failed >= limits.high else Severity.MEDIUM
