"""Tell in which of many networks an address lies, reading it once and looking once for each length of prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from soc_core.model.event import Scalar


def address_in(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that ``text`` is: IPv4 in the clothes of IPv6 (RFC 4291, 2.5.5.2) is that IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def networks_test(networks: Iterable[tuple[str, int]]) -> Callable[[Scalar], list[int]]:
    """Return a function that tells in which networks a value lies, by the numbers given with them.

    It says what ``soc_core.query.evaluate.value_test`` says of a ``Cidr`` of each; raise ``ValueError`` for a bad one.
    """
    masks: dict[tuple[int, int], dict[int, list[int]]] = {}
    for text, number in networks:
        wanted = ip_network(text, strict=False)
        rows = masks.setdefault((wanted.version, int(wanted.netmask)), {})
        rows.setdefault(int(wanted.network_address), []).append(number)

    def inside(value: Scalar) -> list[int]:
        address = address_in(value) if isinstance(value, str) else None
        if address is None:
            return []
        bits, version = int(address), address.version
        found: list[int] = []
        for (kind, mask), rows in masks.items():
            if kind == version and bits & mask in rows:
                found += rows[bits & mask]
        return found

    return inside
