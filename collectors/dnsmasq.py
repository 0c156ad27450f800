"""Read dnsmasq's log: questions and answers (``log-queries``, ``log-queries=extra``) and DHCP (``dnsmasq-dhcp``).

Format: ``dnsmasq(8)``; lines seen from dnsmasq 2.90. Only ``extra`` lines of answers say who asked.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.coerce import ip_text, put
from collectors.dhcp_common import Lease, put_lease
from collectors.dns_common import put_client, put_code, put_question, start_question, start_server
from collectors.network import put_side
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "dnsmasq"
_LINE: Final = re.compile(
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d dnsmasq(?:-dhcp|-tftp|-script)?\[\d{1,10}\]: "
)
_EXTRA: Final = re.compile(r"\d{1,10} ([0-9a-fA-F.:]{2,64})/(\d{1,5}) ")
_QUERY: Final = re.compile(
    r"(?:query|auth|dnssec-query)\[([A-Za-z0-9=]{1,20})\] (\S{0,1024}) (from|to) (\S{2,64})"
)
_FORWARDED: Final = re.compile(r"forwarded (\S{0,1024}) to (\S{2,64})")
_ANSWER: Final = re.compile(
    r"(reply|cached|cached-stale|config|DHCP|/\S{1,255}|gravity blocked|exactly blacklisted|regex blacklisted) "
    r"(\S{0,1024}) is (.{0,1024})"
)
_EMPTY: Final = {
    "NXDOMAIN": "NXDOMAIN",
    "NODATA": "NOERROR",
    "NODATA-IPv4": "NOERROR",
    "NODATA-IPv6": "NOERROR",
}
_LEASE: Final = re.compile(
    r"(?:\d{1,10} )?DHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|DECLINE|RELEASE|INFORM)\((\S{1,64})\) "
    r"(?:([0-9]{1,3}(?:\.[0-9]{1,3}){3}) )?((?:\d\d-)?[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,19})(?: (.{0,255}))?"
)
_LEASE6: Final = re.compile(
    r"(?:\d{1,10} )?DHCP(SOLICIT|ADVERTISE|REQUEST|CONFIRM|RENEW|REBIND|REPLY|RELEASE|DECLINE|INFORMATION-REQUEST)"
    r"\((\S{1,64})\) (?:([0-9a-fA-F:]{2,45}) )?((?:[0-9a-fA-F]{2}:){5,127}[0-9a-fA-F]{2})(?: (.{0,255}))?"
)
_LEASES: Final = re.compile(
    r"(\d{1,11}) ((?:\d\d-)?[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,19}|T?\d{1,10}) "
    r"([0-9a-fA-F.:]{2,45}) (\S{1,255}) (\S{1,600})"
)


def is_dnsmasq(text: str) -> bool:
    """Tell whether a line of a file is dnsmasq's own (it leaves out the host that syslog has)."""
    return _LINE.match(text) is not None


def dnsmasq_event(event: Event) -> None:
    """Fill the event of a line of dnsmasq's own file, whose head is read already."""
    program, message = str(event.get("log.syslog.appname", "")), str(event.get("message", ""))
    event["process.name"] = "dnsmasq"
    put(event, "process.pid", event.get("log.syslog.procid"))
    if not (interpret_dhcp if program == "dnsmasq-dhcp" else interpret)(event, message):
        start_server(event, message, module=MODULE)
        if program == "dnsmasq-dhcp":
            event["event.dataset"] = "dhcp.server"


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of dnsmasq about a name; tell whether it is one."""
    who = _EXTRA.match(message)
    start = who.end() if who is not None else 0
    query = _QUERY.match(message, start)
    if query is not None:
        kind, name, direction, address = query.groups()
        asked = direction == "from"
        start_question(event, module=MODULE, answer=False)
        put_question(event, name or ".", kind.removeprefix("type="))
        if asked:
            put_client(event, who[1] if who else address, who[2] if who else None)
        else:
            _put_upstream(event, address)
        return True
    forwarded = _FORWARDED.match(message, start)
    if forwarded is not None:
        start_question(event, module=MODULE, answer=False)
        event["event.action"] = "dns_forwarded"
        put(event, "dns.question.name", forwarded[1])
        _put_upstream(event, forwarded[2])
        if who is not None:  # not source.ip: the question was counted when it came
            put(event, "client.ip", who[1])
        return True
    answer = _ANSWER.match(message, start)
    if answer is None:
        return False
    _put_answer(event, answer)
    if who is not None:
        put_client(event, who[1], who[2])
    return True


def _put_upstream(event: Event, text: str) -> None:
    address, _, port = text.partition("#")
    put_side(event, "destination", address, port)


def _put_answer(event: Event, match: re.Match[str]) -> None:
    where, name, data = match.groups()
    start_question(event, module=MODULE, answer=True)
    put(event, "dns.question.name", name)
    put(event, "event.reason", where)
    data = data.strip()
    if data in _EMPTY:
        put_code(event, _EMPTY[data])
        return
    if data in ("SERVFAIL", "REFUSED", "FORMERR", "NOTIMP") or data.startswith("error "):
        put_code(event, data.removeprefix("error ").upper()[:16])
        event["event.outcome"] = "failure"
        return
    put_code(event, "NOERROR")
    address = ip_text(data)
    put(event, "dns.resolved_ip", address)
    put(event, "dns.answers.data", data)
    kind = "" if address is None else "AAAA" if ":" in address else "A"
    put(event, "dns.answers.type", kind or (data[1:-1] if data.startswith("<") else ""))
    if "blocked" in where or "blacklisted" in where:
        event["event.type"] = ["protocol", "denied"]


def interpret_dhcp(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of dnsmasq's DHCP server; tell whether it is about a client."""
    for pattern in (_LEASE, _LEASE6):
        match = pattern.match(message)
        if match is not None:
            kind, interface, address, client, name = match.groups()
            mac = client if pattern is _LEASE else ""
            put_lease(
                event,
                kind.lower(),
                MODULE,
                Lease(address=address or "", mac=mac, host=(name or "") if kind in ("ACK", "REPLY") else ""),
            )
            put(event, "observer.ingress.interface.name", interface)
            if pattern is _LEASE6:
                put(event, "edusoc.dhcp.client_id", client)
            elif name and kind not in ("ACK", "REPLY"):
                put(event, "event.reason", name.strip())
            return True
    return False


def lease_event(text: str, reference: str) -> Event | None:
    """Return the event of a line of ``dnsmasq.leases``: end of the lease, MAC, address, name, client id.

    The file doesn't say when a lease began; its event has the time ``reference``, when the file was written.
    """
    match = _LEASES.fullmatch(text.strip())
    if match is None:
        return None
    end, client, address, name, identifier = match.groups()
    six = ":" in address
    event: Event = {TIMESTAMP: reference}
    put_lease(
        event,
        "ack",
        MODULE,
        Lease(
            address=address,
            mac="" if six else client,
            host="" if name == "*" else name,
            end=int(end) or None,
            client_id=identifier if identifier != "*" else "",
        ),
    )
    event["event.action"] = "dhcp_lease"
    return event


def is_lease(text: str) -> bool:
    """Tell whether a line is one of ``dnsmasq.leases``."""
    match = _LEASES.fullmatch(text.strip())
    return match is not None and ip_text(match[3]) is not None
