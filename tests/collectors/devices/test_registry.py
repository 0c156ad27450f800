from __future__ import annotations

import random
import string
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.base import ReadContext
from collectors.devices import registry
from collectors.devices.base import Device
from collectors.lines import Line
from collectors.making import RecordError
from collectors.syslog import SyslogParser
from soc_core.clock import LOCAL_ZONE
from soc_core.errors import UsageError
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, GOLDEN, assert_fits_dictionary
from tests.collectors.devices.base import SENDER, read, samples

ALL = [(name, line) for name in registry.NAMES for line in samples(name)]
LEAST_KINDS = 6
UNKNOWN_KINDS = (
    "<23>Nov 20 11:11:56 localhost fwlog: 日志类型:链路状态日志, 描述:线路一断开",
    '<189>date=2026-11-20 time=10:00:00 devname="fw" devid="FG100" logid="9900000001" type="gtp" subtype="gtp-all"'
    ' level="notice" status="noted"',
)


@pytest.mark.parametrize("device", registry.DEVICES, ids=registry.NAMES)
def test_every_device_has_samples_references_and_its_own_data_sets(device: Device) -> None:
    found = [read(line) for line in samples(device.name)]
    assert len(found) >= LEAST_KINDS
    assert {event["event.module"] for event in found} == {device.name}
    assert {str(event["event.dataset"]) for event in found} <= set(device.datasets)
    assert all(device.reference)
    assert all(device.title)
    assert all(device.setup)
    assert all(dataset.startswith((f"{device.name}.", "dhcp.")) for dataset in device.datasets)


@pytest.mark.parametrize("device", registry.DEVICES, ids=registry.NAMES)
def test_every_data_set_is_written_by_a_sample(device: Device) -> None:
    shared = {"ruijie.firewall", "ruijie.threat", "ruijie.access"}  # the layout module is tested with Cisco's
    found = {read(line)["event.dataset"] for line in (*samples(device.name), *UNKNOWN_KINDS)}
    assert set(device.datasets) - found <= shared


def test_kinds_not_known_keep_their_values() -> None:
    found = [read(line) for line in UNKNOWN_KINDS]
    assert [event["event.dataset"] for event in found] == ["sangfor.device", "fortinet.device"]
    assert all("event.category" in event for event in found)
    assert found[0]["event.code"] == "链路状态日志"
    assert "描述=线路一断开" in str(found[0]) or found[0]["event.reason"] == "线路一断开"


@pytest.mark.parametrize("device", registry.DEVICES, ids=registry.NAMES)
def test_devices_leave_the_samples_of_others_alone(device: Device) -> None:
    for name, line in ALL:
        if name != device.name:
            assert read(line)["event.module"] != device.name


def test_unix_messages_are_of_no_device() -> None:
    for line in (GOLDEN / "syslog.log").read_bytes().splitlines():
        event = read(line.decode("utf-8", "replace"))
        assert "event.module" not in event


def test_severities_and_alerts_are_in_one_scale() -> None:
    found = [read(line) for _, line in ALL]
    assert {event["event.severity"] for event in found if "event.severity" in event} <= {1, 2, 3, 4}
    for event in found:
        if event.get("event.kind") == "alert":
            assert "rule.name" in event
            assert set(event["event.category"]) & {"intrusion_detection", "malware"}  # type: ignore[arg-type]


def test_translations_keep_both_sides() -> None:
    found = [event for _, line in ALL if "source.nat.ip" in (event := read(line))]
    assert {str(event["event.module"]) for event in found} >= {
        "huawei", "h3c", "sangfor", "topsec", "hillstone", "dptech", "qianxin", "fortinet", "cisco", "cef", "leef",
    }  # fmt: skip
    for event in found:
        assert event["source.ip"] != event["source.nat.ip"]


def test_log_ins_to_the_network_say_who_and_from_where() -> None:
    found = [event for _, line in ALL if (event := read(line)).get("event.action") == "network_login"]
    assert {str(event["event.module"]) for event in found} == {
        "huawei", "h3c", "sangfor", "topsec", "fortinet", "cisco",
    }  # fmt: skip
    for event in found:
        assert "user.name" in event or "source.mac" in event
        assert "session" in event["event.category"]  # type: ignore[operator]


def test_leases_are_those_of_other_servers() -> None:
    found = [event for _, line in ALL if (event := read(line))["event.dataset"] == "dhcp.lease"]
    assert {str(event["event.module"]) for event in found} == {"h3c", "fortinet"}
    for event in found:
        assert event["event.action"] == "dhcp_ack"
        assert {"client.ip", "client.mac", "event.duration", "edusoc.dhcp.lease_seconds"} <= event.keys()
        assert not {"source.ip", "source.mac"} & event.keys()


def test_a_configured_device_is_the_only_one_asked() -> None:
    line = "<187>Nov 20 10:00:49 XX-SW9 %LINK-3-UPDOWN: Interface GigabitEthernet 0/5, changed state to down"
    assert read(line)["event.module"] == "cisco"
    assert read(line, registry.device("ruijie"))["event.dataset"] == "ruijie.device"
    assert "event.module" not in read(line, registry.device("huawei"))


