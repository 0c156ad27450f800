"""Write the endpoints and totals of a connection the same way for every network source."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from functools import lru_cache
from typing import Final

from collectors.coerce import ip_text, long_value, put
from soc_core.model.event import Event

_NUMBERS: Final = {
    "icmp": 1, "igmp": 2, "ipv4": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
    "ipv6-icmp": 58, "icmp6": 58, "icmpv6": 58, "ospf": 89, "sctp": 132,
}  # fmt: skip
_NAMES: Final = {
    1: "icmp",
    2: "igmp",
    6: "tcp",
    17: "udp",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "ipv6-icmp",
    132: "sctp",
}
_WITH_PORTS: Final = frozenset({6, 17, 132})
# Community ID 1.0: the "port" pair of ICMP is its type and the type of the matching answer.
_ICMP_PAIRS: Final = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}
_ICMP6_PAIRS: Final = {
    128: 129,
    129: 128,
    133: 134,
    134: 133,
    135: 136,
    136: 135,
    130: 131,
    131: 130,
    139: 140,
    140: 139,
    144: 145,
    145: 144,
}


def protocol_number(name: str) -> int | None:
    """Return the IANA number of a transport protocol name or of a number as text."""
    known = _NUMBERS.get(name.lower())
    if known is not None:
        return known
    number = long_value(name)
    return number if number is not None and 0 <= number <= 255 else None


@lru_cache(maxsize=1 << 14)
def community_id(source: str, destination: str, number: int, source_port: int, destination_port: int) -> str:
    """Return the Community ID 1.0 (seed 0) of a five-tuple; for ICMP the ports are type and code."""
    one, two = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    ordered = True
    if number in (1, 58):
        pairs = _ICMP_PAIRS if number == 1 else _ICMP6_PAIRS
        answer = pairs.get(source_port)
        ordered = answer is not None
        destination_port = destination_port if answer is None else answer
    if ordered and (one, source_port) > (two, destination_port):
        one, two, source_port, destination_port = two, one, destination_port, source_port
    parts = b"\0\0" + one + two + bytes((number, 0))
    if number in _WITH_PORTS or number in (1, 58):
        parts += source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    return "1:" + base64.b64encode(hashlib.sha1(parts, usedforsecurity=False).digest()).decode("ascii")


def put_side(event: Event, side: str, address: object, port: object = None) -> None:
    """Write one endpoint (``source`` or ``destination``): address, and port where there is one.

    What is no IP address (a host name, a MAC address) stands in ``<side>.address`` only.
    """
    if isinstance(address, str) and address:
        canonical = ip_text(address)
        if canonical is None:
            put(event, f"{side}.address", address)
        else:
            event[f"{side}.ip"] = canonical
    if port is not None and port != "":
        put(event, f"{side}.port", port)


def put_transport(event: Event, name: object, icmp: tuple[int, int] | None = None) -> None:
    """Write transport, IP version and Community ID from the protocol name and the endpoints already written.

    ``icmp`` is type and code. A Community ID that the source gave stays.
    """
    number = protocol_number(name) if isinstance(name, str) and name else None
    if number is not None:
        event["network.transport"] = _NAMES.get(number, str(name).lower())
        event["network.iana_number"] = str(number)
    source, destination = event.get("source.ip"), event.get("destination.ip")
    if not isinstance(source, str) or not isinstance(destination, str):
        return
    event["network.type"] = "ipv6" if ":" in source else "ipv4"
    if number is None or "network.community_id" in event or (":" in source) != (":" in destination):
        return
    ports = icmp if number in (1, 58) else _ports(event) if number in _WITH_PORTS else (0, 0)
    if ports is not None and all(0 <= port <= 65535 for port in ports):
        event["network.community_id"] = community_id(source, destination, number, *ports)


def _ports(event: Event) -> tuple[int, int] | None:
    source, destination = event.get("source.port"), event.get("destination.port")
    return (source, destination) if isinstance(source, int) and isinstance(destination, int) else None


def put_totals(event: Event) -> None:
    """Add ``network.bytes`` and ``network.packets`` from both sides where both are known."""
    for unit in ("bytes", "packets"):
        source, destination = event.get(f"source.{unit}"), event.get(f"destination.{unit}")
        if isinstance(source, int) and isinstance(destination, int):
            event[f"network.{unit}"] = source + destination


def put_url(event: Event, *, host: object = None, path: object = None, port: object = None) -> None:
    """Write the URL fields of one HTTP request from its host header and request target."""
    if isinstance(host, str) and host:
        name, _, given = host.rpartition(":") if host.count(":") == 1 else (host, "", "")
        put(event, "url.domain", (name or host).strip("[]"))
        port = given or port
    put(event, "url.port", port)
    if not isinstance(path, str) or not path:
        return
    put(event, "url.original", path)
    target, _, fragment = path.partition("#")
    location, mark, query = target.partition("?")
    if "://" in location:
        scheme, _, location = location.partition("://")
        put(event, "url.scheme", scheme)
        authority, slash, location = location.partition("/")
        location = slash + location
        if "url.domain" not in event:
            put_url(event, host=authority.rpartition("@")[2])
    put(event, "url.path", location)
    put(event, "url.query", query if mark else None)
    put(event, "url.fragment", fragment)
    name = location.rpartition("/")[2]
    if "." in name[1:]:
        put(event, "url.extension", name.rpartition(".")[2])
