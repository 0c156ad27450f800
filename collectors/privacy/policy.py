"""Say what a site wants hidden: the ``[privacy]`` table of the agent's configuration."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from soc_core.errors import InputError, UsageError

KEEP: Final = "keep"
TOKEN: Final = "token"  # noqa: S105  # an action, no secret
REMOVE: Final = "remove"
ACTIONS: Final = (TOKEN, KEEP, REMOVE)

CLEAR_ACCOUNTS: Final = (
    # systems and services
    "*$", "system", "local service", "network service", "anonymous logon", "local system", "trustedinstaller",
    "dwm-*", "umfd-*", "iusr*", "iwam_*", "krbtgt*", "defaultaccount", "wdagutilityaccount", "msol_*", "healthmailbox*",
    "root", "daemon", "bin", "sys", "adm", "nobody", "www-data", "www", "nginx", "apache", "tomcat", "mysql", "mariadb",
    "postgres", "oracle", "mssql*", "redis", "mongodb", "git", "jenkins", "hadoop", "ftp", "sshd", "mail", "postfix",
    "dovecot", "named", "bind", "unbound", "dnsmasq", "syslog", "rsyslog", "systemd-*", "_apt", "messagebus", "polkitd",
    "chrony", "ntp", "backup", "zabbix", "nagios", "prometheus", "docker", "elasticsearch", "kibana", "edusoc*",
    # administrators and shared accounts, which name no person
    "administrator", "admin", "admin?", "administrador", "superadmin", "supervisor", "operator", "manager", "support",
    "guest", "user", "user?", "test", "test?", "demo", "default", "anonymous", "sa", "dba", "ubnt", "pi", "ubuntu",
    "centos", "debian", "kali", "vagrant", "student", "teacher", "public", "office", "print*", "scan*",
    # words of log messages, which someone who guesses may try as accounts
    "login", "logon", "password", "passwd", "failed", "accepted", "invalid", "session", "from", "for", "with", "ssh",
)  # fmt: skip
"""Accounts that stay clear, as patterns of shells, compared in lower case."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold what is done per class of fields (``soc_core.fields``): token, keep or remove.

    ``content`` is about personal values inside free text: ``token`` looks for them, ``remove`` drops the text.
    ``original`` says the same of the original record. ``clear`` adds to ``CLEAR_ACCOUNTS``, ``names`` are people's
    names to look for in free text (at least two characters), ``student_number`` a pattern (RE2).
    """

    accounts: str = TOKEN
    content: str = TOKEN
    original: str = TOKEN
    devices: str = KEEP
    clear: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=(), repr=False)
    student_number: str = ""

    @property
    def clear_pattern(self) -> re.Pattern[str]:
        """Return the pattern of accounts that stay clear, for lower-case names."""
        texts = [fnmatch.translate(pattern.lower()) for pattern in (*CLEAR_ACCOUNTS, *self.clear)]
        return re.compile("|".join(texts))


_TEXTS: Final = ("accounts", "content", "original", "devices")


def read_policy(values: Mapping[str, object], where: str) -> Policy:
    """Return the policy of a table. Raises ``UsageError`` naming a setting that is unknown or doesn't fit."""
    known = {*_TEXTS, "clear", "names_file", "student_number"}
    for name in values:
        if name not in known:
            raise _fault(name, "is unknown", where, f"known are: {', '.join(sorted(known))}")
    chosen = {name: _action(name, values.get(name, _USUAL[name]), where) for name in _TEXTS}
    pattern = values.get("student_number", "")
    if not isinstance(pattern, str) or not _compiles(pattern):
        raise _fault("student_number", "is no pattern", where, r"write e.g. student_number = '\b20\d{8}\b'")
    clear = values.get("clear", [])
    if not isinstance(clear, list) or not all(isinstance(item, str) and item.strip("*? ") for item in clear):
        raise _fault("clear", "is no list of accounts", where, 'write clear = ["svc_*", "library"]')
    file = values.get("names_file", "")
    if not isinstance(file, str):
        raise _fault("names_file", "is no path", where, 'write names_file = "/etc/edusoc/names.txt"')
    return Policy(
        **chosen, clear=tuple(clear), names=read_names(Path(file)) if file else (), student_number=pattern
    )


_USUAL: Final = {"accounts": TOKEN, "content": TOKEN, "original": TOKEN, "devices": KEEP}


def _action(name: str, value: object, where: str) -> str:
    if not isinstance(value, str) or value not in ACTIONS:
        raise _fault(name, f"'{value}' is unknown", where, f"known are: {', '.join(ACTIONS)}")
    return value


def _compiles(pattern: str) -> bool:
    import re2  # noqa: PLC0415  # only where a pattern is set

    try:
        compiled = re2.compile(pattern)
    except re2.error:
        return False
    return not pattern or compiled.match("") is None  # one that fits nothing at all would fit everywhere


def _fault(name: str, what: str, where: str, todo: str) -> UsageError:
    return UsageError(f"setting '{name}' {what}", where=f"{where}: [privacy]", todo=todo)


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file, one a line (UTF-8 or GB18030); those of one character are left out.

    Raises ``InputError`` when it can't be read.
    """
    from collectors.lines import decode_text  # noqa: PLC0415  # only where names are set

    try:
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise InputError(error.strerror or "can't be read", where=str(path)) from error
    return tuple(_usable(text.lstrip("\ufeff").splitlines()))


def _usable(lines: Sequence[str]) -> Sequence[str]:
    found = (line.strip() for line in lines)
    return list(dict.fromkeys(name for name in found if len(name) > 1 and not name.startswith("#")))
