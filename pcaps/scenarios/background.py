"""Play what ordinary devices do: look names up, open pages, keep time, announce themselves.

All services are made up: their names end in ``.example`` (RFC 2606), their addresses are those of documentation and
benchmarking (RFC 5737, RFC 2544).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pcaps.scenarios.scenario import outside
from pcaps.wire import dns, http, tls
from pcaps.wire.capture import Capture
from pcaps.wire.dns import Record
from pcaps.wire.frames import Endpoint, arp, mac
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace


@dataclass(frozen=True, slots=True)
class Service:
    """Name a service on the internet; ``alias`` is the content network's name its address is under."""

    name: str
    address: str
    alias: str = ""
    rtt_us: int = 18_000

    @property
    def endpoint(self) -> Endpoint:
        """Return the service as seen at the school."""
        return outside(self.address)


PLATFORM: Final = Service("www.smartclass.example", "198.18.4.10", "www.smartclass.example.cdn-east.example")
PLATFORM_STATIC: Final = Service("static.smartclass.example", "198.18.4.22", "static.cdn-east.example", 9_000)
PLATFORM_LOGIN: Final = Service("passport.smartclass.example", "198.18.4.11")
VIDEO: Final = Service("vod.smartclass.example", "198.18.8.31", "vod.cdn-east.example", 8_000)
MESSAGES: Final = Service("im.dingcampus.example", "198.18.12.5")
MEETING: Final = Service("rtc.dingcampus.example", "198.18.12.40")
SEARCH: Final = Service("www.baisou.example", "198.18.20.8")
NEWS: Final = Service("news.ribao.example", "198.18.21.17", "news.cdn-east.example")
PICTURES: Final = Service("img.ribao.example", "198.18.8.44", "img.cdn-east.example", 9_000)
STATISTICS: Final = Service("hm.tongji.example", "198.18.22.3")
BUREAU: Final = Service("oa.jyj.example", "203.0.113.20", "", 6_000)
EXAM: Final = Service("exam.jyj.example", "203.0.113.21", "", 6_000)
UPDATE: Final = Service("update.chuanghu.example", "198.18.30.9", "update.cdn-west.example", 22_000)
PROBE: Final = Service("www.connectcheck.example", "198.18.30.2", "", 30_000)
INPUT: Final = Service("cloud.pinyin.example", "198.18.31.5")
ANTIVIRUS: Final = Service("cloudscan.antivirus.example", "198.18.32.6")
DISK: Final = Service("pan.yunpan.example", "198.18.33.14")
PUSH: Final = Service("push.handset.example", "198.18.34.8")
CAMERA_CLOUD: Final = Service("p2p.camcloud.example", "198.18.35.3", "", 25_000)
TIME: Final = Service("ntp.shijian.example", "198.18.40.1", "", 20_000)
BROWSED: Final = (
    PLATFORM,
    PLATFORM_STATIC,
    SEARCH,
    NEWS,
    PICTURES,
    STATISTICS,
    BUREAU,
    INPUT,
    PLATFORM_LOGIN,
)


def resolve(capture: Capture, device: Endpoint, resolver: Endpoint, service: Service, at_us: int) -> int:
    """Look a service up, IPv4 and often IPv6 too; return the instant of the last answer."""
    records = [Record(service.name, "A", service.address, 120)]
    if service.alias:
        records = [
            Record(service.name, "CNAME", service.alias, 600),
            Record(service.alias, "A", service.address, 60),
        ]
    done = dns.look_up(capture, (device, resolver), at_us, service.name, "A", records)
    if capture.rng.random() < 0.5:
        dns.look_up(capture, (device, resolver), at_us + 180, service.name, "AAAA", records[:-1])
    return done


def connect(capture: Capture, device: Endpoint, service: Service, at_us: int, port: int = 443) -> Connection:
    """Return an open connection from a device to a service."""
    pace = Pace(service.rtt_us, capture.rng.choice((1_200_000, 2_500_000, 6_000_000)))
    return Connection(capture, (device, service.endpoint), port, at_us, pace=pace).open()


def visit(
    capture: Capture,
    device: Endpoint,
    service: Service,
    at_us: int,
    exchanges: Sequence[tuple[int, int]],
    *,
    client: tls.Client = tls.BROWSER,
    think: float = 0.3,
) -> Connection:
    """Open a TLS connection, exchange (sent, received) bytes, close or reset it as programs do; return it."""
    connection = connect(capture, device, service, at_us)
    tls.handshake(connection, client, service.name)
    for sent, received in exchanges:
        tls.exchange(connection, sent, received, think=think * capture.rng.expovariate(1))
    connection.wait(capture.rng.choice((0.01, 0.5, 5.0, 15.0)))
    if capture.rng.random() < 0.2:
        connection.reset(CLIENT)
    else:
        connection.close(capture.rng.choice((CLIENT, SERVER)))
    return connection


