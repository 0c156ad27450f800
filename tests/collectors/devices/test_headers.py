"""Devices write heads that no RFC knows: time, host and message are found all the same."""

from __future__ import annotations

import pytest

from collectors.lines import Line
from collectors.syslog import Syslog, SyslogParser
from tests.collectors.base import CONTEXT
from tests.collectors.devices.base import SENDER, read, samples

LINK = (
    "%%01IFNET/4/LINK_STATE(l)[3]:The line protocol IP on the interface GE0/0/1 has entered the DOWN state."
)
TEN = "2026-11-20T02:00:00.000000Z"


@pytest.mark.parametrize(
    ("head", "time", "host"),
    [
        ("<190>Nov 20 2026 10:00:00 sw-1 ", TEN, "sw-1"),
        ("<190>Nov 20 10:00:00 2026 sw-1 ", TEN, "sw-1"),
        ("<190>Nov 20 10:00:00 sw-1 ", TEN, "sw-1"),
        ("<190>Nov 20 2026 10:00:00.250 sw-1 ", "2026-11-20T02:00:00.250000Z", "sw-1"),
        ("<190>Nov 20 2026 02:00:00+00:00 sw-1 ", TEN, "sw-1"),
        ("<190>Nov 20 2026 10:00:00+08:00 DST sw-1 ", TEN, "sw-1"),
        ("<190>Nov 20 2026 02:00:00 UTC: sw-1 ", TEN, "sw-1"),
        ("<190>2026/11/20 10:00:00 sw-1 ", TEN, "sw-1"),
        ("<190>2026-11-20 10:00:00 sw-1 ", TEN, "sw-1"),
        ("<190>2026-11-20T10:00:00+08:00 sw-1 ", TEN, "sw-1"),
        ("<190>2026-11-20 02:00:00 -00:00 sw-1 ", TEN, "sw-1"),
    ],
)
def test_heads_of_vrp(head: str, time: str, host: str) -> None:
    event = read(head + LINK)
    assert (event["@timestamp"], event["log.syslog.hostname"]) == (time, host)
    assert (event["event.dataset"], event["observer.name"]) == ("huawei.device", host)


@pytest.mark.parametrize(
    "head",
    [
        "<189>123: *Nov 20 10:00:00: ",
        "<189>123: Nov 20 10:00:00.000: ",
        "<189>Nov 20 2026 10:00:00: ",
        "<189>000045: XX-SW: Nov 20 10:00:00: ",
        "<189>*Nov 20 10:00:00: ",
    ],
)
def test_heads_of_ios(head: str) -> None:
    event = read(head + "%LINK-3-UPDOWN: Interface GigabitEthernet0/1, changed state to down")
    assert (event["event.dataset"], event["event.action"]) == ("cisco.device", "interface_down")
    assert event["log.syslog.hostname"] == ("XX-SW" if "XX-SW" in head else SENDER)


def test_events_without_a_head_keep_their_beginning() -> None:
    for mark in ("CEF:0", "CEF: 0"):
        event = read(f"<134>Nov 20 10:00:00 fw {mark}|A|B|1|2|3|5|src=192.168.1.1 dst=192.168.1.2")
        assert (event["event.dataset"], event["log.syslog.hostname"]) == ("cef.event", "fw")
        assert "process.name" not in event
        event = read(f"<134>{mark}|A|B|1|2|3|5|src=192.168.1.1 dst=192.168.1.2")
        assert (event["event.dataset"], event["log.syslog.hostname"]) == ("cef.event", SENDER)


def test_ordinary_programs_keep_their_tags() -> None:
    for tag in ("cefd", "time", "leef", "ABC"):
        event = read(f"<38>Nov 20 10:00:00 web1 {tag}: started")
        assert (event["process.name"], event["message"]) == (tag, "started")


@pytest.mark.parametrize("name", ["topsec", "nsfocus", "fortinet", "sangfor"])
def test_files_without_heads_are_recognised(name: str) -> None:
    lines = "\n".join(line.partition(">")[2] for line in samples(name) if "time=" in line or "|!" in line)
    if lines:
        assert Syslog().recognise(lines.encode(), "device.log") >= 40
    assert Syslog().recognise(b"just some words\nand some more\n", "notes.txt") == 0


def test_a_console_line_of_comware_is_read() -> None:
    (event,) = SyslogParser(CONTEXT).parse(Line(0, 1, f"<190>Nov 20 10:00:00:123 2026 sw-1 {LINK}".encode()))
    assert event["@timestamp"] == "2026-11-20T02:00:00.123000Z"
