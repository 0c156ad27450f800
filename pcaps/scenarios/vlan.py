"""Record a trunk: 802.1Q and doubly tagged frames, one address in two VLANs, and a scan for Telnet in one of them."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture, on_ethernet
from pcaps.wire.tcp import Connection, Pace

SCANNER = inside("192.168.70.66")
TWIN = inside("192.168.1.10")


def build(capture: Capture) -> None:
    """Build three VLANs: pages in 20 and, doubly tagged, in 100/30, where the same address lives; a scan in 70."""
    for number, vlans in enumerate(((20,), (100, 30)) * 6):
        capture.link = on_ethernet(*vlans)
        background.browse(capture, TWIN, inside("192.168.1.1"), capture.at(2 + number * 5))
    capture.link = on_ethernet(70)
    for last in range(1, 121):
        target = inside(f"192.168.71.{last}", vendor="00:00:5e")
        probe = Connection(capture, (SCANNER, target), 23, capture.at(10 + last * 0.4), pace=Pace(600))
        probe.half_open() if last % 17 == 0 else probe.unanswered(repeats=1)
    for number in range(4):
        ping = IP(src=SCANNER.ip, dst="192.168.70.1", id=number) / ICMP(id=3, seq=number)
        frame = Ether(src=SCANNER.mac, dst="00:00:5e:00:01:01") / Dot1Q(vlan=70, prio=5) / ping / bytes(32)
        capture.add_frame(capture.at(1 + number), bytes(frame))


SCENARIO = Scenario(
    name="vlan",
    ending=".pcap.gz",
    hour=17.2,
    zh="VLAN 干道上的 Telnet 探测",
    en="A search for Telnet, seen on a VLAN trunk",
    build=build,
    addresses={
        "192.168.70.66": ("发起探测的设备（VLAN 70）", "the searching device (VLAN 70)"),
        "192.168.1.10": ("两个 VLAN 中各有一台", "one device in each of two VLANs"),
    },
    must_find=(("host_scan", "192.168.70.66", "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.1.10"},),
)
