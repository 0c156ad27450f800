"""Look for file shares on every address of the network, as worms do."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture
from pcaps.wire.frames import arp
from pcaps.wire.tcp import Connection, Pace

INFECTED = inside("192.168.20.77")


def build(capture: Capture) -> None:
    """Build one try at port 445 of each neighbour network's address: few answer, most are silent or refuse."""
    rng = capture.rng
    for number, last in enumerate(rng.sample(range(1, 255), 254)):
        target = inside(f"192.168.21.{last}", vendor="00:00:5e")
        at_us = capture.at(number * 0.21) + rng.randrange(90_000)
        probe = Connection(capture, (INFECTED, target), 445, at_us, pace=Pace(700))
        chance = rng.random()
        if chance < 0.08:
            probe.half_open()
        elif chance < 0.3:
            probe.refused()
        else:
            probe.unanswered(repeats=2)
    for number in range(30):
        capture.add_frame(capture.at(number * 1.9), arp(INFECTED, f"192.168.20.{90 + number}"))
    for number in range(10):
        background.browse(capture, inside("192.168.20.15"), inside("192.168.20.1"), capture.at(number * 5))


SCENARIO = Scenario(
    name="host_scan",
    ending=".pcap.gz",
    hour=14.1,
    zh="校内电脑逐个探测 445 端口",
    en="An inside PC probes port 445 of a whole network",
    build=build,
    addresses={
        "192.168.20.77": ("疑似感染病毒的电脑", "the infected PC"),
        "192.168.20.15": ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("host_scan", "192.168.20.77", "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.15"},),
)
