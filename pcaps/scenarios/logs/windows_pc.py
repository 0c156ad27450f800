"""Write a small EVTX file: the security log of a PC whose remote desktop is guessed at from outside."""

from __future__ import annotations

import random
from datetime import datetime

from pcaps.scenarios.scenario import LogFile, LogScenario
from tests.collectors.evtx_maker import make_evtx

COMPUTER = "CWS-PC01"
ATTACKER = "203.0.113.71"
USERS = ("administrator", "admin", "caiwu", "user", "test")
BASE = {"Channel": "Security", "Provider": "Microsoft-Windows-Security-Auditing", "Computer": COMPUTER}
AUDIT_SUCCESS = {"Keywords": "0x8020000000000000"}
AUDIT_FAILURE = {"Keywords": "0x8010000000000000"}


def _logon(rng: random.Random, user: str, kind: str, source: str, *, refused: bool) -> dict[str, str]:
    more = AUDIT_FAILURE | {"Status": "0xc000006d", "SubStatus": "0xc000006a"} if refused else AUDIT_SUCCESS
    port = str(rng.randrange(30_000, 60_000)) if source != "-" else "-"
    return {
        **BASE, "EventID": "4625" if refused else "4624", "SubjectUserName": COMPUTER + "$", "TargetUserName": user,
        "TargetDomainName": COMPUTER, "LogonType": kind, "IpAddress": source, "IpPort": port, **more,
    }  # fmt: skip


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return the file: 32 refused log-ins, a success, and between them what a PC writes of itself."""
    events: list[dict[str, str]] = []
    for number in range(32):
        events.append(_logon(rng, USERS[number % len(USERS)], "10", ATTACKER, refused=True))
        if number % 6 == 0:
            events.append(_logon(rng, "SYSTEM", "5", "-", refused=False))
        if number % 15 == 0:
            program = {
                "EventID": "4688",
                "SubjectUserName": COMPUTER + "$",
                "NewProcessName": "C:\\Windows\\System32\\taskhostw.exe",
                "CommandLine": "taskhostw.exe",
                "NewProcessId": "0x1a40",
                "ProcessId": "0x3c8",
            }
            events.append({**BASE, **AUDIT_SUCCESS, **program})
    events.append(_logon(rng, "caiwu", "10", ATTACKER, refused=False))
    return [LogFile("Security.evtx", make_evtx([events], start), len(events))]


SCENARIO = LogScenario(
    name="windows_pc",
    hour=1.5,
    hours=0.1,
    zh="财务室电脑安全日志：远程桌面口令被外网猜中",
    en="A PC's security log: its remote desktop password is guessed from outside",
    build=build,
    addresses={
        COMPUTER: ("财务室电脑", "the accountant's PC"),
        ATTACKER: ("外网攻击地址", "the attacker outside"),
    },
    must_find=(
        ("rdp_bruteforce", COMPUTER, "high", ATTACKER),
        ("rdp_login_outside", COMPUTER, "high", ATTACKER),
    ),
)
