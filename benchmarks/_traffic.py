"""Make flows of an ordinary school: what is typical per service, with a lognormal spread. Tests use it too."""

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


def school_flows(
    count: int, *, seed: int = 1, start: float = 0, hours: float = 9, devices: int = 30
) -> list[Event]:
    """Return ``count`` flows over ``hours`` from ``start`` seconds after ``BEGIN`` on, by time."""
    chooser = random.Random(seed)
    times = sorted(start + 3_600 * hours * chooser.random() for _ in range(count))
    return [
        _flow(chooser, at, f"192.168.1.{10 + chooser.randrange(devices)}", (seed, number))
        for number, at in enumerate(times)
    ]


def _flow(chooser: random.Random, at: float, device: str, name: tuple[int, int]) -> Event:
    transport, port, _, sent, received, seconds = chooser.choices(SERVICES, [row[2] for row in SERVICES])[0]
    inside = port in {53, 445}
    peer = "192.168.1.2" if inside else f"203.0.{chooser.randrange(40)}.{1 + chooser.randrange(200)}"
    out, back = round(sent * chooser.lognormvariate(0, 0.6)), round(received * chooser.lognormvariate(0, 0.9))
    stamp = format_instant(BEGIN + timedelta(seconds=at))
    seed, number = name
    return {
        "@timestamp": stamp,
        "event.id": make_event_id(stamp, seed.to_bytes(4, "big"), number, b""),
        "event.dataset": "packets.flow",
        "source.ip": device,
        "source.port": 40_000 + number % 20_000,
        "source.bytes": out,
        "source.packets": 1 + out // 600,
        "destination.ip": peer,
        "destination.port": port,
        "destination.bytes": back,
        "destination.packets": 1 + back // 1_200,
        "network.transport": transport,
        "event.duration": round(1e9 * seconds * chooser.lognormvariate(0, 0.7)),
    }