def test_ruijie_in_the_new_layout() -> None:
    line = "<133>1 2026-11-20T01:44:51.130290Z sw SYS 5 CONFIG - Configured from console by console"
    event = read(line, registry.device("ruijie"))
    assert (event["event.code"], event["user.name"]) == ("SYS-5-CONFIG", "console")


def test_an_unknown_device_is_named_with_those_known() -> None:
    with pytest.raises(UsageError, match="huawei"):
        registry.device("hauwei")


def test_a_time_of_the_devices_own_counts() -> None:
    event = read(
        '<134>id=tos time="2026-11-20 16:27:00" fw=a type=conn src=192.168.1.1 dst=192.168.1.2 proto=tcp'
    )
    assert event["@timestamp"] == "2026-11-20T08:27:00.000000Z"
    assert "edusoc.time.fault" not in event
    assert read("<134>nothing known")["edusoc.time.fault"] == "missing"


def test_headerless_lines_of_files_are_taken_when_they_tell_a_time() -> None:
    parser = SyslogParser(CONTEXT)
    line = b'id=tos time="2026-11-20 16:27:00" fw=a type=conn src=192.168.1.1 dst=192.168.1.2 proto=tcp'
    (event,) = parser.parse(Line(0, 1, line))
    assert event["event.dataset"] == "topsec.firewall"
    for text in (
        b"id=tos fw=a type=conn src=192.168.1.1 dst=192.168.1.2",
        b"just words",
        b"CEF:0|a|b|c|d|e|1|src=1.1.1.1",
    ):
        with pytest.raises(RecordError):
            parser.parse(Line(0, 1, text))


def test_gb18030_is_read() -> None:
    line = samples("sangfor")[0]
    (event,) = SyslogParser(CONTEXT).parse(Line(0, 1, line.encode("gb18030")))
    assert event["rule.category"] == "信息泄漏攻击"


@pytest.mark.parametrize("year", [2024, 2026])
def test_new_year_is_kept(year: int) -> None:
    context = replace(CONTEXT, reference=datetime(year + 1, 1, 1, 0, 5, tzinfo=LOCAL_ZONE).astimezone(UTC))
    event = SyslogParser(context).parse_message(
        "<190>Dec 31 23:59:59 2812239200000001(root) 46083623 Traffic@FLOW:"
        " NAT: 192.168.1.7:62338->203.0.113.5:80(TCP),"
        " snat to 198.51.100.9:55490, vr trust-vr, user -@UNKNOWN, host -, rule 4",
        SENDER,
    )
    assert str(event["@timestamp"]).startswith(f"{year}-12-31T15:59:59")


def _damaged(draw: st.DataObject) -> str:
    _, line = draw.draw(st.sampled_from(ALL))
    place, length = draw.draw(st.integers(0, len(line))), draw.draw(st.integers(0, 40))
    junk = draw.draw(
        st.text(max_size=20)
        | st.sampled_from(['"' * 9, "=" * 9, ";" * 9, "(a=" * 9, "::", "\\", "\0", "，：", "²", "9" * 30])
    )
    return line[:place] + junk + line[place + length * draw.draw(st.booleans()) :]


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_raises_nothing_and_fits_the_dictionary(draw: st.DataObject) -> None:
    line = _damaged(draw)
    assert_fits_dictionary(_stamped(read(line)))
    device = draw.draw(st.sampled_from(registry.DEVICES))
    assert_fits_dictionary(_stamped(read(line, device)))


def _stamped(event: Event) -> Event:
    assert "@timestamp" in event
    return event


HOSTILE = (
    "a=" * 20_000, 'a="' * 20_000, "a='" * 20_000, "(" * 60_000, "(a" * 30_000, "-a" * 30_000, ";a" * 30_000,
    ", a" * 20_000, "，a" * 30_000, " a" * 30_000, "a: " * 20_000, "\\" * 60_000, "|" * 60_000, "1." * 30_000,
    "a:b;" * 15_000, "%%01" * 15_000, '{"a":' * 10_000, "[" * 60_000, "9" * 60_000, "-=" * 30_000, "user " * 12_000,
)  # fmt: skip


@pytest.mark.parametrize("name", registry.NAMES)
def test_hostile_texts_take_bounded_time(name: str) -> None:
    """Work grows at most with the length: CPU time of a text of 60,000 characters stays within that of a short look."""
    heads = [line[:60] for line in samples(name)[:3]] + samples(name)[:1]
    device = registry.device(name)
    for head in heads:
        for text in HOSTILE:
            start = time.process_time()
            read(head + text, device)
            assert time.process_time() - start < 0.5


def test_random_bytes_are_of_no_device() -> None:
    source = random.Random(5)
    for _ in range(300):
        text = "".join(source.choices(string.printable, k=source.randrange(200)))
        event = read(text)
        assert "event.module" not in event


def test_zones_of_the_context_are_used() -> None:
    context = ReadContext(CONTEXT.reference, zone_info=UTC)
    event = SyslogParser(context).parse_message(samples("topsec")[1], SENDER)
    assert event["@timestamp"] == "2026-11-20T16:27:00.000000Z"
