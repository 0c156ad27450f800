"""Make sure that an ordinary school day raises nothing: services Chinese schools use, updates, antivirus, offices."""

from __future__ import annotations

import pytest

from detectors.sigma import SigmaDetector
from soc_core.model.event import Event
from tests.rules.corpus import rule_set

BASE: Event = {
    "event.id": "20261120-classday",
    "@timestamp": "2026-11-20T02:00:00.000000Z",
    "organization.id": "unit-1",
    "edusoc.zone": "default",
    "source.ip": "192.168.30.11",
    "source.port": 51000,
}
# Learning platforms, Seewo classroom screens, chat and meetings, updates, antivirus, input methods, browsers, video.
NAMES = (
    "basic.smartedu.cn", "www.smartedu.cn", "auth.smartedu.cn", "r1-ndr.ykt.cbern.com.cn",
    "bdcs-file-1.ykt.cbern.com.cn", "easinote.seewo.com", "id.seewo.com", "store.seewo.com", "care.seewo.com",
    "myou.cvte.com", "wss.dingtalk.com", "login.dingtalk.com", "static.dingtalk.com", "meeting.tencent.com",
    "wemeet.qq.com", "work.weixin.qq.com", "szextshort.weixin.qq.com", "ctldl.windowsupdate.com",
    "fe2cr.update.microsoft.com", "settings-win.data.microsoft.com", "dl.delivery.mp.microsoft.com",
    "update.360safe.com", "q.soft.360.cn", "sdup.360.cn", "conf.360.cn", "up.huorong.cn", "shouji.sogou.com",
    "get.sogou.com", "wpscdn.cn", "vip.wps.cn", "www.baidu.com", "hm.baidu.com", "pan.baidu.com",
    "doh.360.cn", "doh.pub", "dns.alidns.com", "safebrowsing.googleapis.com", "www.bilibili.com",
    "api.bilibili.com", "v.qq.com", "edu.10086.cn", "zhixue.com", "www.zhixue.com", "xueersi.com", "xuexi.cn",
    "www.cnki.net", "ntp.aliyun.com", "time.windows.com", "hik-connect.com", "litedev.hik-connect.com",
    "api.ezviz7.com", "www.easyddns.com", "e5.sk", "pki.goog", "ocsp.digicert.com",
    "a1b2c3d4e5f60718293a4b5c6d7e8f90.clo.footprintdns.com",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f9.dc.infinitycloud.cn", "teamview.school.example", "vpn.school.example",
)  # fmt: skip
EXPLORER = r"C:\Windows\explorer.exe"
SHELL = r"C:\Windows\System32\cmd.exe"
# Program, command line, parent.
PROGRAMS = (
    (r"C:\Program Files (x86)\Seewo\EasiNote5\EasiNote5_5.2.4\main\EasiNote.exe", "EasiNote.exe", EXPLORER),
    (r"C:\Program Files (x86)\DingDing\main\current\DingTalk.exe", '"DingTalk.exe" /autorun', EXPLORER),
    (r"C:\Program Files (x86)\Tencent\WeMeet\wemeetapp.exe", "wemeetapp.exe --type=renderer", EXPLORER),
    (r"C:\Program Files (x86)\360\360Safe\safemon\360Tray.exe", "360Tray.exe /start", EXPLORER),
    (r"C:\Program Files (x86)\360\360Safe\360Safe.exe", "360Safe.exe", EXPLORER),
    (r"C:\Windows\System32\wuauclt.exe", "wuauclt.exe /UpdateDeploymentProvider", r"C:\Windows\System32\svchost.exe"),
    (r"C:\Windows\System32\MusNotification.exe", "MusNotification.exe", r"C:\Windows\System32\svchost.exe"),
    (r"C:\Windows\System32\msiexec.exe", "msiexec.exe /V", r"C:\Windows\System32\services.exe"),
    (r"C:\Windows\System32\rundll32.exe", "rundll32.exe shell32.dll,Control_RunDLL", EXPLORER),
    (r"C:\Windows\System32\cmd.exe", r'cmd /c ""D:\开机启动.bat""', EXPLORER),
    (r"C:\Windows\System32\net.exe", r"net use Z: \\192.168.1.5\kejian /persistent:yes", SHELL),
    (r"C:\Windows\System32\net.exe", "net time /set", SHELL),
    (r"C:\Windows\System32\shutdown.exe", "shutdown -s -t 60", SHELL),
    (r"C:\Windows\System32\schtasks.exe", "schtasks /query", SHELL),
    (r"C:\Windows\System32\vssadmin.exe", "vssadmin list writers", SHELL),
    (r"C:\Windows\System32\wevtutil.exe", "wevtutil el", SHELL),
    (r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE", "WINWORD.EXE /n 教案.docx", EXPLORER),
    (r"C:\Program Files (x86)\Kingsoft\WPS Office\12.1\office6\wps.exe", "wps.exe", EXPLORER),
    (r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe", "powershell.exe -NoLogo", EXPLORER),
    (r"C:\Program Files\Git\bin\bash.exe", "bash --login -i", EXPLORER),
)  # fmt: skip
# Method, target, status and title of requests to the school's own site.
REQUESTS = (
    ("GET", "/", 200, "示例县第一中学"),
    ("GET", "/xwzx/2026/1120.html?from=timeline&isappinstalled=0", 200, "我校召开反诈宣传主题班会"),
    ("POST", "/jwxt/login.do", 302, ""),
    ("GET", "/jwxt/score.jsp?xh=20260101&term=2026-1", 200, "成绩查询"),
    ("POST", "/jwxt/score/save.jsp", 200, ""),
    ("GET", "/search?q=select%20a%20book%20from%20the%20library", 200, "搜索"),
    ("GET", "/upload/202611/photo.jpg", 200, ""),
    ("GET", "/static/js/app.8f3c2a1b.js", 200, ""),
    ("POST", "/ueditor/php/controller.php?action=uploadimage", 200, ""),
    ("GET", "/download.php?file=2026%E5%B9%B4%E6%8B%9B%E7%94%9F%E7%AE%80%E7%AB%A0.pdf", 200, ""),
    ("POST", "/seeyon/ajax.do?method=ajaxAction", 200, ""),
    ("GET", "/robots.txt", 404, ""),
    ("GET", "/dy/quanmin.html", 200, "远离赌博 珍爱生命——国家安全教育日"),
)  # fmt: skip


def _dns(name: str) -> Event:
    return {
        **BASE, "event.dataset": "packets.dns", "event.module": "packets", "network.transport": "udp",
        "destination.ip": "192.168.1.2", "destination.port": 53, "dns.type": "query", "dns.question.name": name,
        "dns.question.type": "A",
    }  # fmt: skip


def _tls(name: str) -> Event:
    return {
        **BASE, "event.dataset": "packets.tls", "event.module": "packets", "network.transport": "tcp",
        "destination.ip": "203.0.113.80", "destination.port": 443, "tls.version": "1.3",
        "tls.client.server_name": name, "tls.established": True,
    }  # fmt: skip


def _process(program: str, command: str, parent: str) -> Event:
    return {
        **BASE, "event.dataset": "windows.sysmon", "event.module": "windows", "event.code": "1", "winlog.event_id": "1",
        "host.name": "JXL-301-PC", "process.executable": program, "process.name": program.rpartition("\\")[2],
        "process.command_line": command, "process.parent.executable": parent,
        "process.parent.name": parent.rpartition("\\")[2], "user.name": "teacher",
    }  # fmt: skip


def _http(method: str, target: str, status: int, title: str) -> Event:
    path, mark, query = target.partition("?")
    event: Event = {
        **BASE, "event.dataset": "packets.http", "event.module": "packets", "network.transport": "tcp",
        "destination.ip": "192.168.1.21", "destination.port": 80, "http.request.method": method, "url.original": target,
        "url.path": path, "user_agent.original": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
        "http.response.status_code": status, "http.response.body.bytes": 5120, "http.response.mime_type": "text/html",
    }  # fmt: skip
    if mark:
        event["url.query"] = query
    if title:
        event["edusoc.http.title"] = title
    return event


def _flow(port: int, *, seconds: int, sent: int, received: int, target: str = "203.0.113.80") -> Event:
    return {
        **BASE, "event.dataset": "packets.flow", "event.module": "packets", "network.transport": "tcp",
        "destination.ip": target, "destination.port": port, "event.duration": seconds * 1_000_000_000,
        "source.bytes": sent, "destination.bytes": received, "source.packets": max(3, sent // 600),
        "destination.packets": max(3, received // 1_000),
    }  # fmt: skip


FLOWS = (
    _flow(443, seconds=2400, sent=400_000, received=90_000_000),  # a video lesson
    _flow(443, seconds=28_800, sent=300_000, received=300_000),  # a push connection all day
    _flow(445, seconds=900, sent=2_000_000, received=30_000_000, target="192.168.1.5"),
    _flow(3389, seconds=900, sent=500_000, received=9_000_000, target="192.168.1.20"),
    _flow(554, seconds=3600, sent=200_000, received=900_000_000, target="192.168.50.11"),
    _flow(9100, seconds=12, sent=900_000, received=4_000, target="192.168.10.60"),
    _flow(3306, seconds=30, sent=20_000, received=200_000, target="192.168.1.30"),
)


@pytest.mark.parametrize(
    ("what", "events"),
    [
        ("names", [_dns(name) for name in NAMES]),
        ("encrypted sites", [_tls(name) for name in NAMES]),
        ("programs", [_process(*row) for row in PROGRAMS]),
        ("the school's site", [_http(*row) for row in REQUESTS]),
        ("flows", list(FLOWS)),
    ],
)
def test_an_ordinary_day_is_quiet(what: str, events: list[Event]) -> None:
    titles = {rule.id: rule.head.words["en"].title for rule in rule_set().rules}
    found = SigmaDetector(rule_set()).detect(events)
    assert [f"{titles[item.rule_id]}: {item.entity.value} {item.reasons}" for item in found] == [], what


def test_the_day_would_be_seen() -> None:
    """The same shapes do fire when they carry something bad, so silence above means something."""
    bad = [
        _dns("pool.supportxmr.com"),
        _tls("slapi.oray.net"),
        _process(
            r"C:\Windows\System32\vssadmin.exe",
            "vssadmin delete shadows /all",
            r"C:\Windows\System32\cmd.exe",
        ),
        _http("POST", "/upload/202611/a.jsp", 200, ""),
        _http("GET", "/news.html", 200, "澳门新葡京官网"),
        {
            **_flow(3389, seconds=900, sent=500_000, received=9_000_000, target="192.168.1.20"),
            "source.ip": "203.0.113.7",
        },
    ]
    found = SigmaDetector(rule_set()).detect(bad)
    assert {item.kind for item in found} >= {
        "mining", "remote_control", "ransomware", "webshell", "defacement", "rdp_exposed",
    }  # fmt: skip
