"""Use IPv6: neighbour discovery, extension headers, web — and scan a server's ports over it."""

from __future__ import annotations

from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    PadN,
)
from scapy.layers.l2 import Ether

from pcaps.scenarios.background import Service
from pcaps.scenarios.scenario import ROUTER_MAC, Scenario, inside, outside
from pcaps.wire import dns, tls
from pcaps.wire.capture import Capture
from pcaps.wire.dns import Record
from pcaps.wire.frames import Endpoint
from pcaps.wire.tcp import Connection, Pace

PREFIX = "fd20:1111:2222:20::"
SCANNER = inside(f"{PREFIX}66")
SERVER = inside("fd20:1111:2222:30::5")
READER = Endpoint("2001:db8:20::21", SCANNER.mac[:-1] + b"\x21")
RESOLVER = inside(f"{PREFIX}1")
SITE = Service("www.smartclass.example", "2001:db8:f4::10")


def _neighbours(capture: Capture) -> None:
    """Add what IPv6 needs to live: router advertisement, neighbour solicitation, echo with an extension header."""
    router = Ether(src=ROUTER_MAC, dst="33:33:00:00:00:01") / IPv6(src="fe80::1", dst="ff02::1", hlim=255)
    advertised = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefixlen=64, prefix=PREFIX)
    asking = Ether(src=SCANNER.mac, dst="33:33:ff:00:00:01") / IPv6(
        src=SCANNER.ip, dst="ff02::1:ff00:1", hlim=255
    )
    asked = ICMPv6ND_NS(tgt=RESOLVER.ip) / ICMPv6NDOptSrcLLAddr(lladdr=SCANNER.mac)
    telling = Ether(src=RESOLVER.mac, dst=SCANNER.mac) / IPv6(src=RESOLVER.ip, dst=SCANNER.ip, hlim=255)
    told = ICMPv6ND_NA(tgt=RESOLVER.ip, R=1, S=1) / ICMPv6NDOptDstLLAddr(lladdr=RESOLVER.mac)
    frames = [router / advertised, asking / asked, telling / told]
    there = Ether(src=SCANNER.mac, dst=ROUTER_MAC) / IPv6(src=SCANNER.ip, dst=SERVER.ip)
    back = Ether(src=ROUTER_MAC, dst=SCANNER.mac) / IPv6(src=SERVER.ip, dst=SCANNER.ip)
    for number in range(4):
        option = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
        frames.append(there / option / ICMPv6EchoRequest(id=9, seq=number, data=bytes(32)))
        frames.append(back / ICMPv6EchoReply(id=9, seq=number, data=bytes(32)))
    for number, frame in enumerate(frames):
        capture.add_frame(capture.at(1 + number * 0.4), bytes(frame))


def build(capture: Capture) -> None:
    """Build discovery, a port scan over IPv6, and pages read over it."""
    _neighbours(capture)
    ports = capture.rng.sample(range(1, 4_000), 240)
    for number, port in enumerate(ports):
        at_us = capture.at(20 + number * 0.05)
        probe = Connection(capture, (SCANNER, SERVER), port, at_us, source_port=41_000, pace=Pace(400))
        probe.refused() if port not in {22, 80, 443} else probe.half_open()
    for number in range(12):
        moment = capture.at(5 + number * 4 + capture.rng.random())
        records = (Record(SITE.name, "AAAA", SITE.address, 60),)
        moment = dns.look_up(capture, (READER, RESOLVER), moment, SITE.name, "AAAA", records)
        site = outside(SITE.address)
        visit = Connection(capture, (READER, site), 443, moment + 300).open()
        tls.handshake(visit, tls.FIREFOX, SITE.name)
        tls.exchange(visit, 700, capture.rng.randrange(2_000, 40_000))
        visit.close()


SCENARIO = Scenario(
    name="ipv6",
    ending=".pcap.gz",
    hour=11.0,
    zh="IPv6 网络中的端口扫描",
    en="A port scan over IPv6",
    build=build,
    addresses={
        SCANNER.ip: ("发起扫描的电脑", "the scanning PC"),
        SERVER.ip: ("被扫描的服务器", "the scanned server"),
        READER.ip: ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("port_scan", SCANNER.ip, "high", SERVER.ip),),
    must_not=({"min_severity": "high", "entity": READER.ip},),
)
