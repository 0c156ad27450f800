from __future__ import annotations

import pytest

from collectors.devices.base import Device
from collectors.honeypots.hfish import HFishSyslog
from collectors.syslog import SyslogParser
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, TextCollectorTests, assert_fits_dictionary


class TestHFish(TextCollectorTests):
    name = "hfish"
    samples = ("hfish.json",)


REPORT = {
    "client": "内置节点", "client_ip": "10.8.9.10", "attack_type": "signon", "scan_type": "N/A", "scan_port": "N/A",
    "type": "SSH 蜜罐", "class": "SSH", "account": "root/123456", "src_ip": "203.0.113.77", "labels": "扫描, 爆破",
    "dst_ip": "10.8.9.10", "geo": "局域网", "time": "2026-11-20 10:03:04", "info": "N/A",
}  # fmt: skip


def syslog_event(message: str) -> Event:
    return SyslogParser(CONTEXT).parse_message(f"<13>Nov 20 10:03:04 hfish HFish: {message}", "10.8.9.10")


@pytest.mark.parametrize("between", [",", ", ", "|", "\n", "; ", "  "])
@pytest.mark.parametrize("sign", [":", "=", ": ", "："])
def test_whatever_stands_between_the_names(between: str, sign: str) -> None:
    device: Device = HFishSyslog()
    message = (
        "HFish-威胁告警" + between + between.join(f"{name}{sign}{value}" for name, value in REPORT.items())
    )
    event = syslog_event(message)
    assert device.recognise(event, message)
    assert device.interpret(event, message)
    assert_fits_dictionary(event)
    assert event["@timestamp"] == "2026-11-20T02:03:04.000000Z"
    assert event["event.action"] == "honeypot_login"
    assert event["source.ip"] == "203.0.113.77"
    assert event["destination.ip"] == "10.8.9.10"
    assert event["user.name"] == "root"
    assert "123456" not in str(event["message"])
    assert event["observer.name"] == "内置节点"
    assert "hfish.labels=扫描, 爆破" in event["edusoc.extra"]  # type: ignore[operator]
    assert "N/A" not in str({name: value for name, value in event.items() if name != "message"})


def test_what_is_offline_is_said() -> None:
    message = "HFish-蜜罐离线告警 Server_ip: 10.8.9.1, client: 图书馆, client_ip: 10.8.9.10, class: SSH,MySQL"
    event = syslog_event(message)
    assert HFishSyslog().interpret(event, message)
    assert (event["event.dataset"], event["event.action"]) == ("hfish.system", "honeypot_offline")
    assert event["observer.name"] == "图书馆"


def test_other_messages_are_left_alone() -> None:
    message = "HFish started, src_ip: none"
    event = syslog_event(message)
    before = dict(event)
    assert not HFishSyslog().interpret(event, message)
    assert event == before
