"""Send a gigabyte out of the file server by night, through SSH on an odd port."""

from __future__ import annotations

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside, outside
from pcaps.wire import ssh, tls
from pcaps.wire.capture import Capture
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

FILES = inside("192.168.30.30")
BACKUP = inside("192.168.30.31")
PEER = outside("203.0.113.140", ttl=49)
PIECES = 6
PIECE_BYTES = 180_000_000


def build(capture: Capture) -> None:
    """Build six uploads of 180 MB from two o'clock on.

    Ordinary are the server's nightly update and the backup server's upload of 90 MB to the bureau.
    """
    for number in range(PIECES):
        pace = Pace(60_000, 2_400_000)
        upload = Connection(capture, (FILES, PEER), 8022, capture.at(number * 95 + 4), pace=pace).open()
        ssh.greet(upload, client="SSH-2.0-WinSCP_release_6.3.4")
        ssh.talk(upload, ((64, 64), (80, 80), (160, 40), (96, 120)))
        upload.send_cut(CLIENT, PIECE_BYTES)
        upload.send_cut(SERVER, 120)
        upload.close(CLIENT)
    update = background.UPDATE
    moment = background.resolve(capture, FILES, inside("192.168.30.1"), update, capture.at(200))
    background.visit(capture, FILES, update, moment + 300, ((900, 18_000), (700, 2_400_000)))
    bureau = background.BUREAU
    moment = background.resolve(capture, BACKUP, inside("192.168.30.1"), bureau, capture.at(30))
    background.visit(capture, BACKUP, bureau, moment + 300, ((90_000_000, 900),), client=tls.WINDOWS)


SCENARIO = Scenario(
    name="exfiltration",
    ending=".pcap.zst",
    hour=2.0,
    zh="文件服务器夜间向外传出大量数据",
    en="The file server sends very much data out by night",
    build=build,
    addresses={
        "192.168.30.30": ("文件服务器", "the file server"),
        "203.0.113.140": ("外网接收地址", "the receiver outside"),
        "192.168.30.31": ("向教育局上传备份的服务器", "the server that uploads its backup to the bureau"),
    },
    must_find=(("exfiltration", "192.168.30.30", "high", "203.0.113.140"),),
    must_not=({"min_severity": "high", "entity": "192.168.30.31"},),
)
