"""Take one record of the Linux audit system apart: ``type=… msg=audit(seconds.ms:serial): name=value …``.

Format: "Understanding Audit Log Files" (Red Hat Security Guide), audit-documentation "Audit Event Parsing" and
``auditd.conf(5)`` (``log_format = ENRICHED`` adds names after a group separator). Strings that somebody else may choose
are quoted, or hexadecimal where they hold a space, a quote or a control character.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

from collectors.coerce import epoch_text
from collectors.lines import decode_text

_HEAD: Final = re.compile(
    r"(?:node=(\S{1,255}) )?(?:audit: )?type=(\S{1,64}) (?:msg=)?audit\((\d{1,12})\.(\d{1,6}):(\d{1,20})\): ?"
)
# A value ends at a blank; what is quoted may hold some. Values in braces are those of enriched socket addresses.
_PAIR: Final = re.compile(r"""([A-Za-z][\w\-\[\]]{0,63})=("[^"]*"|'[^']*'|\(null\)|\{[^}]*\}|[^\s,]*)""")
_INNER: Final = re.compile(r"msg='(.*?)'? ?(?=\x1d|[A-Z]{2,32}=\"|$)")
_ENRICHED: Final = "\x1d"
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_ARGUMENT: Final = re.compile(r"a(\d{1,5})(?:\[(\d{1,5})\])?")
_ENCODED: Final = frozenset(
    {
        "acct", "cgroup", "cmd", "comm", "cwd", "data", "dir", "exe", "file", "grp", "key", "name", "new_group",
        "ocomm", "path", "proctitle", "root_dir", "watch",
    }
)  # fmt: skip
"""Names whose unquoted values are hexadecimal (audit-documentation, "field-dictionary": encoded)."""
_MOST_PAIRS: Final = 4_096
_MOST_ARGUMENTS: Final = 1_024
_NUMBERS: Final[Mapping[str, str]] = {
    "1300": "SYSCALL", "1302": "PATH", "1303": "IPC", "1304": "SOCKETCALL", "1305": "CONFIG_CHANGE",
    "1306": "SOCKADDR", "1307": "CWD", "1309": "EXECVE", "1319": "TTY", "1320": "EOE", "1321": "BPRM_FCAPS",
    "1325": "NETFILTER_CFG", "1326": "SECCOMP", "1327": "PROCTITLE", "1330": "KERN_MODULE", "1331": "FANOTIFY",
    "1334": "BPF", "1400": "AVC", "1700": "ANOM_PROMISCUOUS", "1701": "ANOM_ABEND", "1006": "LOGIN",
    "1100": "USER_AUTH", "1101": "USER_ACCT", "1103": "CRED_ACQ", "1104": "CRED_DISP", "1105": "USER_START",
    "1106": "USER_END", "1108": "USER_CHAUTHTOK", "1112": "USER_LOGIN", "1113": "USER_LOGOUT", "1123": "USER_CMD",
    "1130": "SERVICE_START", "1131": "SERVICE_STOP",
}  # fmt: skip
"""Record types by number (kernel's ``include/uapi/linux/audit.h``): the kernel writes them without a daemon."""
_ARCHITECTURES: Final = {"c000003e": 0, "40000003": 1, "c00000b7": 2}


@dataclass(slots=True)
class AuditRecord:
    """Hold one record, its values decoded.

    ``fields`` are the kernel's, ``said`` those a program put into ``msg='…'``, ``names`` the enriched ones, in upper
    case. ``arguments`` are those of EXECVE by their number.
    """

    kind: str
    node: str
    stamp: str
    second: int
    serial: int
    fields: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    arguments: dict[int, str] = field(default_factory=dict)
    text: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """Return what the records of one event share."""
        return self.node, self.stamp, self.serial


def is_audit(text: str) -> bool:
    """Tell whether a line or message is a record of the audit system."""
    return _HEAD.match(text) is not None


