"""Encrypt a file share over one SMB2 session: read, overwrite, rename; a note in each folder."""

from __future__ import annotations

from pcaps.scenarios.office_files import DOCUMENTS, content_of
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture
from pcaps.wire.smb import CREATE_NEW, DELETE_ACCESS, RECORDED, WRITE_ACCESS, Smb
from pcaps.wire.tcp import Connection, Pace

INFECTED = inside("192.168.20.52")
WORKER = inside("192.168.20.53")
FILES = inside("192.168.30.30")
FOLDERS = ("教务处", "德育处", "学籍", "财务")
NOTE = "README_DECRYPT.txt"
NOTE_TEXT = (
    b"ALL YOUR FILES ARE ENCRYPTED. Write to unlock@decrypt-service.example with your ID 7F31-AA02.\r\n"
)


def build(capture: Capture) -> None:
    """Build 80 files encrypted in about a minute; a colleague works in the same share beside it."""
    session = Smb(
        Connection(capture, (INFECTED, FILES), 445, capture.at(30), pace=Pace(500, 60_000_000)).open()
    )
    session.log_in("wangli", "PC-2052").connect(r"\\192.168.30.30\share")
    for number in range(80):
        folder = FOLDERS[number // 20]
        if number % 20 == 0:
            session.list_folder()
            note = session.create(f"{folder}\\{NOTE}", access=WRITE_ACCESS, disposition=CREATE_NEW)
            session.write(note, NOTE_TEXT, len(NOTE_TEXT))
            session.close(note)
        _encrypt(session, f"{folder}\\{number:03d}{DOCUMENTS[number % len(DOCUMENTS)]}")
    session.leave()
    colleague = Smb(Connection(capture, (WORKER, FILES), 445, capture.at(12), pace=Pace(500)).open())
    colleague.log_in("zhaoqian", "PC-2053").connect(r"\\192.168.30.30\share")
    for number in range(4):
        colleague.connection.wait(14)
        handle = colleague.create(f"教务处\\课表{number}.xlsx", size=18_000)
        colleague.read(handle, content_of(".xlsx")[:RECORDED], 18_000)
        colleague.close(handle)
    colleague.leave()


def _encrypt(session: Smb, name: str) -> None:
    rng = session.rng
    size = rng.randrange(9_000, 60_000)
    handle = session.create(name, access=WRITE_ACCESS | DELETE_ACCESS, size=size)
    session.read(handle, content_of(name)[:RECORDED], size)
    session.write(handle, rng.randbytes(RECORDED), size + 528)
    session.rename(handle, f"{name}.locked")
    session.close(handle)
    session.connection.wait(rng.uniform(0.2, 0.9))


SCENARIO = Scenario(
    name="smb_ransomware",
    ending=".pcap.gz",
    hour=19.0,
    zh="电脑通过共享目录批量加密文件",
    en="A PC encrypts the files of a share",
    build=build,
    addresses={
        "192.168.20.52": ("感染勒索病毒的电脑", "the PC with ransomware"),
        "192.168.30.30": ("文件服务器", "the file server"),
        "192.168.20.53": ("正常办公的电脑", "a PC at work"),
    },
    must_find=(("smb_ransomware", "192.168.20.52", "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.53"},),
)
