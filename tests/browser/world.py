"""Fill a real store and database with a small place: a county with schools, assets, people, events and alerts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cases.alerts.attach import AlertSink
from cases.alerts.model import CloseReason, Status
from cases.alerts.repository import AlertChange, AlertFilter, change_alert, list_alerts
from soc_core.access.accounts import Role, User, add_user
from soc_core.clock import Clock, format_instant
from soc_core.model.detection import Detection, Entity, Reason, Severity, make_detection_id
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.repository import put_asset, put_unit
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE

PASSWORD = "演示口令 1234567890"
UNITS = (
    ("99", "", "演示省教育厅", "Demo Province Education Department", "province"),
    ("9912", "99", "江海市教育局", "Jianghai City Education Bureau", "city"),
    ("991201", "9912", "青禾县教育局", "Qinghe County Education Bureau", "county"),
    ("9912010001", "991201", "青禾县中心小学", "Qinghe Central Primary School", "school"),
    ("9912010002", "991201", "青禾县第一初级中学", "Qinghe No. 1 Junior Middle School", "school"),
    ("9912010003", "991201", "青禾县高级中学", "Qinghe Senior High School", "school"),
    ("9912010004", "991201", "柳湾乡中心小学", "Liuwan Central Primary School", "school"),
    ("9912010005", "991201", "青禾县职业教育中心", "Qinghe Vocational Education Centre", "school"),
    ("9912010006", "991201", "育才实验学校（民办）", "Yucai Experimental School (private)", "school"),
    ("9912010007", "991201", "石坪教学点", "Shiping Teaching Point", "school"),
    ("991202", "9912", "望山县教育局", "Wangshan County Education Bureau", "county"),
    ("9912020001", "991202", "望山县第二小学", "Wangshan No. 2 Primary School", "school"),
)
ASSETS = (
    ("9912010001", "192.168.1.23", "三年级二班班班通", "Class 3-2 panel PC", "教学楼 2 层", 1),
    ("9912010001", "192.168.1.201", "校门口摄像机", "Gate camera", "东门", 1),
    ("9912010002", "192.168.1.45", "微机室 12 号机", "Lab PC 12", "微机室", 1),
    ("9912010003", "10.8.0.10", "学校网站服务器", "School web server", "中心机房", 4),
    ("9912010003", "10.8.0.21", "教务管理系统", "School administration system", "中心机房", 4),
    ("9912010005", "172.16.3.9", "实训机房控制机", "Training room controller", "实训楼", 2),
)
# kind, rule kind, severity, unit, address, peer, events, hours ago
CASES = (
    ("r-ransom", "sigma", "critical", "9912010003", "10.8.0.21", "10.8.0.55", 412, 0.3),
    ("r-webshell", "sigma", "critical", "9912010003", "10.8.0.10", "203.0.113.77", 9, 3),
    ("dns_tunnel", "anomaly", "high", "9912010002", "192.168.1.45", "t1.example", 1840, 0.8),
    ("beacon", "anomaly", "high", "9912010001", "192.168.1.23", "198.51.100.7", 288, 1.5),
    ("brute_force", "anomaly", "high", "9912010005", "172.16.3.9", "203.0.113.40", 960, 5),
    ("exfiltration", "anomaly", "high", "9912010003", "10.8.0.21", "198.51.100.200", 6, 9),
    ("r-mining", "sigma", "high", "9912010002", "192.168.1.46", "203.0.113.150", 77, 11),
    ("port_scan", "anomaly", "medium", "9912010004", "192.168.1.8", "192.168.1.1", 1002, 14),
    ("host_scan", "anomaly", "medium", "9912010001", "192.168.1.201", "", 254, 20),
    ("r-remote", "sigma", "medium", "9912010006", "192.168.5.17", "198.51.100.31", 12, 26),
    ("unusual_flow", "model", "low", "9912010004", "192.168.1.60", "", 31, 30),
    ("r-default", "sigma", "low", "9912010001", "192.168.1.202", "192.168.1.5", 2, 50),
    ("r-proxy", "sigma", "informational", "9912010005", "172.16.3.44", "198.51.100.90", 4, 71),
)
RULES: Mapping[str, tuple[str, str]] = {
    "r-ransom": ("共享文件夹被批量改名加密", "Files on a share are renamed and encrypted in bulk"),
    "r-webshell": (
        "网站目录出现可疑脚本访问（疑似网页后门）",
        "Suspicious script in the web directory (webshell)",
    ),
    "r-mining": ("连接挖矿矿池", "Connection to a mining pool"),
    "r-remote": ("使用远程控制软件", "Remote-control tool in use"),
    "r-default": ("摄像机默认口令登录", "Default password used on a camera"),
    "r-proxy": ("使用代理翻越上网限制", "Proxy used to evade filtering"),
}
STEPS = {
    "zh": (
        "找到这台设备，先拔网线，不要关机",
        "拍下屏幕上的异常画面，问清使用人当时在做什么",
        "联系县教育局技术人员，等通知后再接回网络",
    ),
    "en": (
        "Find the device and unplug its network cable; do not switch it off",
        "Photograph what the screen shows and ask its user what was going on",
        "Ring the county's technician and reconnect only when told so",
    ),
}
PEOPLE = (
    ("analyst", "李分析", Role.ANALYST, "991201"),
    ("analyst2", "周分析", Role.ANALYST, "991201"),
    ("contact", "王老师", Role.CONTACT, "9912010003"),
    ("auditor", "赵审计", Role.AUDITOR, "991201"),
    ("overseer", "省厅值班", Role.OVERSEER, "99"),
    ("other", "孙老师", Role.CONTACT, "9912020001"),
)


@dataclass(frozen=True)
class Words:
    """Hold a rule's texts."""

    title: str
    description: str
    falsepositives: Sequence[str]
    triage: str
    steps: Sequence[str]
    graded_protection: Sequence[str]


