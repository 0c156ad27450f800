"""Damage packets in every way a wire or a bored student can: nothing is to be found, nothing may break."""

from __future__ import annotations

import struct

from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire import dns, tls
from pcaps.wire.capture import Capture
from pcaps.wire.frames import ETHER_IPV4, ETHER_IPV6, Endpoint, ethernet
from pcaps.wire.smb import Smb
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

DEVICE = inside("192.168.20.90")
PEER = inside("192.168.30.90")


def _head(protocol: Packet, **ip: int | str) -> bytes:
    """Return a frame whose IPv4 header has the given fields, right or wrong, and no padding."""
    header = IP(src=DEVICE.ip, dst=PEER.ip, id=1)
    for name, value in ip.items():
        header.setfieldval(name, value)
    return bytes(Ether(src=DEVICE.mac, dst=PEER.mac) / header / protocol)


def _wrong_headers() -> list[bytes]:
    """Return frames with impossible or lying lengths in one header each."""
    tcp = TCP(sport=1024, dport=80, flags="S", seq=1)
    udp = UDP(sport=1024, dport=53) / DNS(id=1, qd=DNSQR(qname="a.example"))
    hop_by_hop = IPv6(src="fd00::1", dst="fd00::2", nh=0) / IPv6ExtHdrHopByHop(nh=0, len=255)
    return [
        _head(tcp, ihl=3),
        _head(tcp, ihl=15),
        _head(tcp, len=19),
        _head(tcp, len=60_000),
        _head(tcp, version=7),
        _head(tcp, chksum=0),
        _head(tcp, ttl=0),
        _head(tcp, proto=0),
        _head(TCP(sport=1024, dport=80, dataofs=2)),
        _head(TCP(sport=1024, dport=80, dataofs=15)),
        _head(TCP(sport=0, dport=0, flags="FSRPAU", seq=0)),
        _head(TCP(sport=1024, dport=80, flags=0, chksum=0xDEAD)),
        _head(UDP(sport=1024, dport=53, len=3)),
        _head(UDP(sport=1024, dport=53, len=65_535)),
        _head(udp, flags="MF", frag=8_100),
        _head(udp, src=PEER.ip, dst=PEER.ip),
        bytes(Ether(src=DEVICE.mac, dst=PEER.mac) / hop_by_hop),
        ethernet(
            DEVICE.mac, PEER.mac, ETHER_IPV6, struct.pack("!IHBB", 0x60000000, 5_000, 6, 64) + bytes(32)
        ),
        ethernet(DEVICE.mac, PEER.mac, ETHER_IPV4, b""),
        ethernet(DEVICE.mac, PEER.mac, 0x8100, b"\0\x05"),
        ethernet(DEVICE.mac, PEER.mac, 0x88B5, b"local experiment"),
        ethernet(DEVICE.mac, PEER.mac, 0x0012, b"too short a length"),
    ]


def _dns_lies(capture: Capture) -> list[bytes]:
    """Return DNS payloads with loops, ends before the end, and false counts."""
    good = dns.question(7, "www.smartclass.example")
    return [
        good[:12] + b"\xc0\x0c\0\x01\0\x01",
        good[:12] + b"\x3fabc",
        good[:5],
        good[:4] + b"\xff\xff\xff\xff\xff\xff\xff\xff" + good[12:],
        good[:12] + b"\x40bad" + good[16:],
        b"\xff" * 40,
        capture.rng.randbytes(300),
        b"",
    ]


def _garble(capture: Capture, frames: list[bytes]) -> list[bytes]:
    """Return each frame with a few bits flipped, but none in the addresses, which would make up new peers."""
    garbled = []
    for frame in frames:
        data = bytearray(frame)
        places = [place for place in range(len(data)) if not 26 <= place < 34]
        for _ in range(capture.rng.randrange(1, 6)):
            data[capture.rng.choice(places)] ^= 1 << capture.rng.randrange(8)
        garbled.append(bytes(data))
    return garbled


def _liars(capture: Capture) -> None:
    """Add connections that begin like a protocol and go on as something else."""
    hello = tls.client_hello(tls.BROWSER, "www.smartclass.example", capture.rng)
    starts = (
        hello[:3] + b"\xff\xff" + hello[5:],
        hello[:60],
        hello[:43] + b"\xff" + hello[44:],
        b"\x16\x03\x01\0\0" * 40,
        b"GET " + b"A" * 4_000,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST / HTTP/9.9\r\n\0\0\0: \r\n\r\n" + capture.rng.randbytes(600),
        b"SSH-" + b"9" * 3_000,
        b"\0\0\xff\xff\xfeSMB" + capture.rng.randbytes(200),
        b"\0\0\0\x10\xfeSMB\x40\0" + bytes(10),
        capture.rng.randbytes(1_200),
    )
    for number, start in enumerate(starts):
        port = (443, 443, 443, 443, 80, 80, 8080, 22, 445, 445, 4444)[number]
        connection = Connection(capture, (DEVICE, PEER), port, capture.at(10 + number), pace=Pace(500)).open()
        connection.send(CLIENT, start)
        connection.send(SERVER, capture.rng.randbytes(90))
        connection.reset(number % 2)
    session = Smb(Connection(capture, (DEVICE, PEER), 445, capture.at(40), pace=Pace(500)).open())
    session.log_in("test", "PC-2090")
    session.connection.send(CLIENT, b"\0\0\0\x20garbage in the middle")
    session.connection.reset(SERVER)


def build(capture: Capture) -> None:
    """Build wrong headers, cut frames, false protocols and bit errors among ordinary traffic."""
    for number in range(20):
        background.browse(capture, inside("192.168.20.91"), inside("192.168.20.1"), capture.at(number * 3))
    _liars(capture)
    ordinary = [frame.data for frame in capture.frames() if len(frame.data) == frame.length]
    damaged = _wrong_headers() + _garble(capture, ordinary[:300])
    for number, data in enumerate(damaged):
        capture.add_frame(capture.at(60 + number * 0.05), data)
    for number, payload in enumerate(_dns_lies(capture)):
        moment = capture.at(80 + number * 0.1)
        capture.udp(moment, DEVICE, Endpoint("192.168.20.1", PEER.mac), (5_000 + number, 53), payload)
    for number, size in enumerate((0, 1, 6, 13, 14, 15, 20, 33, 34, 40, 53)):
        whole = ordinary[number * 7]
        capture.add_frame(capture.at(85 + number * 0.1), whole[:size], len(whole))


SCENARIO = Scenario(
    name="malformed",
    ending=".pcap.gz",
    hour=12.0,
    zh="损坏和畸形的数据包",
    en="Damaged and malformed packets",
    build=build,
    addresses={
        "192.168.20.90": ("发出畸形数据包的设备", "the device with damaged packets"),
        "192.168.20.91": ("正常上网的电脑", "a PC that browses"),
    },
    must_not=({"min_severity": "medium"},),
)
