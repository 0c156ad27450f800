"""Play a school morning, half past seven to ten: some sixty devices, all of them well-behaved."""

from __future__ import annotations

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from pcaps.scenarios import background, cameras
from pcaps.scenarios.background import (
    ANTIVIRUS,
    CAMERA_CLOUD,
    DISK,
    EXAM,
    MEETING,
    MESSAGES,
    PLATFORM,
    PLATFORM_LOGIN,
    PLATFORM_STATIC,
    PUSH,
    TIME,
    UPDATE,
    VIDEO,
)
from pcaps.scenarios.scenario import ROUTER_MAC, Scenario, inside
from pcaps.wire import dns, http, tls
from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

LENGTH = 2.5 * 3_600
STUDENTS = tuple(inside(f"192.168.10.{last}") for last in range(101, 127))
TEACHERS = tuple(inside(f"192.168.20.{last}") for last in range(11, 27))
PHONES = tuple(inside(f"192.168.60.{last}", vendor="06:ed:50") for last in range(31, 40))
CAMERAS = tuple(inside(f"192.168.50.{last}") for last in range(11, 17))
RECORDER = inside("192.168.50.2")
PRINTERS = (inside("192.168.20.201"), inside("192.168.20.202"))
SITE = inside("192.168.30.20")
LESSONS = (1_500, 4_500, 7_500)
"""Seconds at which the three lessons begin: 07:55, 08:45, 09:35."""


def resolver_of(device: Endpoint) -> Endpoint:
    """Return the resolver of a device's network: its gateway's address."""
    head, _, _ = device.ip.rpartition(".")
    return Endpoint(f"{head}.1", ROUTER_MAC)


