"""Map the analytical channel of Windows' DNS server (provider Microsoft-Windows-DNSServer) to DNS fields.

Codes and items: Microsoft, "DNS Logging and Diagnostics". Written from that document and published samples
(未经实机验证). As in other logs of name servers, ``source.ip`` is who asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collectors.coerce import ip_text, long_value, put
from collectors.dns_common import put_code
from collectors.network import put_side, put_transport
from collectors.packets.dissectors.dns_tables import RESPONSE_CODES, TYPES
from soc_core.model.event import Event

PARTS: Final = frozenset({"dns_server_analytical", "dnsserver_analytical"})
_OF_CLIENTS: Final[Mapping[str, str]] = {
    "256": "Source",
    "257": "Destination",
    "258": "Destination",
    "259": "Source",
}
_UPSTREAM: Final[Mapping[str, str]] = {"260": "Destination", "261": "Source", "262": "Destination"}
_ANSWERS: Final = frozenset({"257", "258", "261"})
_FLAGS: Final = ((0x0400, "AA"), (0x0200, "TC"), (0x0100, "RD"), (0x0080, "RA"))


def put_dns_server(event: Event, code: str, data: Mapping[str, object]) -> None:
    """Add what a record of the channel says of a question; records about other things stay as they are."""
    name = data.get("QNAME")
    if not isinstance(name, str) or (code not in _OF_CLIENTS and code not in _UPSTREAM):
        return
    answer = code in _ANSWERS
    event["event.category"] = ["network"]
    event["event.type"] = ["protocol", "info"]
    event["event.action"] = ("dns_" if code in _OF_CLIENTS else "dns_forwarded_") + (
        "answer" if answer else "query"
    )
    event["network.protocol"] = "dns"
    event["dns.type"] = "answer" if answer else "query"
    put(event, "dns.question.name", name.rstrip(".") or ".")
    kind, number = long_value(data.get("QTYPE")), long_value(data.get("XID"))
    put(event, "dns.question.type", TYPES.get(kind, f"TYPE{kind}") if kind is not None else None)
    put(event, "dns.id", str(number) if number is not None else None)
    flags = long_value(data.get("Flags")) or 0
    put(event, "dns.header_flags", [flag for bit, flag in _FLAGS if flags & bit])
    rcode = long_value(data.get("RCODE"))
    if answer and rcode is not None:
        put_code(event, RESPONSE_CODES.get(rcode, f"RCODE{rcode}"))
    _put_sides(event, code, data)


def _put_sides(event: Event, code: str, data: Mapping[str, object]) -> None:
    of_client = code in _OF_CLIENTS
    far = data.get(_OF_CLIENTS[code] if of_client else _UPSTREAM[code])
    own = data.get("InterfaceIP")
    port = long_value(data.get("Port"))
    put_side(event, "source" if of_client else "destination", far, port or None)
    if isinstance(own, str) and ip_text(own) not in (None, "0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        put_side(event, "destination" if of_client else "source", own)
    put_transport(event, "tcp" if str(data.get("TCP")) == "1" else "udp")
