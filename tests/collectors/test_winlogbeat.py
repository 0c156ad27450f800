from __future__ import annotations

from collectors.winlogbeat import Winlogbeat, unflatten
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestWinlogbeat(TextCollectorTests):
    name = "winlogbeat"
    samples = ("winlogbeat.json",)


def test_meaning_is_the_same_whatever_the_shape() -> None:
    events, bad, _ = read_all(Winlogbeat(), (GOLDEN / "winlogbeat.json").read_bytes())
    failed, process, query, service, script, cleared, member, registry = events
    assert (failed["event.outcome"], failed["user.name"], failed["source.ip"]) == (
        "failure",
        "t.li",
        "10.8.1.5",
    )
    assert "winlog.event_data.NewItem=x" in failed["edusoc.extra"]  # type: ignore[operator]  # the field is a list here
    assert (process["process.name"], process["user.domain"], process["process.pid"]) == (
        "cmd.exe",
        "SCHOOL",
        4321,
    )
    assert process["process.parent.name"] == "WINWORD.EXE"
    assert (query["dns.question.name"], query["dns.resolved_ip"]) == ("bad.example", ["203.0.113.8"])
    assert (service["event.dataset"], service["service.name"]) == ("windows.system", "evil")
    assert service["@timestamp"] == "2026-11-20T02:03:07.000000Z"
    assert script["winlog.event_data.ScriptBlockText"] == "Get-Process"
    assert cleared["event.action"] == "audit-log-cleared"
    assert (member["group.name"], member["user.name"]) == ("Administrators", "t.li")
    assert (registry["registry.hive"], registry["registry.value"]) == ("HKLM", "x")
    assert [record.reason for record in bad] == ["no usable time"]


def test_unflatten_prefers_objects() -> None:
    assert unflatten({"a.b": 1, "a": {"c": 2}, "x": 1, "x.y": 2}) == {
        "a": {"c": 2, "b": 1} | {},
        "x": {"y": 2},
    }
