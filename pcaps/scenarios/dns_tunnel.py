"""Carry data out in DNS questions and in by TXT and NULL answers, as iodine and dnscat2 do."""

from __future__ import annotations

import base64

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire import dns
from pcaps.wire.capture import Capture

INFECTED = inside("192.168.20.31")
RESOLVER = inside("192.168.20.1")
DOMAIN = "cdn-sync.example"


def _label(data: bytes) -> str:
    return base64.b32encode(data).decode().lower().rstrip("=")


def build(capture: Capture) -> None:
    """Build 420 questions with new random names in 14 minutes, among ordinary ones."""
    rng = capture.rng
    for number in range(420):
        name = f"{_label(rng.randbytes(30))}.{_label(rng.randbytes(12))}.{DOMAIN}"
        kind = rng.choice(("TXT", "TXT", "NULL"))
        content = rng.randbytes(rng.randrange(24, 110))
        data = dns.txt(base64.b64encode(content).decode()) if kind == "TXT" else content
        at_us = capture.at(20 + number * 2) + rng.randrange(1_500_000)
        records = (dns.Record(name, kind, data, 0),)
        dns.look_up(capture, (INFECTED, RESOLVER), at_us, name, kind, records)
    for number in range(14):
        for device in (INFECTED, inside("192.168.20.32")):
            background.browse(capture, device, RESOLVER, capture.at(3 + number * 60 + rng.random() * 30))


SCENARIO = Scenario(
    name="dns_tunnel",
    ending=".pcap.zst",
    hour=15.05,
    zh="借 DNS 查询向外传数据",
    en="Data leaves inside DNS questions",
    build=build,
    addresses={
        "192.168.20.31": ("建立隧道的电脑", "the PC with the tunnel"),
        "192.168.20.1": ("校内 DNS 服务器", "the school's resolver"),
        "192.168.20.32": ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("dns_tunnel", "192.168.20.31", "high", DOMAIN),),
    must_not=({"min_severity": "high", "entity": "192.168.20.32"},),
)