class SampleRules:
    """Know the few rules of this place."""

    def describe(self, rule_id: str, language: str) -> Words | None:
        if rule_id not in RULES:
            return None
        if language == "en":
            return Words(
                RULES[rule_id][1],
                "What happened fits a known way of attack.",
                ["Maintenance by the contractor"],
                "See whether somebody was maintaining the system at that time.",
                STEPS["en"],
                ["8.1.3.3", "8.1.4.5"],
            )
        return Words(
            RULES[rule_id][0],
            "这台设备上发生的情况与已知的攻击手法相符。",
            ["厂商正在远程维护", "管理员批量整理文件"],
            "先核对当时有没有维护或整理操作，再看同一设备的其他告警。",
            STEPS["zh"],
            ["8.1.3.3", "8.1.4.5"],
        )


def build(store: EmbeddedStore, database: Database, clock: Clock, *, demo: bool = False) -> dict[str, str]:
    """Fill the place; return unit ids by code."""
    now = clock()
    with database.write() as connection:
        ids: dict[str, str] = {}
        for code, parent, name, english, level in UNITS:
            values = [Attribute("code", code), Attribute("name", name), Attribute("name_en", english)]
            values.append(Attribute("level", level))
            if parent:
                values.append(Attribute("parent_id", ids[parent]))
            if level == "county":
                values += [Attribute("contact", "李分析"), Attribute("contact_phone", "0990-5550100")]
            if level == "school":
                values.append(Attribute("contact", "王老师"))
            ids[code] = put_unit(connection, values, {"校园网": ["10.0.0.0/8"]}, now=now)
        for code, address, name, english, place, weight in ASSETS:
            put_asset(
                connection,
                Asset(
                    ids[code],
                    "校园网",
                    address,
                    name,
                    name_en=english,
                    location=place,
                    supervisor="张校长",
                    operator="刘老师",
                    importance=weight,
                ),
            )
        for name, shown, role, code in PEOPLE:
            add_user(connection, User(name, shown, role, ids[code], "zh", demo), PASSWORD, now=now)
    _fill(store, database, clock, ids)
    return ids


