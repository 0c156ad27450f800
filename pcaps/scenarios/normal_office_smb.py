"""Work on a file share for an hour: open, save, rename, delete; a nightly-like backup runs; nothing is wrong."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.office_files import DOCUMENTS, content_of
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint
from pcaps.wire.smb import CREATE_NEW, DELETE_ACCESS, OPEN_OR_CREATE, RECORDED, WRITE_ACCESS, Smb
from pcaps.wire.tcp import Connection, Pace

FILES = inside("192.168.30.30")
BACKUP = inside("192.168.30.31")
WORKERS = tuple(inside(f"192.168.20.{last}") for last in range(41, 49))
NAMES = ("zhangmin", "lijuan", "wangqiang", "liuyang", "chenjing", "yanglei", "huangying", "zhoutao")


def _session(capture: Capture, worker: Endpoint, at: float, user: str, *, share: str = "share") -> Smb:
    pace = Pace(500, 40_000_000)
    session = Smb(Connection(capture, (worker, FILES), 445, capture.at(at), pace=pace).open())
    session.log_in(user, f"PC-{worker.ip.rpartition('.')[2]}")
    return session.connect(rf"\\192.168.30.30\{share}")


def _edit(session: Smb, name: str) -> None:
    """Open and save a document as office programs do: new content to a temporary file, then two renames."""
    size = session.rng.randrange(15_000, 300_000)
    handle = session.create(name, size=size)
    session.read(handle, content_of(name)[:RECORDED], size)
    session.close(handle)
    session.connection.wait(session.rng.uniform(20, 200))
    temporary = f"{name.rpartition(chr(92))[0]}\\{session.rng.getrandbits(32):08X}.tmp"
    fresh = session.create(temporary, access=WRITE_ACCESS | DELETE_ACCESS, disposition=CREATE_NEW)
    session.write(fresh, content_of(name)[:RECORDED], size + 1_200)
    session.rename(fresh, name)
    session.close(fresh)


def _work(capture: Capture, number: int) -> None:
    rng, worker = capture.rng, WORKERS[number]
    session = _session(capture, worker, rng.uniform(10, 400), NAMES[number])
    for turn in range(rng.randrange(5, 10)):
        session.list_folder(rng.randrange(800, 6_000))
        name = f"年级{rng.randrange(1, 7)}\\资料{turn}{rng.choice(DOCUMENTS)}"
        if rng.random() < 0.5:
            _edit(session, name)
            continue
        size = rng.randrange(8_000, 900_000)
        handle = session.create(name, size=size)
        session.read(handle, content_of(name)[:RECORDED], size)
        session.close(handle)
        session.connection.wait(rng.expovariate(1 / 90))
    if number == 3:
        _put_photos(session)
    session.leave()


def _put_photos(session: Smb) -> None:
    """Copy 60 photographs of the sports day, then give them names one by one."""
    for number in range(60):
        size = session.rng.randrange(60_000, 200_000)
        name = f"运动会\\DSC{number:05d}.jpg"
        handle = session.create(name, access=WRITE_ACCESS | DELETE_ACCESS, disposition=CREATE_NEW)
        session.write(handle, content_of(name)[:RECORDED], size)
        session.rename(handle, f"运动会\\2026秋季运动会{number:02d}.jpg")
        session.close(handle)


def _back_up(capture: Capture) -> None:
    """Read 200 files one after the other and write them into one archive on the other server."""
    session = _session(capture, BACKUP, 1_200, "backup")
    for number in range(200):
        name = f"年级{number % 6 + 1}\\资料{number}{DOCUMENTS[number % len(DOCUMENTS)]}"
        size = session.rng.randrange(20_000, 400_000)
        handle = session.create(name, size=size)
        session.read(handle, content_of(name)[:64], size)
        session.close(handle)
    session.leave()
    archive = _session(capture, BACKUP, 1_900, "backup", share="backup$")
    handle = archive.create("2026-11-16.bak", access=WRITE_ACCESS, disposition=OPEN_OR_CREATE)
    for number in range(40):
        archive.write(handle, b"BAK1" * 16, 1_000_000, offset=number * 1_000_000)
    archive.close(handle)
    archive.leave()


def build(capture: Capture) -> None:
    """Build eight people's hour, one forgotten password, one backup, and their pages."""
    for number, worker in enumerate(WORKERS):
        _work(capture, number)
        for _ in range(6):
            moment = capture.at(capture.rng.uniform(0, 3_400))
            background.browse(capture, worker, inside("192.168.20.1"), moment)
    for number in range(3):
        moment = capture.at(500 + number * 20)
        wrong = Smb(Connection(capture, (WORKERS[5], FILES), 445, moment, pace=Pace(500)).open())
        wrong.log_in("yanglei", "PC-46", refused=True)
        wrong.connection.close()
    _back_up(capture)


SCENARIO = Scenario(
    name="normal_office_smb",
    ending=".pcap.zst",
    hour=14.0,
    zh="办公室共享文件与备份",
    en="Office work on a file share, with a backup",
    build=build,
    addresses={
        "192.168.30.30": ("文件服务器", "the file server"),
        "192.168.30.31": ("备份服务器", "the backup server"),
        "192.168.20.41": ("办公电脑（至 .48）", "office PCs (to .48)"),
    },
)
