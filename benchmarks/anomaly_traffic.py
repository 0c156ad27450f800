"""Make flows of an ordinary school, for measuring speed: what is typical per service, with a lognormal spread."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from soc_core.clock import format_instant
from soc_core.model.event import Event, make_event_id

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
# transport, port, weight, typical bytes sent and received, seconds
SERVICES = (
    ("tcp", 443, 55, 3_000, 60_000, 4.0),
    ("tcp", 80, 12, 1_200, 20_000, 1.5),
    ("udp", 53, 25, 70, 180, 0.03),
    ("udp", 123, 3, 76, 76, 0.05),
    ("tcp", 993, 2, 2_000, 9_000, 20.0),
    ("tcp", 445, 3, 30_000, 200_000, 30.0),
)


def school_flows(count: int, *, seed: int = 1, hours: float = 9, devices: int = 60) -> list[Event]:
    """Return ``count`` flows over ``hours``, by time."""
    chooser = random.Random(seed)
    times = sorted(3_600 * hours * chooser.random() for _ in range(count))
    return [_flow(chooser, at, number, seed, devices) for number, at in enumerate(times)]


def _flow(chooser: random.Random, at: float, number: int, seed: int, devices: int) -> Event:
    transport, port, _, sent, received, seconds = chooser.choices(SERVICES, [row[2] for row in SERVICES])[0]
    out, back = round(sent * chooser.lognormvariate(0, 0.6)), round(received * chooser.lognormvariate(0, 0.9))
    stamp = format_instant(BEGIN + timedelta(days=seed, seconds=at))
    inside = port in {53, 445}
    return {
        "@timestamp": stamp,
        "event.id": make_event_id(stamp, seed.to_bytes(4, "big"), number, b""),
        "event.dataset": "packets.flow",
        "source.ip": f"192.168.1.{10 + chooser.randrange(devices)}",
        "source.port": 40_000 + number % 20_000,
        "source.bytes": out,
        "source.packets": 1 + out // 600,
        "destination.ip": "192.168.1.2"
        if inside
        else f"203.0.{chooser.randrange(40)}.{1 + chooser.randrange(200)}",
        "destination.port": port,
        "destination.bytes": back,
        "destination.packets": 1 + back // 1_200,
        "network.transport": transport,
        "event.duration": round(1e9 * seconds * chooser.lognormvariate(0, 0.7)),
    }