def _fill(store: EmbeddedStore, database: Database, clock: Clock, ids: Mapping[str, str]) -> None:
    now, chance = clock(), random.Random(3)
    found: list[Detection] = []
    for round_ in range(5):
        for index, case in enumerate(CASES):
            # Later rounds are older and about other devices, so that each is an alert of its own.
            hours = case[7] + round_ * 29 + (chance.random() * 5 if round_ else 0)
            events = _events(case, ids[case[3]], now - timedelta(hours=hours), round_ * 100 + index)
            store.append(events)
            found.append(_detection(case, events, round_))
    for code in ("9912010001", "9912010002", "9912010003", "9912010005", "9912020001"):
        store.append(_background(ids[code], now, chance))
    store.append(
        _events(
            ("beacon", "anomaly", "high", "", "10.9.0.9", "198.51.100.8", 3, 2),
            ids["9912020001"],
            now - timedelta(hours=2),
            999,
        )
    )
    with database.write() as connection:
        AlertSink(clock).take(connection, found)
    with database.write() as connection:
        old = list_alerts(connection, SYSTEM_SCOPE, AlertFilter(), limit=200)[-12:]
        for number, alert in enumerate(old):
            reason = list(CloseReason)[number % 4]
            change = AlertChange("analyst", alert.version, Status.CLOSED, reason, comment="已核对")
            change_alert(connection, SYSTEM_SCOPE, alert.id, change, now=now)


def _events(case: tuple[object, ...], unit: str, last: datetime, seed: int) -> list[Event]:
    made: list[Event] = []
    for number in range(min(int(str(case[6])), 30)):
        at = format_instant(last - timedelta(seconds=41 * number))
        event: Event = {
            "@timestamp": at,
            "event.id": make_event_id(at, unit.encode(), seed * 1000 + number, str(case[0]).encode()),
            "event.dataset": "packets.dns" if case[0] == "dns_tunnel" else "packets.flow",
            "event.kind": "event",
            "event.category": ["network"],
            "organization.id": unit,
            "edusoc.zone": "校园网",
            "source.ip": _address(str(case[4]), seed // 100),
            "source.port": 50_000 + number,
            "destination.ip": "203.0.113.77",
            "destination.port": 53 if case[0] == "dns_tunnel" else 443,
            "network.transport": "udp" if case[0] == "dns_tunnel" else "tcp",
        }
        if case[0] == "dns_tunnel":
            event["dns.question.name"] = f"{seed:04x}{number:08x}9f3ac1.t1.example"
        else:
            event["tls.client.server_name"] = "update.example"
        made.append(event)
    return made


def _background(unit: str, now: datetime, chance: random.Random) -> list[Event]:
    made: list[Event] = []
    for number in range(400):
        at = format_instant(now - timedelta(hours=chance.random() * 24 * 28))
        made.append(
            {
                "@timestamp": at,
                "event.id": make_event_id(at, unit.encode(), number, b"background"),
                "event.dataset": "packets.dns",
                "event.kind": "event",
                "organization.id": unit,
                "edusoc.zone": "校园网",
                "source.ip": f"192.168.1.{number % 200 + 2}",
                "dns.question.name": f"www{number}.example",
            }
        )
    return made


def _address(address: str, round_: int) -> str:
    head, _, last = address.rpartition(".")
    return f"{head}.{(int(last) + 7 * round_) % 250 + 1}" if round_ else address


def _detection(case: tuple[object, ...], events: Sequence[Event], round_: int) -> Detection:
    kind, rule_kind, severity, unit_code, address, peer, count, _hours = case
    del unit_code
    first, last = str(events[-1]["@timestamp"]), str(events[0]["@timestamp"])
    entity = Entity("ip", _address(str(address), round_), "校园网")
    unit = str(events[0]["organization.id"])
    return Detection(
        id=make_detection_id(str(kind), unit, entity, last),
        rule_id=str(kind),
        rule_kind=str(rule_kind),
        kind=str(kind),
        organization_id=unit,
        entity=entity,
        severity=Severity(str(severity)),
        first_seen=first,
        last_seen=last,
        reasons=(Reason("cases.kinds.beacon.description"), Reason("cases.kinds.beacon.triage")),
        evidence=tuple(str(event["event.id"]) for event in events),
        count=int(str(count)),
        peer=str(peer),
        techniques=("T1071.004",) if kind == "dns_tunnel" else ("T1486",) if kind == "r-ransom" else (),
    )
