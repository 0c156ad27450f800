"""Scan the ports of an inside server from an inside PC, as ``nmap -sS`` does."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture
from pcaps.wire.tcp import Connection, Pace

SCANNER = inside("192.168.10.66")
SERVER = inside("192.168.10.5")
OPEN = (22, 80, 443, 3306)


def build(capture: Capture) -> None:
    """Build 1000 ports in shuffled order within ten seconds, then a look at what is open."""
    background.find_neighbour(capture, SCANNER, SERVER, capture.at(0))
    ports = sorted({*OPEN, *capture.rng.sample(range(1, 10_000), 996)})
    capture.rng.shuffle(ports)
    source_port = capture.rng.randrange(33_000, 64_000)
    for number, port in enumerate(ports):
        at_us = capture.at(1 + number * 0.01) + capture.rng.randrange(4_000)
        ends = (SCANNER, SERVER)
        probe = Connection(capture, ends, port, at_us, source_port=source_port, pace=Pace(220))
        if port in OPEN:
            probe.half_open()
        else:
            probe.refused()
    for number in range(12):
        background.browse(
            capture, inside("192.168.10.21"), inside("192.168.10.1"), capture.at(2 + number * 9)
        )


SCENARIO = Scenario(
    name="port_scan",
    ending=".pcap.gz",
    hour=13.2,
    zh="校内电脑扫描服务器端口",
    en="An inside PC scans a server's ports",
    build=build,
    addresses={
        "192.168.10.66": ("发起扫描的电脑", "the scanning PC"),
        "192.168.10.5": ("被扫描的校内服务器", "the scanned server"),
        "192.168.10.21": ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("port_scan", "192.168.10.66", "high", "192.168.10.5"),),
    must_not=({"min_severity": "high", "entity": "192.168.10.21"},),
)
