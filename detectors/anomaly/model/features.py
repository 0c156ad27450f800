"""Turn flows into numbers: how much, how long, to which service, in which direction, at what hour.

Amounts are decimal logarithms, so that ten times as much is one step whatever the amount. Three features compare a
flow with the median of its own service: 50 kB are nothing for the web and remarkable for a name server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.flows import FlowRecord
from soc_core.model.organisation import AddressPlan

Numbers: TypeAlias = NDArray[np.float64]

FEATURES: Final = (
    "sent",
    "received",
    "packets_sent",
    "packets_received",
    "duration",
    "ratio",
    "size_sent",
    "size_received",
    "sent_here",
    "received_here",
    "duration_here",
    "service",
    "port_class",
    "inbound",
    "internal",
    "failed",
    "udp",
    "icmp",
    "hour",
)
"""Columns of the matrix. Changing them, or what they mean, makes older models unusable: raise ``card.FORMAT``."""
SERVICE_COLUMNS: Final = (0, 1, 4)
"""Columns (sent, received, duration) of which each service has a median of its own."""
MAX_SERVICES: Final = 2_000
MIN_SERVICE_FLOWS: Final = 20
"""Fewer flows give no median worth comparing with; such services use that of all flows."""
DYNAMIC_PORT: Final = 32_768
"""Where Linux' ephemeral ports start: single ports above say nothing, so they count as one service per transport."""
LOCAL_OFFSET_HOURS: Final = 8
"""Asia/Shanghai; school hours are local."""
MIN_DAYS_FOR_HOURS: Final = 7
"""Hours are learned only from flows of seven days or more: an hour's recording must not make all others unusual."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Hold what is usual at a place: shares of services and hours, medians of services. Shares are 0–1.

    ``medians`` has one row per service and one more, the last, for all flows. ``hours`` is all ones where hours were
    not learned. ``flows`` is how many flows it was learned from.
    """

    services: tuple[str, ...]
    shares: Numbers
    medians: Numbers
    hours: Numbers
    flows: int

    def positions(self) -> dict[str, int]:
        """Return the row of each service."""
        return {name: row for row, name in enumerate(self.services)}


def service_of(flow: FlowRecord) -> str:
    """Return the name of the service a flow went to, e.g. ``tcp/443``, ``icmp`` or ``udp/dynamic``."""
    if flow.transport not in {"tcp", "udp"}:
        return flow.transport or "other"
    return f"{flow.transport}/{'dynamic' if flow.port >= DYNAMIC_PORT else flow.port}"


def amounts(flows: Sequence[FlowRecord]) -> Numbers:
    """Return the columns that need no knowledge of the place: the first eight of ``FEATURES``."""
    raw = np.array(
        [
            (flow.sent, flow.received, flow.packets_sent, flow.packets_received, flow.duration * 1_000)
            for flow in flows
        ],
        dtype=np.float64,
    ).reshape(len(flows), 5)
    logs = np.log10(1 + raw)
    sent, received, packets_sent, packets_received = (raw[:, column] for column in range(4))
    size_sent = np.log10(1 + sent / np.maximum(packets_sent, 1))
    size_received = np.log10(1 + received / np.maximum(packets_received, 1))
    return np.column_stack([logs, logs[:, 0] - logs[:, 1], size_sent, size_received])


def learn_usual(flows: Sequence[FlowRecord]) -> Usual:
    """Return what is usual in ``flows``: the commonest services, their medians, the hours."""
    columns = amounts(flows)[:, SERVICE_COLUMNS]
    names = np.array([service_of(flow) for flow in flows])
    counts = Counter(names.tolist())
    kept = tuple(
        sorted(name for name, _ in sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:MAX_SERVICES])
    )
    overall = np.median(columns, axis=0)
    medians = [
        np.median(columns[names == name], axis=0) if counts[name] >= MIN_SERVICE_FLOWS else overall
        for name in kept
    ]
    hours = np.ones(24)
    if len({_local_hours(flow) // 24 for flow in flows}) >= MIN_DAYS_FOR_HOURS:
        hours = (np.bincount([hour_of(flow) for flow in flows], minlength=24) + 0.5) / (len(flows) + 12)
    return Usual(
        services=kept,
        shares=np.array([counts[name] / len(flows) for name in kept]),
        medians=np.vstack([*medians, overall]),
        hours=hours,
        flows=len(flows),
    )


def hour_of(flow: FlowRecord) -> int:
    """Return the local hour of day in which the flow began."""
    return _local_hours(flow) % 24


def _local_hours(flow: FlowRecord) -> int:
    return flow.time_us // 3_600_000_000 + LOCAL_OFFSET_HOURS


def direction_of(flow: FlowRecord, plan: AddressPlan) -> str:
    """Return ``inbound``, ``outbound`` or ``internal``; empty when neither side is ours."""
    source, destination = plan.is_inside(flow.source), plan.is_inside(flow.destination)
    if source:
        return "internal" if destination else "outbound"
    return "inbound" if destination else ""


def matrix(flows: Sequence[FlowRecord], directions: Sequence[str], usual: Usual) -> Numbers:
    """Return one row per flow with the columns ``FEATURES``; ``directions`` are those of ``direction_of``."""
    columns = amounts(flows)
    rows = usual.positions()
    other = len(usual.services)
    services = np.array([rows.get(service_of(flow), other) for flow in flows], dtype=np.int64)
    shares = np.append(usual.shares, 0.5 / usual.flows)
    here = columns[:, SERVICE_COLUMNS] - usual.medians[services]
    marks = np.array(
        [_marks(flow, direction) for flow, direction in zip(flows, directions, strict=True)], dtype=np.float64
    ).reshape(len(flows), 6)
    hours = -np.log10(usual.hours[[hour_of(flow) for flow in flows]])
    return np.column_stack([columns, here, -np.log10(shares[services]), marks, hours])


def _marks(flow: FlowRecord, direction: str) -> tuple[float, ...]:
    port_class = 0 if flow.port < 1_024 else 1 if flow.port < DYNAMIC_PORT else 2
    return (
        port_class,
        direction == "inbound",
        direction == "internal",
        flow.failed,
        flow.transport == "udp",
        flow.transport == "icmp",
    )
