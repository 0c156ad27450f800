"""Send passwords in the clear: web forms, basic log-in and FTP of old school systems."""

from __future__ import annotations

from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire import http
from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

TEACHER = inside("192.168.20.35")
SYSTEM = inside("192.168.30.40")
FTP = inside("192.168.30.41")
HOST = "jwxt.shiyan-school.example"


def _log_in(capture: Capture, teacher: Endpoint, at: float, user: str, password: str) -> None:
    connection = Connection(capture, (teacher, SYSTEM), 80, capture.at(at), pace=Pace(600)).open()
    form = http.page(
        "教务系统 登录", '<form method="post" action="/login"><input type="password" name="password">'
    )
    http.fetch(connection, http.request("GET", "/login", HOST), http.response(200, form))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://{HOST}/login"}
    body = f"username={user}&password={password}&role=teacher".encode()
    moved = {"Location": "/main", "Set-Cookie": f"JSESSIONID={capture.rng.randbytes(16).hex()}; Path=/"}
    asked = http.request("POST", "/login", HOST, headers=headers, body=body)
    http.fetch(connection, asked, http.response(302, b"", headers=moved), think=7)
    http.fetch(
        connection, http.request("GET", "/main", HOST), http.response(200, http.page("教务系统", "欢迎"))
    )
    connection.close(CLIENT)


def _transfer(capture: Capture, at: float) -> None:
    connection = Connection(capture, (TEACHER, FTP), 21, capture.at(at), pace=Pace(600)).open()
    connection.send(SERVER, b"220 (vsFTPd 3.0.5)\r\n")
    for line, answer in (
        ("USER jiaowu", "331 Please specify the password."),
        ("PASS Jw2026!kebiao", "230 Login successful."),
        ("SYST", "215 UNIX Type: L8"),
        ("PWD", '257 "/home/jiaowu" is the current directory'),
        ("QUIT", "221 Goodbye."),
    ):
        connection.send(CLIENT, line.encode() + b"\r\n", think=0.8)
        connection.send(SERVER, answer.encode() + b"\r\n", think=0.002)
    connection.close(SERVER)


def build(capture: Capture) -> None:
    """Build form log-ins of three teachers, one basic log-in, one FTP log-in."""
    people = ((TEACHER, "liming", "Lm19850312"), (inside("192.168.20.36"), "zhoujie", "zj%40123456"),
              (inside("192.168.20.37"), "sunyan", "Sy-2024-gaoyi"))  # fmt: skip
    for number, (teacher, user, password) in enumerate(people):
        _log_in(capture, teacher, 5 + number * 40, user, password)
    basic = Connection(capture, (TEACHER, SYSTEM), 80, capture.at(150), pace=Pace(600)).open()
    headers = {"Authorization": http.basic("liming", "Lm19850312")}
    asked = http.request("GET", "/report/kebiao.xls", HOST, headers=headers)
    http.fetch(basic, asked, http.response(200, b"\xd0\xcf\x11\xe0", kind="application/vnd.ms-excel"))
    basic.close(CLIENT)
    _transfer(capture, 170)


SCENARIO = Scenario(
    name="cleartext_password",
    ending=".pcap",
    hour=8.4,
    zh="教务系统明文传输口令",
    en="An old school system takes passwords in the clear",
    build=build,
    addresses={
        "192.168.20.35": ("教师电脑", "a teacher's PC"),
        "192.168.30.40": ("明文登录的教务系统", "the system with clear log-ins"),
        "192.168.30.41": ("FTP 服务器", "the FTP server"),
    },
    must_find=(("cleartext_password", "192.168.30.40", "low"),),
    must_not=({"min_severity": "high"},),
)