def _get_address(capture: Capture, device: Endpoint, at_us: int, name: str) -> None:
    """Add the four messages of DHCP (RFC 2131)."""
    server, xid = resolver_of(device), capture.rng.getrandbits(32)
    up = Ether(src=device.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255", id=0)
    down = Ether(src=server.mac, dst=device.mac) / IP(src=server.ip, dst=device.ip, id=0)
    ask = BOOTP(chaddr=device.mac, xid=xid)
    offer = BOOTP(op=2, yiaddr=device.ip, siaddr=server.ip, chaddr=device.mac, xid=xid)
    options = [("hostname", name), ("vendor_class_id", "MSFT 5.0"), ("param_req_list", [1, 3, 6, 15]), "end"]
    lease = [("server_id", server.ip), ("lease_time", 28_800), ("subnet_mask", "255.255.255.0"), "end"]
    messages = (
        up / UDP(sport=68, dport=67) / ask / DHCP(options=[("message-type", "discover"), *options]),
        down / UDP(sport=67, dport=68) / offer / DHCP(options=[("message-type", "offer"), *lease]),
        up / UDP(sport=68, dport=67) / ask / DHCP(options=[("message-type", "request"), *options]),
        down / UDP(sport=67, dport=68) / offer / DHCP(options=[("message-type", "ack"), *lease]),
    )
    for number, message in enumerate(messages):
        capture.add_frame(at_us + number * 21_000 + capture.rng.randrange(900), bytes(message))


def _start(capture: Capture, device: Endpoint, at: float, name: str) -> None:
    """Switch a PC on: address, gateway, network check, time, discovery, antivirus."""
    _get_address(capture, device, capture.at(at), name)
    background.find_neighbour(capture, device, resolver_of(device), capture.at(at + 1))
    background.check_network(capture, device, resolver_of(device), capture.at(at + 2))
    background.keep_time(capture, device, TIME.endpoint, capture.at(at + 4))
    background.search_devices(capture, device, capture.at(at + 6))
    if capture.rng.random() < 0.4:
        background.ask_neighbours(
            capture, device, capture.at(at + 7), capture.rng.choice(("wpad", "fileserver"))
        )
    moment = background.resolve(capture, device, resolver_of(device), ANTIVIRUS, capture.at(at + 12))
    background.visit(capture, device, ANTIVIRUS, moment + 300, ((1_800, 900),), client=tls.WINDOWS)


def _surf(capture: Capture, device: Endpoint, spans: tuple[tuple[float, float], ...], pages: int) -> None:
    """Open pages at random moments of the spans."""
    for _ in range(pages):
        begin, end = capture.rng.choice(spans)
        moment = capture.at(capture.rng.uniform(begin, end))
        client = (
            tls.PHONE if device in PHONES else capture.rng.choice((tls.BROWSER, tls.BROWSER, tls.FIREFOX))
        )
        background.browse(capture, device, resolver_of(device), moment, client)


def _watch(capture: Capture, device: Endpoint, at: float, minutes: float) -> None:
    """Watch a lesson's video: a piece of six seconds after the other over one connection."""
    moment = background.resolve(capture, device, resolver_of(device), VIDEO, capture.at(at))
    connection = background.connect(capture, device, VIDEO, moment + 300)
    tls.handshake(connection, tls.BROWSER, VIDEO.name)
    for _ in range(round(minutes * 10)):
        start = connection.now
        tls.exchange(connection, 620, capture.rng.randrange(500_000, 1_300_000), think=0.01)
        connection.now = max(connection.now, start + 6_000_000)
    connection.close()


def _stay_connected(capture: Capture, device: Endpoint, at: float) -> None:
    """Hold a messenger's connection all morning: a sign of life every four minutes or so, messages between."""
    moment = background.resolve(capture, device, resolver_of(device), MESSAGES, capture.at(at))
    connection = background.connect(capture, device, MESSAGES, moment + 300)
    tls.handshake(connection, tls.PHONE if device in PHONES else tls.WINDOWS, MESSAGES.name)
    while connection.now < capture.at(LENGTH - 300):
        tls.exchange(connection, 46, 46, think=capture.rng.uniform(150, 270))
        if capture.rng.random() < 0.4:
            tls.exchange(connection, capture.rng.randrange(200, 2_500), 210, think=capture.rng.uniform(1, 60))


def _first_lesson(capture: Capture) -> None:
    """Log the computer room in to the platform, all within a minute or two; a page does not answer for some."""
    for device in STUDENTS:
        for lesson in LESSONS[:2]:
            at = lesson + capture.rng.uniform(60, 160)
            for service, sizes in (
                (PLATFORM_LOGIN, ((900, 2_100), (1_400, 700))),
                (PLATFORM, ((800, 21_000), (700, 9_000), (700, 4_000))),
                (PLATFORM_STATIC, ((500, 180_000), (500, 60_000))),
            ):
                moment = background.resolve(capture, device, resolver_of(device), service, capture.at(at))
                background.visit(capture, device, service, moment + 300, sizes)
                at += capture.rng.uniform(0.5, 4)
        _surf(capture, device, ((1_700, 4_000), (4_700, 7_000)), 5)
        if capture.rng.random() < 0.2:
            dead = background.Service("old.widget.example", "198.18.99.9")
            moment = background.resolve(capture, device, resolver_of(device), dead, capture.at(2_000))
            Connection(capture, (device, dead.endpoint), 443, moment + 300).unanswered(repeats=3)


def _teachers(capture: Capture) -> None:
    rng = capture.rng
    for number, device in enumerate(TEACHERS):
        start = rng.uniform(60, 1_300)
        _start(capture, device, start, f"BBT-{number + 101}")
        _stay_connected(capture, device, start + 30)
        _surf(capture, device, ((start + 60, LENGTH - 60),), 11)
        if number % 4 == 0:
            _watch(capture, device, rng.choice(LESSONS) + rng.uniform(300, 900), rng.uniform(4, 9))
        if number % 5 == 0:
            moment = background.resolve(capture, device, resolver_of(device), DISK, capture.at(start + 900))
            background.visit(capture, device, DISK, moment + 300, ((18_000_000, 4_000), (900, 2_000)))
        _look_at_own_site(capture, device, start + 400)
        _print(capture, device, rng.uniform(start + 100, LENGTH - 100))
    meeting = capture.at(LESSONS[1])
    _meet(capture, TEACHERS[3], meeting, 240)


def _look_at_own_site(capture: Capture, device: Endpoint, at: float) -> None:
    """Read the school's own page over plain HTTP."""
    connection = Connection(capture, (device, SITE), 80, capture.at(at), pace=Pace(500)).open()
    page = http.page("实验学校", "今日课表 " * 60)
    http.fetch(connection, http.request("GET", "/", "www.shiyan-school.example"), http.response(200, page))
    for name in ("style.css", "logo.png"):
        asked = http.request("GET", f"/static/{name}", "www.shiyan-school.example")
        kind = "text/css" if name.endswith("css") else "image/png"
        http.fetch(connection, asked, http.response(200, b"", kind=kind, length=14_200), more=14_200)
    connection.close(SERVER)


def _print(capture: Capture, device: Endpoint, at: float) -> None:
    """Print two pages by the raw port 9100."""
    printer = PRINTERS[capture.rng.randrange(2)]
    job = Connection(capture, (device, printer), 9100, capture.at(at), pace=Pace(800)).open()
    job.send(CLIENT, b'\x1b%-12345X@PJL JOB NAME="document"\r\n@PJL ENTER LANGUAGE=PCL\r\n')
    job.send_cut(CLIENT, capture.rng.randrange(90_000, 600_000))
    job.close(CLIENT)


def _meet(capture: Capture, device: Endpoint, at_us: int, seconds: int) -> None:
    """Take part in a video meeting: packets of media over UDP both ways, 1.0 and 0.4 Mbit/s, thinned to a tenth."""
    server, rng = MEETING.endpoint, capture.rng
    port = rng.randrange(50_000, 60_000)
    background.resolve(capture, device, resolver_of(device), MEETING, at_us - 200_000)
    for tick in range(seconds * 10):
        moment = at_us + tick * 100_000 + rng.randrange(20_000)
        header = b"\x80\x60" + tick.to_bytes(2, "big") + bytes(8)
        capture.udp(moment, device, server, (port, 3_478), header, missing=rng.randrange(300, 700))
        capture.udp(moment + 30_000, server, device, (3_478, port), header, missing=rng.randrange(900, 1_150))


def _phones(capture: Capture) -> None:
    for number, device in enumerate(PHONES):
        start = capture.rng.uniform(0, 3_000)
        _get_address(capture, device, capture.at(start), f"phone-{number}")
        _stay_connected(capture, device, start + 5)
        _surf(capture, device, ((start + 60, LENGTH - 60),), 9)
        moment = background.resolve(capture, device, resolver_of(device), PUSH, capture.at(start + 8))
        push = background.connect(capture, device, PUSH, moment + 300, 5_228)
        tls.handshake(push, tls.PHONE, PUSH.name)
        while push.now < capture.at(LENGTH - 900):
            tls.exchange(push, 30, 30, think=capture.rng.uniform(700, 1_000))


def _things(capture: Capture) -> None:
    """Let cameras, recorder and printers do what they do all day."""
    for number, camera in enumerate(CAMERAS):
        for turn in range(5):
            cameras.log_in_by_digest(capture, (RECORDER, camera), capture.at(30 + number * 11 + turn * 1_800))
        video = cameras.describe(capture, (RECORDER, camera), capture.at(60 + number * 1_300))
        cameras.play(video, 420)
        for turn in range(9):
            background.keep_time(capture, camera, TIME.endpoint, capture.at(90 + number * 7 + turn * 1_000))
        moment = background.resolve(
            capture, camera, resolver_of(camera), CAMERA_CLOUD, capture.at(20 + number)
        )
        cloud = background.connect(capture, camera, CAMERA_CLOUD, moment + 300, 8_883)
        tls.handshake(cloud, tls.DEVICE, CAMERA_CLOUD.name, issuer="CamCloud Device CA")
        while cloud.now < capture.at(LENGTH - 200):
            tls.exchange(cloud, 31, 31, think=60 * 5)
    for number, printer in enumerate(PRINTERS):
        for turn in range(25):
            name = f"HP LaserJet {number + 1}"
            background.announce_printer(capture, printer, capture.at(17 + number * 31 + turn * 355), name)


def _updates(capture: Capture) -> None:
    """Let some PCs fetch updates, one of them large; a name is misspelt now and then."""
    for number, device in enumerate((*STUDENTS[:4], *TEACHERS[:3])):
        moment = background.resolve(
            capture, device, resolver_of(device), UPDATE, capture.at(3_000 + number * 210)
        )
        size = 30_000_000 if number == 5 else 900_000
        background.visit(
            capture, device, UPDATE, moment + 300, ((1_100, 8_000), (600, size)), client=tls.WINDOWS
        )
        dns.look_up(
            capture,
            (device, resolver_of(device)),
            moment + 9_000_000,
            "www.smartclas.example",
            code=dns.NAME_ERROR,
        )
    for device in STUDENTS[::3]:
        at = LESSONS[1] + 1_200 + capture.rng.uniform(0, 60)
        moment = background.resolve(capture, device, resolver_of(device), EXAM, capture.at(at))
        background.visit(
            capture, device, EXAM, moment + 300, ((900, 30_000), (2_500, 400), (2_500, 400)), think=40
        )


def build(capture: Capture) -> None:
    """Build the whole morning."""
    for number, device in enumerate(STUDENTS):
        _start(capture, device, LESSONS[0] - 200 + capture.rng.uniform(0, 150), f"JF1-{number + 1:02d}")
    _first_lesson(capture)
    _teachers(capture)
    _phones(capture)
    _things(capture)
    _updates(capture)
    for turn in range(30):
        for device in (SITE, RECORDER):
            background.keep_time(capture, device, TIME.endpoint, capture.at(11 + turn * 300))


SCENARIO = Scenario(
    name="normal_class_day",
    ending=".pcap.zst",
    hour=7.5,
    zh="普通上课日的上午",
    en="An ordinary school morning",
    build=build,
    addresses={
        "192.168.10.101": ("机房学生机（至 .126）", "PCs of the computer room (to .126)"),
        "192.168.20.11": ("班班通和教师电脑（至 .26）", "classroom and teachers' PCs (to .26)"),
        "192.168.60.31": ("手机（至 .39）", "phones (to .39)"),
        "192.168.50.11": ("摄像头（至 .16）", "cameras (to .16)"),
        "192.168.50.2": ("录像机", "the recorder"),
        "192.168.20.201": ("打印机", "a printer"),
        "192.168.30.20": ("学校网站", "the school's website"),
    },
)
