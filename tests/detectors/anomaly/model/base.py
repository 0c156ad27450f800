"""Make a normal day of a small school, and what does not belong there."""

from __future__ import annotations

import random
from functools import cache

from detectors.anomaly.model.files import Model
from detectors.anomaly.model.training import train_from_events
from soc_core.model.event import Event
from tests.conftest import NOW
from tests.detectors.anomaly.base import Maker

SERVICES = (
    # transport, port, weight, typical bytes sent and received, seconds
    ("tcp", 443, 55, 3_000, 60_000, 4.0),
    ("tcp", 80, 12, 1_200, 20_000, 1.5),
    ("udp", 53, 25, 70, 180, 0.03),
    ("udp", 123, 3, 76, 76, 0.05),
    ("tcp", 993, 2, 2_000, 9_000, 20.0),
    ("tcp", 445, 3, 30_000, 200_000, 30.0),
)


def normal(
    count: int, *, seed: int = 1, start: float = 0, hours: float = 9, devices: int = 30
) -> list[Event]:
    """Return ``count`` flows over ``hours`` of a school's traffic, by time."""
    chooser, maker = random.Random(seed), Maker()
    times = sorted(start + 3_600 * hours * chooser.random() for _ in range(count))
    return [_flow(maker, chooser, at, f"192.168.1.{10 + chooser.randrange(devices)}", seed) for at in times]


def _flow(maker: Maker, chooser: random.Random, at: float, device: str, seed: int) -> Event:
    transport, port, _, sent, received, seconds = chooser.choices(SERVICES, [row[2] for row in SERVICES])[0]
    inside = port in {53, 445}
    peer = "192.168.1.2" if inside else f"203.0.{chooser.randrange(40)}.{1 + chooser.randrange(200)}"
    out, back = round(sent * chooser.lognormvariate(0, 0.6)), round(received * chooser.lognormvariate(0, 0.9))
    event = maker.flow(
        at,
        device,
        peer,
        port,
        network__transport=transport,
        source__bytes=out,
        destination__bytes=back,
        source__packets=1 + out // 600,
        destination__packets=1 + back // 1_200,
        event__duration=round(1e9 * seconds * chooser.lognormvariate(0, 0.7)),
    )
    event["event.id"] = f"{str(event['event.id'])[:9]}{seed}-{str(event['event.id'])[9:]}"
    return event


@cache
def small_model() -> Model:
    """Return a model of 6,000 normal flows, always the same."""
    return train_from_events(normal(6_000), clock=lambda: NOW)