def browse(
    capture: Capture, device: Endpoint, resolver: Endpoint, at_us: int, client: tls.Client = tls.BROWSER
) -> None:
    """Open one page: a site, its pictures, its statistics."""
    rng = capture.rng
    for service in rng.sample(BROWSED, rng.choice((1, 2, 2, 3))):
        done = resolve(capture, device, resolver, service, at_us)
        exchanges = [
            (rng.randrange(350, 1_400), round(min(400_000, rng.paretovariate(0.9) * 2_500)))
            for _ in range(rng.choice((1, 1, 2, 3, 5)))
        ]
        visit(capture, device, service, done + 400, exchanges, client=client)
        at_us += rng.randrange(60_000, 900_000)


def check_network(capture: Capture, device: Endpoint, resolver: Endpoint, at_us: int) -> None:
    """Ask over plain HTTP whether there is internet, as Windows does when it gets a network."""
    done = resolve(capture, device, resolver, PROBE, at_us)
    connection = connect(capture, device, PROBE, done + 300, 80)
    asked = http.request("GET", "/connecttest.txt", PROBE.name, agent="Microsoft NCSI")
    http.fetch(connection, asked, http.response(200, b"Connect Test", kind="text/plain"))
    connection.close(SERVER)


def keep_time(capture: Capture, device: Endpoint, server: Endpoint, at_us: int) -> None:
    """Ask a time server once (RFC 5905)."""
    seconds, micros = divmod(at_us, 1_000_000)
    stamp = struct.pack("!II", seconds + 2_208_988_800, (micros << 32) // 1_000_000)
    port = 123 if capture.rng.random() < 0.7 else capture.rng.randrange(49_152, 65_536)
    capture.udp(at_us, device, server, (port, 123), b"\xe3\0\x06\xec" + bytes(36) + stamp)
    answer = b"\x24\x02\x06\xe9" + bytes(8) + b"PPS\0" + stamp * 4
    capture.udp(at_us + 20_400 + capture.rng.randrange(3_000), server, device, (123, port), answer)


def multicast(address: str, hardware: str) -> Endpoint:
    """Return a group as a destination."""
    return Endpoint(address, mac(hardware))


MDNS: Final = multicast("224.0.0.251", "01:00:5e:00:00:fb")
SSDP: Final = multicast("239.255.255.250", "01:00:5e:7f:ff:fa")
LLMNR: Final = multicast("224.0.0.252", "01:00:5e:00:00:fc")


def announce_printer(capture: Capture, printer: Endpoint, at_us: int, name: str) -> None:
    """Announce a printer by mDNS."""
    instance = f"{name}._ipp._tcp.local"
    records = [
        Record("_ipp._tcp.local", "PTR", instance, 4_500),
        Record(instance, "TXT", dns.txt("txtvers=1", f"ty={name}", "pdl=application/pdf"), 4_500),
        Record(f"{name}.local", "A", printer.ip, 120),
    ]
    capture.udp(at_us, printer, MDNS, (5353, 5353), dns.announcement(records))


def search_devices(capture: Capture, device: Endpoint, at_us: int) -> None:
    """Search for devices by SSDP, four times a second apart as Windows and Chrome do."""
    text = (
        "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"
        "ST: urn:dial-multiscreen-org:service:dial:1\r\n\r\n"
    )  # fmt: skip
    port = capture.rng.randrange(49_152, 65_536)
    for number in range(4):
        capture.udp(at_us + number * 1_000_300, device, SSDP, (port, 1900), text.encode())


def ask_neighbours(capture: Capture, device: Endpoint, at_us: int, name: str) -> None:
    """Ask the neighbours for a short name by LLMNR and by NetBIOS; nobody answers."""
    rng = capture.rng
    ident, port = rng.getrandbits(16), rng.randrange(49_152, 65_536)
    for number in range(2):
        question = dns.question(ident, name, "A", flags=0)
        capture.udp(at_us + number * 410_000, device, LLMNR, (port, 5355), question)
    head, _, _ = device.ip.rpartition(".")
    everybody = Endpoint(head + ".255", b"\xff" * 6)
    for number in range(3):
        question = dns.question(ident, dns.netbios_name(name), "NB", flags=0x0110)
        capture.udp(at_us + number * 750_000, device, everybody, (137, 137), question)


def find_neighbour(capture: Capture, device: Endpoint, target: Endpoint, at_us: int) -> None:
    """Ask for a neighbour's hardware address, and get it."""
    capture.add_frame(at_us, arp(device, target.ip))
    capture.add_frame(at_us + 300, arp(target, device.ip, answer_to=device))
