"""Understand log-in and account messages of Unix systems: who did what from where, and whether it worked.

One row a message; the first pattern of the program that fits wins. Message texts are those of OpenSSH, sudo, shadow,
util-linux, PAM, cron and vsftpd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from collectors.coerce import ip_text, put, unique
from soc_core.model.event import Event


class _Rule(NamedTuple):
    """Say what one message means. Named groups: user, target, address, port, method, command, group, uid, reason."""

    pattern: re.Pattern[str]
    action: str
    outcome: str = ""
    category: str = "authentication"
    types: tuple[str, ...] = ("start",)


def _rule(
    pattern: str, action: str, outcome: str = "", *, category: str = "authentication", types: str = "start"
) -> _Rule:
    return _Rule(re.compile(pattern), action, outcome, category, tuple(types.split()))


_FROM: Final = r"(?P<address>\S+)(?: port (?P<port>\d+))?"
_SSHD: Final = (
    _rule(rf"Accepted (?P<method>\S+) for (?P<user>.*?) from {_FROM}", "ssh_login", "success"),
    _rule(rf"Failed (?P<method>\S+) for invalid user (?P<user>.*?) from {_FROM}", "ssh_login", "failure"),
    _rule(rf"Failed (?P<method>\S+) for (?P<user>.*?) from {_FROM}", "ssh_login", "failure"),
    _rule(rf"Postponed (?P<method>\S+) for (?:invalid user )?(?P<user>.*?) from {_FROM}", "ssh_postponed", "unknown", types="info"),
    _rule(rf"(?:Invalid|Illegal) user (?P<user>.*?) from {_FROM}", "ssh_invalid_user", "failure", types="info"),
    _rule(
        rf"(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?(?P<user>.*?) from {_FROM}",
        "ssh_too_many_attempts", "failure", types="info",
    ),
    _rule(
        rf"User (?P<user>\S+) from {_FROM} not allowed because (?P<reason>.*)", "ssh_not_allowed", "failure", types="denied"
    ),
    _rule(rf"Disconnected from (?:authenticating |invalid )?user (?P<user>.*?) {_FROM}", "ssh_disconnect", types="end"),
    _rule(
        rf"(?:Connection (?:closed|reset) by|Disconnecting) (?:authenticating |invalid )user (?P<user>.*?) {_FROM}",
        "ssh_disconnect", types="end",
    ),
    _rule(rf"(?:Received disconnect from|Disconnected from|Connection closed by|Connection reset by) {_FROM}", "ssh_disconnect", types="end"),
    _rule(rf"Did not receive identification string from {_FROM}", "ssh_no_identification", "failure", types="info"),
    _rule(
        rf"(?:banner exchange: )?Connection from {_FROM}(?::? on .*|: invalid format.*)?$", "ssh_connection", types="info"
    ),
    _rule(
        r"reverse mapping checking getaddrinfo for (?P<reason>\S+) \[?(?P<address>[0-9a-fA-F.:]+)\]? failed",
        "ssh_reverse_mapping_failed", types="info",
    ),
)  # fmt: skip
_PAM: Final = (
    _rule(
        r"pam_unix\(\S+:auth\): authentication failure;.*?ruser=(?P<by>\S*)\s+rhost=(?P<address>\S*)(?:\s+user=(?P<user>\S+))?",
        "pam_authentication", "failure", types="info",
    ),
    _rule(
        r"(?:pam_unix\(\S+?\)[:,]? )?authentication failure;.*?rhost=(?P<address>\S*)(?:\s+user=(?P<user>\S+))?",
        "pam_authentication", "failure", types="info",
    ),
    _rule(r"pam_unix\(\S+:session\): session opened for user (?P<user>[^\s(]+)(?:\(uid=(?P<uid>\d+)\))?(?: by (?P<by>[^\s(]+))?",
          "session_opened", "success", category="session"),
    _rule(r"pam_unix\(\S+:session\): session closed for user (?P<user>\S+)", "session_closed", "success", category="session", types="end"),
    _rule(r"session opened for user (?P<user>[^\s(]+)", "session_opened", "success", category="session"),
    _rule(r"session closed for user (?P<user>\S+)", "session_closed", "success", category="session", types="end"),
    _rule(r"pam_unix\(\S+:auth\): check pass; user unknown|check pass; user unknown", "pam_user_unknown", "failure", types="info"),
    _rule(r"pam_unix\(\S+:chauthtok\): password changed for (?P<target>\S+)", "password_changed", "success", category="iam", types="user change"),
)  # fmt: skip
_SUDO: Final = (
    _rule(
        r"\s*(?P<user>\S+) : (?P<reason>[^;]*(?:NOT in sudoers|incorrect password attempts?|command not allowed|not allowed)[^;]*) ; "
        r"(?:TTY=\S+ ; )?PWD=(?P<folder>.*?) ; USER=(?P<target>\S+)(?: ; .*?)? ?; COMMAND=(?P<command>.*)",
        "sudo", "failure",
    ),
    _rule(
        r"\s*(?P<user>\S+) : (?:HOST=\S+ ; )?(?:TTY=\S+ ; )?PWD=(?P<folder>.*?) ; USER=(?P<target>\S+)(?: ; .*?)? ?; COMMAND=(?P<command>.*)",
        "sudo", "success",
    ),
)  # fmt: skip
_SU: Final = (
    _rule(
        r"(?:FAILED SU|FAILED su) (?:\(to (?P<target>\S+)\) (?P<user>\S+)|for (?P<target2>\S+) by (?P<user2>\S+))",
        "su",
        "failure",
    ),
    _rule(r"\(to (?P<target>\S+)\) (?P<user>\S+) on ", "su", "success"),
    _rule(r"Successful su for (?P<target>\S+) by (?P<user>\S+)", "su", "success"),
    _rule(r"'su (?P<target>\S+)' failed for (?P<user>\S+)", "su", "failure"),
    _rule(r"'su (?P<target>\S+)' succeeded for (?P<user>\S+)", "su", "success"),
)
_LOGIN: Final = (
    _rule(
        r"FAILED LOGIN (?:SESSION )?(?:\(?\d*\)? )?FROM (?P<address>\S+) FOR (?P<user>.*?), (?P<reason>.*)",
        "login",
        "failure",
    ),
    _rule(
        r"FAILED LOGIN \(\d+\) on '?\S+?'?(?: from '(?P<address>[^']*)')? FOR '(?P<user>[^']*)'",
        "login",
        "failure",
    ),
    _rule(r"(?P<user>ROOT|root) LOGIN\s+on '?\S+?'?(?: from '(?P<address>[^']*)')?$", "login", "success"),
    _rule(r"LOGIN ON \S+ BY (?P<user>\S+)(?: FROM (?P<address>\S+))?", "login", "success"),
)
_ACCOUNTS: Final = (
    _rule(r"new user: name=(?P<target>[^,\s]+), UID=(?P<uid>\d+)", "added-user-account", "success", category="iam", types="user creation"),
    _rule(r"new group: name=(?P<group>[^,\s]+)", "added-group-account", "success", category="iam", types="group creation"),
    _rule(r"add '(?P<target>[^']+)' to (?:shadow )?group '(?P<group>[^']+)'", "added-member-to-group", "success", category="iam", types="group change"),
    _rule(r"delete user '(?P<target>[^']+)'", "deleted-user-account", "success", category="iam", types="user deletion"),
    _rule(r"delete '(?P<target>[^']+)' from (?:shadow )?group '(?P<group>[^']+)'", "removed-member-from-group", "success", category="iam", types="group change"),
    _rule(r"removed group '(?P<group>[^']+)'", "deleted-group-account", "success", category="iam", types="group deletion"),
    _rule(r"(?:change user|lock user|unlock user) '(?P<target>[^']+)'(?P<reason>.*)", "modified-user-account", "success", category="iam", types="user change"),
    _rule(r"password (?:changed )?for '?(?P<target>[^'\s]+)'? changed|password changed for (?P<target2>\S+)", "password_changed", "success", category="iam", types="user change"),
)  # fmt: skip
_CRON: Final = (
    _rule(r"\((?P<user>[^)]+)\) CMD \((?P<command>.*)\)", "cron_command", "success", category="process"),
    _rule(r"\((?P<user>[^)]+)\) (?:REPLACE|RELOAD|BEGIN EDIT|END EDIT|DELETE) ", "crontab_changed", "success", category="configuration", types="change"),
)  # fmt: skip
_FTP: Final = (
    _rule(
        r'(?:\[pid \d+\] )?\[(?P<user>[^\]]*)\] OK LOGIN: Client "(?P<address>[^"]+)"', "ftp_login", "success"
    ),
    _rule(
        r'(?:\[pid \d+\] )?\[(?P<user>[^\]]*)\] FAIL LOGIN: Client "(?P<address>[^"]+)"',
        "ftp_login",
        "failure",
    ),
    _rule(r"connection from (?P<address>\S+)", "ftp_connection", types="info"),
)
_LOGIND: Final = (
    _rule(
        r"New session (?P<reason>\S+) of user (?P<user>[^\s.]+)",
        "session_opened",
        "success",
        category="session",
    ),
    _rule(
        r"Removed session (?P<reason>\S+?)\.?$", "session_closed", "success", category="session", types="end"
    ),
)

_ACCOUNT_TOOLS: Final = (
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
    "groupmod",
    "groupdel",
    "gpasswd",
    "passwd",
    "chage",
    "chpasswd",
)
_RULES: Final[Mapping[str, Sequence[_Rule]]] = {
    "sshd": (*_SSHD, *_PAM),
    "sshd-session": (*_SSHD, *_PAM),
    "sshd-auth": (*_SSHD, *_PAM),
    "sudo": (*_SUDO, *_PAM),
    "su": (*_SU, *_PAM),
    "login": (*_LOGIN, *_PAM),
    "gdm-password]": _PAM,
    "gdm-password": _PAM,
    "lightdm": _PAM,
    "polkitd": _PAM,
    "systemd-logind": _LOGIND,
    "cron": (*_CRON, *_PAM),
    "crond": (*_CRON, *_PAM),
    "crontab": _CRON,
    "vsftpd": (*_FTP, *_PAM),
    "ftpd": (*_FTP, *_PAM),
    **dict.fromkeys(_ACCOUNT_TOOLS, (*_ACCOUNTS, *_PAM)),
}
_AUTH_FACILITIES: Final = frozenset({"auth", "authpriv"})


def interpret(event: Event) -> None:
    """Add what the message of a syslog ``event`` says about log-ins and accounts; others stay as they are."""
    message = event.get("message")
    program = str(event.get("process.name", "")).lower()
    program = re.sub(r"\(.*\)$", "", program)
    rules = _RULES.get(program)
    if event.get("log.syslog.facility.name") in _AUTH_FACILITIES or (
        rules is not None and program not in ("cron", "crond", "crontab")
    ):
        event["event.dataset"] = "syslog.auth"
    if rules is None or not isinstance(message, str):
        return
    for rule in rules:
        match = rule.pattern.match(message)
        if match is not None:
            _apply(event, rule, match)
            return


def _apply(event: Event, rule: _Rule, match: re.Match[str]) -> None:
    groups = {name.rstrip("2"): value for name, value in match.groupdict().items() if value}
    event["event.category"] = [rule.category]
    event["event.type"] = list(rule.types)
    event["event.action"] = rule.action
    put(event, "event.outcome", rule.outcome)
    put(event, "user.name", groups.get("user"))
    put(event, "event.reason", groups.get("reason"))
    put(event, "group.name", groups.get("group"))
    put(event, "process.working_directory", groups.get("folder"))
    put(event, "process.command_line", groups.get("command"))
    put(event, "edusoc.authentication.method", groups.get("method"))
    target = groups.get("target")
    if target:
        put(event, "user.effective.name" if rule.action in ("sudo", "su") else "user.target.name", target)
    if "uid" in groups:
        put(event, "user.target.id" if target else "user.id", groups["uid"])
    put(event, "source.port", groups.get("port"))
    address = groups.get("address")
    if address:
        canonical = ip_text(address)
        put(event, "source.ip" if canonical else "source.domain", canonical or address)
        put(event, "related.ip", canonical)
    put(event, "related.user", unique([groups.get("user", ""), target or ""]))