def parse_record(text: str) -> AuditRecord | None:
    """Return the record in ``text``, ``None`` if it is none."""
    match = _HEAD.match(text)
    if match is None:
        return None
    node, kind, second, fraction, serial = match.groups()
    stamp = epoch_text(f"{second}.{fraction}")
    if stamp is None or len(serial) > 19:
        return None
    record = AuditRecord(_NUMBERS.get(kind, kind), node or "", stamp, int(second), int(serial))
    body, _, enriched = text[match.end() :].partition(_ENRICHED)
    inner = _INNER.search(body)
    if inner is not None:
        _take_pairs(record, inner[1], record.said)
        enriched += " " + body[inner.end() :]
        body = body[: inner.start()]
    record.text = inner[1] if inner is not None else body
    _take_pairs(record, body, record.fields)
    if enriched.strip():
        _take_names(record, enriched)
    _move_names(record)
    return record


def _take_pairs(record: AuditRecord, text: str, into: dict[str, str]) -> None:
    parts: dict[int, list[str]] = {}
    for count, match in enumerate(_PAIR.finditer(text)):
        if count >= _MOST_PAIRS:
            break
        name, value = match.groups()
        argument = _ARGUMENT.fullmatch(name) if record.kind == "EXECVE" else None
        if argument is not None:
            number = int(argument[1])
            if number < _MOST_ARGUMENTS:
                parts.setdefault(number, []).append(_string(value))
        elif name not in into:
            into[name] = decoded(name, value)
    record.arguments.update((number, "".join(pieces)) for number, pieces in parts.items())


def _take_names(record: AuditRecord, text: str) -> None:
    for name, value in _PAIR.findall(text)[:_MOST_PAIRS]:
        record.names.setdefault(name, value.strip("\"'"))


def _move_names(record: AuditRecord) -> None:
    """Move enriched names that stand without their separator, as some relays leave them."""
    for name in [name for name in record.fields if name.isupper() and len(name) > 1]:
        record.names.setdefault(name, record.fields.pop(name))


def decoded(name: str, value: str) -> str:
    """Return a value without quotes or, where ``name`` is one of those, out of its hexadecimal form."""
    if name in _ENCODED:
        return _string(value, zero=" " if name == "proctitle" else "\x00")
    return value.strip("\"'") if value[:1] in "\"'" else value


def _string(value: str, zero: str = "\x00") -> str:
    """Return quoted text as it is and hexadecimal text decoded, NUL bytes inside as ``zero``."""
    if value[:1] in ('"', "'"):
        return value.strip("\"'")
    if not _HEXADECIMAL.fullmatch(value) or value == "00":
        return "" if value in ("(null)", "00") else value
    return decode_text(bytes.fromhex(value).rstrip(b"\0")).replace("\x00", zero)


def socket_address(saddr: str) -> tuple[str, int | None, str]:
    """Return address, port and path of a socket address in hexadecimal (``struct sockaddr``, little-endian family)."""
    digits = _HEXADECIMAL.match(saddr)
    raw = bytes.fromhex(digits[0]) if digits is not None else b""
    family = int.from_bytes(raw[:2], "little")
    if family == 2 and len(raw) >= 8:
        return str(ipaddress.IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big"), ""
    if family == 10 and len(raw) >= 24:
        return str(ipaddress.IPv6Address(raw[8:24])), int.from_bytes(raw[2:4], "big"), ""
    if family == 1:
        return "", None, decode_text(raw[2:].lstrip(b"\0").partition(b"\0")[0])
    return "", None, ""


@cache
def _system_calls() -> tuple[Mapping[str, str], ...]:
    """Return number → name for x86_64, i386 and aarch64."""
    tables: tuple[dict[str, str], ...] = ({}, {}, {})
    text = resources.files("collectors").joinpath("auditd_syscalls.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            name, *numbers = line.split("\t")
            for table, number in zip(tables, numbers, strict=True):
                table[number] = name
    return tables


def system_call(record: AuditRecord) -> str:
    """Return the name of a SYSCALL record's call, its number where the architecture is another."""
    named = record.names.get("SYSCALL", "")
    number = record.fields.get("syscall", "")
    place = _ARCHITECTURES.get(record.fields.get("arch", "").lower())
    if named or place is None:
        return named or number
    return _system_calls()[place].get(number, number)
