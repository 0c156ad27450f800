"""Write what a Suricata sensor says in two hours: flows, names, TLS, and some alerts, most of them harmless."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta

from pcaps.scenarios.scenario import CHINA, LogFile, LogScenario

TROJAN = "192.168.20.84"
CONTROL = "198.51.100.90"
NAMES = (
    ("www.smartclass.example", "198.18.4.10"), ("vod.smartclass.example", "198.18.8.31"),
    ("im.dingcampus.example", "198.18.12.5"), ("update.chuanghu.example", "198.18.30.9"),
    ("www.baisou.example", "198.18.20.8"),
)  # fmt: skip
HARMLESS = (
    (9_000_101, "LOCAL INFO Windows update over plain HTTP", "Misc activity", 3),
    (9_000_102, "LOCAL POLICY BitTorrent peer exchange", "Potential Corporate Privacy Violation", 3),
)
TROJAN_RULE = (9_000_201, "LOCAL TROJAN GrayPigeon variant check-in", "A Network Trojan was detected", 1)


class _Eve:
    """Collect EVE records at their instants."""

    def __init__(self, rng: random.Random, start: datetime) -> None:
        self.rng, self.start = rng, start
        self.records: list[tuple[datetime, dict[str, object]]] = []

    def stamp(self, seconds: float) -> str:
        """Return Suricata's way to write an instant."""
        return (self.start + timedelta(seconds=seconds)).astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S.%f%z")

    def add(
        self, seconds: float, kind: str, ends: tuple[str, int, str, int], proto: str, **more: object
    ) -> None:
        """Add one record."""
        head: dict[str, object] = {
            "timestamp": self.stamp(seconds),
            "flow_id": self.rng.getrandbits(50),
            "in_iface": "eth1",
            "event_type": kind,
        }
        sides = dict(zip(("src_ip", "src_port", "dest_ip", "dest_port"), ends, strict=True))
        self.records.append((self.start + timedelta(seconds=seconds), head | sides | {"proto": proto} | more))

    def flow(
        self, seconds: float, ends: tuple[str, int, str, int], app: str, age: float, sent: int, got: int
    ) -> None:
        """Add the record of a flow that ends after ``age`` seconds."""
        flow = {
            "pkts_toserver": 4 + sent // 900, "pkts_toclient": 4 + got // 1_300, "bytes_toserver": sent,
            "bytes_toclient": got, "start": self.stamp(seconds), "end": self.stamp(seconds + age), "age": round(age),
            "state": "closed", "reason": "timeout", "alerted": False,
        }  # fmt: skip
        tcp = {"tcp_flags": "1b", "syn": True, "fin": True, "psh": True, "ack": True, "state": "closed"}
        self.add(seconds + age + 60, "flow", ends, "TCP", app_proto=app, flow=flow, tcp=tcp)


def _background(eve: _Eve) -> None:
    rng = eve.rng
    for _ in range(260):
        at, client = rng.uniform(5, 7_000), f"192.168.20.{rng.randrange(11, 60)}"
        name, address = rng.choice(NAMES)
        port = rng.randrange(49_152, 65_535)
        answers = [{"rrname": name, "rrtype": "A", "ttl": 60, "rdata": address}]
        dns = {"version": 2, "type": "answer", "id": rng.getrandbits(16), "flags": "8180", "qr": True, "rd": True,
               "ra": True, "rrname": name, "rrtype": "A", "rcode": "NOERROR", "answers": answers}  # fmt: skip
        eve.add(at, "dns", (client, port, "192.168.20.1", 53), "UDP", dns=dns)
        ends = (client, port + 1 if port < 65_535 else port, address, 443)
        eve.add(at + 0.1, "tls", ends, "TCP", tls={"sni": name, "version": "TLS 1.3"})
        sent = rng.randrange(900, 4_000)
        eve.flow(at + 0.05, ends, "tls", rng.uniform(0.3, 40), sent, rng.randrange(4_000, 300_000))
    for number in range(24):
        rule = HARMLESS[number % 2]
        ends = (f"192.168.20.{11 + number}", 50_000 + number, NAMES[3][1], 80)
        eve.add(rng.uniform(0, 7_000), "alert", ends, "TCP", alert=_alert(rule), app_proto="http")


def _alert(rule: tuple[int, str, str, int]) -> dict[str, object]:
    number, signature, category, severity = rule
    return {"action": "allowed", "gid": 1, "signature_id": number, "rev": 1, "signature": signature,
            "category": category, "severity": severity}  # fmt: skip


def _trojan(eve: _Eve) -> None:
    """Add seven check-ins, each with its flow."""
    for number in range(7):
        at = 600 + number * 900 + eve.rng.uniform(0, 60)
        ends = (TROJAN, 51_000 + number, CONTROL, 8_000)
        http = {"hostname": CONTROL, "url": "/g.asp?hid=88F1", "http_user_agent": "Mozilla/4.0", "http_method": "GET",
                "protocol": "HTTP/1.1", "status": 200, "length": 12}  # fmt: skip
        eve.add(at, "alert", ends, "TCP", alert=_alert(TROJAN_RULE), http=http, app_proto="http")
        eve.flow(at - 0.2, ends, "http", 0.6, 420, 310)


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return the log."""
    eve = _Eve(rng, start)
    _background(eve)
    _trojan(eve)
    records = [record for _, record in sorted(eve.records, key=lambda item: item[0])]
    text = "".join(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n" for record in records)
    return [LogFile("eve.json.gz", text.encode(), len(records))]


SCENARIO = LogScenario(
    name="ids_sensor",
    hour=9,
    hours=2.1,
    zh="入侵检测（Suricata）日志：一台电脑有木马回连",
    en="A Suricata sensor's log: one PC has a trojan that calls home",
    build=build,
    addresses={
        TROJAN: ("有木马的电脑", "the PC with the trojan"),
        CONTROL: ("木马控制端", "the control server"),
        "192.168.20.11": ("正常电脑", "an ordinary PC"),
    },
    must_find=(("ids_trojan", TROJAN, "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.11"},),
)
