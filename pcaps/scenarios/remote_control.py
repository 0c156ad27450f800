"""Run remote-control tools on a PC: their relays are looked up and called by name."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.background import Service
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire import tls
from pcaps.wire.capture import Capture

CONTROLLED = inside("192.168.20.71")
RESOLVER = inside("192.168.20.1")
RELAYS = (
    Service("client-api.todesk.com", "198.51.100.31"),
    Service("slapi.oray.net", "198.51.100.32"),
    Service("rc01.oray.com", "198.51.100.33"),
    Service("relay-cn.net.anydesk.com", "198.51.100.34"),
)


def build(capture: Capture) -> None:
    """Build start-up and a half-hour session of three such tools late in the evening."""
    for number, relay in enumerate(RELAYS):
        moment = background.resolve(capture, CONTROLLED, RESOLVER, relay, capture.at(10 + number * 40))
        connection = background.connect(capture, CONTROLLED, relay, moment + 300)
        tls.handshake(connection, tls.WINDOWS, relay.name)
        for _ in range(60 if number == 3 else 12):
            tls.exchange(connection, 90 + capture.rng.randrange(300), 120, think=30 if number == 3 else 60)
        connection.close()
    for number in range(8):
        background.browse(capture, inside("192.168.20.72"), RESOLVER, capture.at(number * 100))


SCENARIO = Scenario(
    name="remote_control",
    ending=".pcap",
    hour=21.3,
    zh="办公电脑运行远程控制软件",
    en="Remote-control tools run on an office PC",
    build=build,
    addresses={
        "192.168.20.71": ("运行远程控制软件的电脑", "the PC with the tools"),
        "192.168.20.72": ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("remote_control", "192.168.20.71", "low"),),
    must_not=({"min_severity": "low", "entity": "192.168.20.72"},),
)
