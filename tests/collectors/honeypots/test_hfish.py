from __future__ import annotations

import re
from datetime import UTC

import pytest

from collectors.devices.base import Device
from collectors.honeypots.hfish import HFishSyslog
from soc_core.model.event import Event
from tests.collectors.base import TextCollectorTests, assert_fits_dictionary


class TestHFish(TextCollectorTests):
    name = "hfish"
    samples = ("hfish.json",)


REPORT = {
    "client": "内置节点", "client_ip": "10.8.9.10", "attack_type": "signon", "scan_type": "N/A", "scan_port": "N/A",
    "type": "SSH 蜜罐", "class": "SSH", "account": "root/123456", "src_ip": "203.0.113.77", "labels": "扫描, 爆破",
    "dst_ip": "10.8.9.10", "geo": "局域网", "time": "2026-11-20 10:03:04", "info": "N/A",
}  # fmt: skip


def interpret(message: str) -> Event | None:
    device: Device = HFishSyslog()
    assert re.match(device.opening, message)
    assert device.recognise(message, {})
    return device.interpret(message, {}, UTC)


@pytest.mark.parametrize("between", [",", ", ", "|", "\n", "; ", "  "])
@pytest.mark.parametrize("sign", [":", "=", ": ", "："])
def test_whatever_stands_between_the_names(between: str, sign: str) -> None:
    message = (
        "HFish-威胁告警" + between + between.join(f"{name}{sign}{value}" for name, value in REPORT.items())
    )
    event = interpret(message)
    assert event is not None
    assert_fits_dictionary(event)
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
    event = interpret(message)
    assert event is not None
    assert (event["event.dataset"], event["event.action"]) == ("hfish.system", "honeypot_offline")
    assert event["observer.name"] == "图书馆"


def test_other_messages_are_left_alone() -> None:
    assert interpret("HFish started, src_ip: none") is None
