"""Carry attacks inside tunnels between two campuses: GRE, VXLAN and IPv6 in IPv4."""

from __future__ import annotations

import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import GRE, Ether
from scapy.layers.vxlan import VXLAN

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture, Link
from pcaps.wire.frames import ETHER_IPV4, ETHER_IPV6, Endpoint, Packet, ethernet
from pcaps.wire.tcp import Connection, Pace

WEST = inside("172.16.1.1")
EAST = inside("172.16.2.1")
GRE_SCANNER = inside("192.168.101.66")
VXLAN_SCANNER = inside("192.168.102.66")
SIX_SCANNER = inside("fd20:103::66")
SIX_SERVER = inside("fd20:103::5")


def _outer(protocol: int, inner: bytes, missing: int, *, back: bool) -> bytes:
    """Return an Ethernet frame with an outer IPv4 header that counts what is not recorded, too."""
    ends = (EAST, WEST) if back else (WEST, EAST)
    head = IP(src=ends[0].ip, dst=ends[1].ip, proto=protocol, id=0, flags="DF", len=20 + len(inner) + missing)
    return bytes(Ether(src=ends[0].mac, dst=ends[1].mac) / head) + inner


def _in_gre(server: Endpoint) -> Link:
    def link(packet: Packet, source: Endpoint, _: Endpoint) -> Packet:
        inner = bytes(GRE(proto=ETHER_IPV4)) + packet.data
        return Packet(_outer(47, inner, packet.missing, back=source == server), packet.missing)

    return link


def _in_six(server: Endpoint) -> Link:
    def link(packet: Packet, source: Endpoint, _: Endpoint) -> Packet:
        return Packet(_outer(41, packet.data, packet.missing, back=source == server), packet.missing)

    return link


def _in_vxlan(network: int, client: Endpoint) -> Link:
    def link(packet: Packet, source: Endpoint, destination: Endpoint) -> Packet:
        kind = ETHER_IPV6 if packet.data[0] >> 4 == 6 else ETHER_IPV4
        frame = ethernet(source.mac, destination.mac, kind, packet.data)
        inner = bytes(VXLAN(vni=network, flags="Instance")) + frame
        head = bytes(UDP(sport=55_000, dport=4_789, len=8 + len(inner) + packet.missing, chksum=0))
        return Packet(_outer(17, head + inner, packet.missing, back=source != client), packet.missing)

    return link


def build(capture: Capture) -> None:
    """Build a port scan in GRE, a search for file shares in VXLAN, a port scan in 6in4, and pages in VXLAN."""
    server = inside("192.168.101.5")
    capture.link = _in_gre(server)
    for number, port in enumerate(capture.rng.sample(range(1, 3_000), 150)):
        at_us = capture.at(1 + number * 0.1)
        Connection(capture, (GRE_SCANNER, server), port, at_us, pace=Pace(4_000)).refused()
    capture.link = _in_vxlan(5_001, VXLAN_SCANNER)
    for last in range(10, 90):
        target = inside(f"192.168.103.{last}")
        probe = Connection(
            capture, (VXLAN_SCANNER, target), 445, capture.at(20 + last * 0.2), pace=Pace(4_000)
        )
        probe.refused() if last % 5 == 0 else probe.unanswered(repeats=1)
    capture.link = _in_six(SIX_SERVER)
    for number, port in enumerate(capture.rng.sample(range(1, 3_000), 120)):
        at_us = capture.at(50 + number * 0.1)
        Connection(capture, (SIX_SCANNER, SIX_SERVER), port, at_us, pace=Pace(4_000)).refused()
    reader = inside("192.168.102.21")
    capture.link = _in_vxlan(5_001, reader)
    for number in range(8):
        background.browse(capture, reader, inside("192.168.102.1"), capture.at(3 + number * 7))
    # A keep-alive of GRE itself: an empty inner packet, protocol zero.
    for number in range(3):
        keep_alive = struct.pack("!HH", 0, 0)
        capture.add_frame(capture.at(5 + number * 10), _outer(47, keep_alive, 0, back=False))


SCENARIO = Scenario(
    name="tunnels",
    ending=".pcap.gz",
    hour=22.2,
    zh="校区间隧道（GRE、VXLAN、6in4）里的扫描",
    en="Scans inside tunnels between campuses (GRE, VXLAN, 6in4)",
    build=build,
    addresses={
        "172.16.1.1": ("西校区隧道端点", "the west campus' tunnel end"),
        "172.16.2.1": ("东校区隧道端点", "the east campus' tunnel end"),
        "192.168.101.66": ("GRE 隧道内扫描端口的电脑", "the PC that scans ports inside GRE"),
        "192.168.102.66": ("VXLAN 内探测 445 的电脑", "the PC that probes 445 inside VXLAN"),
        SIX_SCANNER.ip: ("6in4 隧道内扫描端口的电脑", "the PC that scans ports inside 6in4"),
    },
    must_find=(
        ("port_scan", "192.168.101.66", "high", "192.168.101.5"),
        ("host_scan", "192.168.102.66", "high"),
        ("port_scan", SIX_SCANNER.ip, "high", SIX_SERVER.ip),
    ),
    must_not=({"min_severity": "high", "entity": "192.168.102.21"},),
)
