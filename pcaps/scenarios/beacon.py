"""Call a control server every five minutes or so, all working hours, over TLS with a certificate of its own."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside, outside
from pcaps.wire import tls
from pcaps.wire.capture import Capture
from pcaps.wire.tcp import CLIENT, Connection, Pace

INFECTED = inside("192.168.20.45")
NEIGHBOUR = inside("192.168.20.46")
CONTROL = outside("198.51.100.77", ttl=44)
RESOLVER = inside("192.168.20.1")
HOURS = 8.5
PERIOD = 300.0


def build(capture: Capture) -> None:
    """Build calls 300 s ± 20 % apart from half past seven to four; the machine browses and keeps time besides.

    A neighbour is as regular for good reasons: its antivirus asks every ten minutes, its messenger every four.
    """
    rng, seconds = capture.rng, 40.0
    while seconds < HOURS * 3_600:
        pace = Pace(160_000, 300_000)
        call = Connection(capture, (INFECTED, CONTROL), 4443, capture.at(seconds), pace=pace).open()
        tls.handshake(call, tls.DEVICE, "", issuer="localhost", subject="localhost")
        task = rng.random() < 0.05
        tls.exchange(call, 310 + rng.randrange(12), 4_200 if task else 180 + rng.randrange(8))
        call.close(CLIENT)
        seconds += PERIOD * rng.uniform(0.8, 1.2)
    for _ in range(40):
        moment = capture.at(rng.uniform(0, HOURS * 3_600))
        background.browse(capture, INFECTED, RESOLVER, moment)
    for service, gap, sizes in (
        (background.ANTIVIRUS, 600.0, (640, 380)),
        (background.MESSAGES, 240.0, (90, 60)),
    ):
        seconds = rng.uniform(0, gap)
        while seconds < HOURS * 3_600:
            background.visit(capture, NEIGHBOUR, service, capture.at(seconds), (sizes,), client=tls.WINDOWS)
            seconds += gap * rng.uniform(0.98, 1.02)
    for hour in range(9):
        moment = capture.at(hour * 3_600 + 77)
        background.keep_time(capture, INFECTED, background.TIME.endpoint, moment)


SCENARIO = Scenario(
    name="beacon",
    ending=".pcap.zst",
    hour=7.5,
    zh="电脑定时回连外网控制端",
    en="A PC keeps calling a control server outside",
    build=build,
    addresses={
        "192.168.20.45": ("被控电脑", "the controlled PC"),
        "198.51.100.77": ("外网控制端", "the control server"),
        "192.168.20.46": ("软件定时联网的正常电脑", "an ordinary PC whose software calls regularly"),
    },
    must_find=(("beacon", "192.168.20.45", "high", "198.51.100.77"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.46"},),
)
