"""Scan ports with fragmented SYNs, as ``nmap -f`` does, among large datagrams that are fragmented for good reasons."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint

SCANNER = inside("192.168.20.67")
SERVER = inside("192.168.30.10")
NURSE = inside("192.168.20.68")


def _add(capture: Capture, at: float, ends: tuple[Endpoint, Endpoint], parts: list[Packet]) -> None:
    for number, part in enumerate(parts):
        frame = Ether(src=ends[0].mac, dst=ends[1].mac) / part
        capture.add_frame(capture.at(at) + number * 40, bytes(frame))


def _split(packet: Packet, size: int) -> list[Packet]:
    return list(fragment(packet, fragsize=size))  # type: ignore[no-untyped-call]  # scapy's


def _scan(capture: Capture) -> None:
    """Add 200 SYNs in pieces of eight bytes, so that the flags lie in the second one, and the refusals in one piece."""
    for number, port in enumerate(capture.rng.sample(range(1, 5_000), 200)):
        seq = capture.rng.getrandbits(32)
        syn = TCP(sport=51_111, dport=port, flags="S", seq=seq, window=1024, options=[("MSS", 1460)])
        probe = IP(src=SCANNER.ip, dst=SERVER.ip, id=20_000 + number, ttl=52) / syn
        _add(capture, 10 + number * 0.05, (SCANNER, SERVER), _split(IP(bytes(probe)), 8))
        refusal = TCP(sport=port, dport=51_111, flags="RA", seq=0, ack=(seq + 1) & 0xFFFFFFFF, window=0)
        answer = IP(src=SERVER.ip, dst=SCANNER.ip, id=0, flags="DF") / refusal
        _add(capture, 10.0009 + number * 0.05, (SERVER, SCANNER), [answer])


def _large(capture: Capture) -> None:
    """Add pings of 4000 bytes, a 6000-byte datagram in reverse order with an overlap, and IPv6 fragments."""
    ends, back = (NURSE, SERVER), (SERVER, NURSE)
    for number in range(5):
        for kind, pair in ((8, ends), (0, back)):
            ping = IP(src=pair[0].ip, dst=pair[1].ip, id=100 + number) / ICMP(type=kind, id=5, seq=number)
            parts = _split(IP(bytes(ping / Raw(bytes(4_000)))), 1_480)
            _add(capture, 2 + number + (0.001 if kind == 0 else 0), pair, parts)
    datagram = IP(src=NURSE.ip, dst=SERVER.ip, id=777) / UDP(sport=40_000, dport=2_049) / Raw(b"nfs" * 2_000)
    parts = _split(IP(bytes(datagram)), 1_480)
    _add(capture, 8, ends, [*reversed(parts), parts[1]])
    six = IPv6(src="fd20::21", dst="fd20::22") / IPv6ExtHdrFragment(id=4_242) / UDP(sport=40_001, dport=4_500)
    whole = six / Raw(b"v6" * 1_800)
    _add(capture, 9, ends, list(fragment6(whole, 1_280)))  # type: ignore[no-untyped-call]  # scapy's
    lonely = _split(IP(bytes(datagram)), 1_480)[2]
    lonely.id = 778
    _add(capture, 9.5, ends, [lonely])


def build(capture: Capture) -> None:
    """Build the scan, the large datagrams and some pages."""
    _large(capture)
    _scan(capture)
    for number in range(8):
        background.browse(capture, NURSE, inside("192.168.20.1"), capture.at(number * 4))


SCENARIO = Scenario(
    name="fragments",
    ending=".pcap.gz",
    hour=18.1,
    zh="用分片数据包扫描端口",
    en="A port scan in fragmented packets",
    build=build,
    addresses={
        "192.168.20.67": ("发起扫描的电脑", "the scanning PC"),
        "192.168.30.10": ("被扫描的服务器", "the scanned server"),
        "192.168.20.68": ("正常电脑，数据包较大", "an ordinary PC with large packets"),
    },
    must_find=(("port_scan", "192.168.20.67", "high", "192.168.30.10"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.68"},),
)
