"""The same Windows event fires the same rules however it was spelt: as Windows exports it, by Winlogbeat, in ECS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from detectors.sigma.matcher import Matcher
from soc_core.model.event import Event
from tests.detectors.sigma.base import rule_of

SYSMON = ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon")
SECURITY = ("Security", "Microsoft-Windows-Security-Auditing")
TIME = "2026-11-20T02:00:00.000000Z"
SPELLINGS = ("raw", "winlogbeat", "ecs")
CMD = "C:\\Windows\\System32\\cmd.exe"


class Case(NamedTuple):
    """Hold a rule's log source and detection, an event as Windows names it, and ECS's names of its items."""

    logsource: str
    detection: str
    channel: tuple[str, str]
    code: int
    data: dict[str, str]
    ecs: dict[str, str]
    dataset: str


CASES = {
    "process, Sysmon": Case(
        "{product: windows, category: process_creation}",
        "Image|endswith: '\\cmd.exe'\n  CommandLine|contains: whoami\n  ParentImage|endswith: '\\w3wp.exe'",
        SYSMON,
        1,
        {"Image": CMD, "CommandLine": "cmd /c whoami", "ParentImage": "C:\\w3wp.exe"},
        {
            "process.executable": CMD,
            "process.command_line": "cmd /c whoami",
            "process.parent.executable": "C:\\w3wp.exe",
        },
        "windows.sysmon",
    ),
    "process, Security 4688": Case(
        "{product: windows, category: process_creation}",
        "Image|endswith: '\\cmd.exe'\n  CommandLine|contains: whoami",
        SECURITY,
        4688,
        {"NewProcessName": CMD, "CommandLine": "cmd /c whoami", "SubjectUserName": "t"},
        {"process.executable": CMD, "process.command_line": "cmd /c whoami"},
        "windows.security",
    ),
    "process, alone": Case(
        "{category: process_creation, product: windows}",
        "ParentImage|endswith: '\\w3wp.exe'",
        SECURITY,
        4688,
        {"NewProcessName": CMD, "ParentProcessName": "C:\\w3wp.exe"},
        {"process.executable": CMD, "process.parent.executable": "C:\\w3wp.exe"},
        "windows.security",
    ),
    "network, Sysmon": Case(
        "{product: windows, category: network_connection}",
        "DestinationPort: 4444\n  Image|endswith: '\\cmd.exe'\n  Initiated: 'true'",
        SYSMON,
        3,
        {
            "Image": CMD,
            "DestinationIp": "203.0.113.9",
            "DestinationPort": "4444",
            "SourceIp": "10.0.0.5",
            "SourcePort": "50000",
            "Protocol": "tcp",
            "Initiated": "true",
        },
        {
            "process.executable": CMD,
            "destination.ip": "203.0.113.9",
            "destination.port": "4444",
            "winlog.event_data.Initiated": "true",
        },
        "windows.sysmon",
    ),
    "look-up, Sysmon": Case(
        "{product: windows, category: dns_query}",
        "QueryName|endswith: .evil.example",
        SYSMON,
        22,
        {"QueryName": "a.evil.example", "Image": CMD},
        {"dns.question.name": "a.evil.example", "process.executable": CMD},
        "windows.sysmon",
    ),
    "registry, Sysmon": Case(
        "{product: windows, category: registry_set}",
        "TargetObject|contains: '\\CurrentVersion\\Run\\'\n  Details|endswith: .vbs",
        SYSMON,
        13,
        {
            "EventType": "SetValue",
            "TargetObject": "HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\x",
            "Details": "C:\\x.vbs",
            "Image": CMD,
        },
        {
            "winlog.event_data.TargetObject": "HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\x",
            "winlog.event_data.Details": "C:\\x.vbs",
        },
        "windows.sysmon",
    ),
    "script": Case(
        "{product: windows, category: ps_script}",
        "ScriptBlockText|contains: Invoke-Bad",
        ("Microsoft-Windows-PowerShell/Operational", "Microsoft-Windows-PowerShell"),
        4104,
        {"ScriptBlockText": "Invoke-Bad -Now"},
        {"winlog.event_data.ScriptBlockText": "Invoke-Bad -Now"},
        "windows.powershell",
    ),
    "log-on": Case(
        "{product: windows, service: security}",
        "EventID: 4625\n  TargetUserName: admin\n  LogonType: 3",
        SECURITY,
        4625,
        {"TargetUserName": "admin", "LogonType": "3", "IpAddress": "203.0.113.9"},
        {"winlog.event_data.TargetUserName": "admin", "winlog.event_data.LogonType": "3"},
        "windows.security",
    ),
    "service": Case(
        "{product: windows, service: system}",
        "Provider_Name: Service Control Manager\n  EventID: 7045\n  ServiceName: bad",
        ("System", "Service Control Manager"),
        7045,
        {"ServiceName": "bad", "ImagePath": "C:\\x.exe"},
        {"winlog.event_data.ServiceName": "bad", "winlog.provider_name": "Service Control Manager"},
        "windows.system",
    ),
    "Defender, names of several words": Case(
        "{product: windows, service: windefend}",
        "EventID: 1116\n  ThreatName|contains: Mimikatz",
        ("Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender"),
        1116,
        {"Threat Name": "HackTool:Win32/Mimikatz"},
        {"winlog.event_data.Threat Name": "HackTool:Win32/Mimikatz"},
        "windows.windows_defender",
    ),
    "task": Case(
        "{product: windows, service: taskscheduler}",
        "EventID: 129\n  Path|endswith: '\\cmd.exe'",
        ("Microsoft-Windows-TaskScheduler/Operational", "Microsoft-Windows-TaskScheduler"),
        129,
        {"TaskName": "\\x", "Path": CMD},
        {"winlog.event_data.Path": CMD},
        "windows.taskscheduler",
    ),
    "file that was looked at": Case(
        "{product: windows, category: file_access}",
        "FileName|endswith: '\\Login Data'\n  Image|endswith: '\\cmd.exe'",
        SECURITY,
        4663,
        {"ObjectName": "C:\\Users\\t\\Login Data", "ObjectType": "File", "ProcessName": CMD},
        {"winlog.event_data.ObjectName": "C:\\Users\\t\\Login Data", "process.executable": CMD},
        "windows.security",
    ),
}


def spelt(case: Case, spelling: str) -> dict[str, Any]:
    channel, provider = case.channel
    if spelling == "raw":
        system = {
            "Provider": {"#attributes": {"Name": provider}},
            "EventID": case.code,
            "Channel": channel,
            "Computer": "pc1",
            "EventRecordID": 7,
            "TimeCreated": {"#attributes": {"SystemTime": TIME}},
        }
        return {"Event": {"System": system, "EventData": case.data}}
    if spelling == "winlogbeat":
        winlog = {
            "channel": channel,
            "provider_name": provider,
            "event_id": str(case.code),
            "computer_name": "pc1",
            "record_id": 7,
            "event_data": case.data,
        }
        return {"@timestamp": TIME, "event": {"code": str(case.code), "provider": provider}, "winlog": winlog}
    head = {"@timestamp": TIME, "event.dataset": case.dataset, "event.code": str(case.code)}
    if any(
        name.startswith("winlog.") for name in case.ecs
    ):  # what ECS lacks comes with the rest of Windows' own names
        own = {"winlog.channel": channel, "winlog.provider_name": provider, "winlog.event_id": str(case.code)}
        head = {**head, **own}
    return {**head, "event.module": "windows", "host.name": "pc1", **case.ecs}


def read(document: dict[str, Any], folder: Path) -> Event:
    path = folder / "event.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    def context(_source: OpenSource) -> ReadContext:
        return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="u")

    events, statistics = collect(read_paths([str(path)], context))
    assert statistics.bad == 0
    (event,) = events
    return event


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", CASES)
def test_same_verdict(name: str, spelling: str, tmp_path: Path) -> None:
    case = CASES[name]
    rules = tmp_path / "rules"
    rules.mkdir()
    rule = rule_of(rules, f"one:\n  {case.detection}\ncondition: one", case.logsource)
    assert rule.blind is None
    assert Matcher([rule]).match(read(spelt(case, spelling), tmp_path)) == [rule]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_event_fires_nothing(spelling: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for name, case in CASES.items():
        (rules / "rule0.yml").unlink(missing_ok=True)
        rule = rule_of(rules, f"one:\n  {case.detection}\ncondition: one", case.logsource)
        other = case._replace(
            data=dict.fromkeys(case.data, "nothing"),
            ecs={field: "203.0.113.1" if field.endswith(".ip") else "nothing" for field in case.ecs},
        )
        if "DestinationPort" in other.data:
            other = other._replace(
                data={**other.data, "DestinationPort": "80", "SourcePort": "5"},
                ecs={**other.ecs, "destination.port": "80"},
            )
        assert Matcher([rule]).match(read(spelt(other, spelling), tmp_path)) == [], name
