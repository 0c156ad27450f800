"""Start a computer room whose 45 PCs are clones of one image, same name each, behind one address."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.background import EXAM, PLATFORM, PLATFORM_LOGIN, UPDATE
from pcaps.scenarios.office_files import content_of
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire import tls
from pcaps.wire.capture import Capture
from pcaps.wire.smb import Smb
from pcaps.wire.tcp import Connection, Pace

ROOM = inside("10.20.0.5", ttl=127)
TEACHER = inside("10.20.30.6")
RESOLVER = inside("10.20.0.1")
NAME = "STUDENT-PC"


def build(capture: Capture) -> None:
    """Build 45 starts within two minutes: network check, look-ups, platform, exam, the teacher's share."""
    rng = capture.rng
    for _ in range(45):
        moment = rng.uniform(0, 120)
        background.check_network(capture, ROOM, RESOLVER, capture.at(moment))
        for service, later in ((PLATFORM_LOGIN, 20), (PLATFORM, 24), (EXAM, 240), (UPDATE, 60)):
            at_us = background.resolve(capture, ROOM, RESOLVER, service, capture.at(moment + later))
            sizes = [(rng.randrange(400, 1_500), rng.randrange(900, 30_000)) for _ in range(2)]
            background.visit(capture, ROOM, service, at_us + 300, sizes, client=tls.BROWSER)
        _fetch_lesson(capture, moment + 40 + rng.random() * 5)
        background.keep_time(capture, ROOM, background.TIME.endpoint, capture.at(moment + 3))


def _fetch_lesson(capture: Capture, at: float) -> None:
    ends = (ROOM, TEACHER)
    session = Smb(Connection(capture, ends, 445, capture.at(at), pace=Pace(700, 30_000_000)).open())
    session.log_in("student", NAME, "TEACHER-PC").connect(r"\\10.20.30.6\lesson")
    session.list_folder()
    for name, size in (("第一课.pptx", 380_000), ("练习.docx", 42_000)):
        handle = session.create(name, size=size)
        session.read(handle, content_of(name)[:512], size)
        session.close(handle)
    session.leave()


SCENARIO = Scenario(
    name="cloned_classroom",
    ending=".pcap.zst",
    hour=9.3,
    zh="机房克隆电脑同名同址集中开机",
    en="Cloned classroom PCs, one name behind one address",
    build=build,
    addresses={
        "10.20.0.5": (
            "机房出口地址，其后 45 台同名电脑",
            "the room's one address, 45 PCs of one name behind it",
        ),
        "10.20.30.6": ("教师机", "the teacher's PC"),
    },
)
