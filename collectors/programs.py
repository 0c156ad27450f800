"""Find who understands a syslog message of a server: name servers, DHCP, RADIUS, databases, the audit system.

Asked by the name of the program, before the rules for log-ins (``syslog_auth``). Modules are loaded when a message of
their program first comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Final, TypeAlias, cast

from soc_core.model.event import Event

Interpret: TypeAlias = Callable[[Event, str], bool]
PROGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    "named": ("dns_bind", "interpret"),
    "unbound": ("dns_unbound", "interpret"),
    "dnsmasq": ("dnsmasq", "interpret"),
    "dnsmasq-dhcp": ("dnsmasq", "interpret_dhcp"),
    "dhcpd": ("dhcp_isc", "interpret"),
    "kea-dhcp4": ("dhcp_kea", "interpret"),
    "kea-dhcp6": ("dhcp_kea", "interpret"),
    "radiusd": ("radius", "interpret"),
    "freeradius": ("radius", "interpret"),
    "mysql-server_auditing": ("mysql_audit", "interpret"),
    "percona-audit": ("mysql_audit", "interpret_percona"),
    "postgres": ("postgresql_log", "interpret"),
    "postgresql": ("postgresql_log", "interpret"),
    "nginx": ("web_syslog", "interpret_nginx"),
    "httpd": ("web_syslog", "interpret_apache"),
    "apache2": ("web_syslog", "interpret_apache"),
    "audispd": ("auditd", "interpret"),
    "audisp-syslog": ("auditd", "interpret"),
    "auditd": ("auditd", "interpret"),
    "audit": ("auditd", "interpret"),
    "kernel": ("auditd", "interpret"),
}
"""Program as it stands in syslog, in lower case → module of this package and its function."""
DATASETS: Final = (
    "auditd.log", "dhcp.lease", "dhcp.message", "dns.query", "mysql.audit", "postgresql.audit", "postgresql.log",
    "radius.auth", "web.access", "web.error",
)  # fmt: skip
"""What these make of syslog messages."""
_INSTANCE: Final = re.compile(r"\(.*\)$|@.*$")


@cache
def _load(module: str, function: str) -> Interpret:
    return cast("Interpret", getattr(import_module(f"collectors.{module}"), function))


def interpret(event: Event) -> bool:
    """Fill a syslog event from its message if the program is one of these; tell whether it was understood."""
    program, message = event.get("process.name"), event.get("message")
    if not isinstance(program, str) or not isinstance(message, str) or len(program) > 64:
        return False
    name = program.lower()
    known = PROGRAMS.get(name)
    if known is None and ("@" in name or "(" in name):
        known = PROGRAMS.get(_INSTANCE.sub("", name))
    return known is not None and _load(*known)(event, message)
