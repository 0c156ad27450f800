"""Understand log-in and account messages of Unix systems: who did what from where, and whether it worked.

The rules stand in ``syslog_auth.tsv``, one row a message; the first pattern of the program that fits wins. Message
texts are those of OpenSSH, sudo, shadow, util-linux, PAM, cron, systemd and vsftpd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from collectors.coerce import ip_text, put, unique
from soc_core.model.event import Event


class _Rule(NamedTuple):
    """Say what one message means.

    Named groups of the pattern: user, target, address, port, method, command, folder, group, uid, reason; a name that
    ends in 2 stands for the same thing in another branch.
    """

    pattern: re.Pattern[str]
    action: str
    outcome: str
    category: str
    types: tuple[str, ...]


_SCHEDULERS: Final = frozenset({"cron", "crond", "crontab"})
_AUTH_FACILITIES: Final = frozenset({"auth", "authpriv"})
_INSTANCE: Final = re.compile(r"\(.*\)$|\]$")
_EVERY: Final = "*"
_REPEATED: Final = re.compile(r"message repeated (\d{1,9}) times: \[ ?(.*)\]")
# Programs that speak through PAM only.
_PAM_ONLY: Final = ("gdm-password", "lightdm", "polkitd", "sddm-helper", "xrdp-sesman")


@cache
def _rules() -> Mapping[str, tuple[_Rule, ...]]:
    """Return program → its rules, the PAM rules of every program last."""
    table: dict[str, list[_Rule]] = {name: [] for name in _PAM_ONLY}
    text = resources.files("collectors").joinpath("syslog_auth.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        programs, action, outcome, category, types, pattern = line.split("\t")
        rule = _Rule(re.compile(pattern), action, outcome.strip("-"), category, tuple(types.split()))
        for program in programs.split():
            table.setdefault(program, []).append(rule)
    common = table.pop(_EVERY, [])
    return {program: (*rules, *common) for program, rules in table.items()}


def interpret(event: Event) -> None:
    """Add what the message of a syslog ``event`` says about log-ins and accounts; others stay as they are."""
    message = event.get("message")
    program = str(event.get("process.name", "")).lower()
    rules = _rules().get(_INSTANCE.sub("", program))
    speaks_of_accounts = rules is not None and program not in _SCHEDULERS
    if speaks_of_accounts or event.get("log.syslog.facility.name") in _AUTH_FACILITIES:
        event["event.dataset"] = "syslog.auth"
    if rules is None or not isinstance(message, str):
        return
    repeated = _REPEATED.fullmatch(message)
    if repeated is not None:
        message = repeated[2]
        put(event, "edusoc.repeated", repeated[1])
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
