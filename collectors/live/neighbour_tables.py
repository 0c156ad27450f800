"""Read the tables in which routers and switches keep who is where (SNMP).

Routers know address → card: ipNetToMediaTable (RFC 4293, IPv4) and ipNetToPhysicalTable (both families). Switches know
card → port: dot1qTpFdbTable (RFC 4363, by VLAN), else dot1dTpFdbTable (RFC 4188). Ports are named by ifName (RFC 2863).
Rows are (index, value): what follows the column's object identifier, and the value's bytes or whole number.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Row: TypeAlias = "tuple[tuple[int, ...], bytes | int]"
Column: TypeAlias = "tuple[int, ...]"

_MIB_2: Final = (1, 3, 6, 1, 2, 1)
SYSTEM_NAME: Final[Column] = (*_MIB_2, 1, 5, 0)
ARP: Final[Column] = (*_MIB_2, 4, 22, 1, 2)
NEIGHBOURS: Final[Column] = (*_MIB_2, 4, 35, 1, 4)
BRIDGE: Final[Column] = (*_MIB_2, 17, 4, 3, 1, 2)
BRIDGE_BY_VLAN: Final[Column] = (*_MIB_2, 17, 7, 1, 2, 2, 1, 2)
BRIDGE_PORTS: Final[Column] = (*_MIB_2, 17, 1, 4, 1, 2)
PORT_NAMES: Final[Column] = (*_MIB_2, 31, 1, 1, 1, 1)
_ADDRESS_TYPES: Final = {1: 4, 2: 16, 3: 4, 4: 16}
"""InetAddressType (RFC 4001): ipv4, ipv6, and both with a zone index, which follows the address."""
_NO_CARD: Final = frozenset({b"\0" * 6, b"\xff" * 6})


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Hold one row: a card, its address where a router knows it, its port and VLAN where a switch does."""

    mac: str
    address: str = ""
    port: str = ""
    vlan: str = ""


def mac_text(raw: bytes) -> str:
    """Return a card's address as ECS has it: upper case, hyphens (RFC 7042); empty for what is no card of a device."""
    if len(raw) != 6 or raw in _NO_CARD or raw[0] & 1:
        return ""
    return raw.hex("-").upper()


def addresses(arp: Iterable[Row], neighbours: Iterable[Row], names: Mapping[int, str]) -> list[Neighbour]:
    """Return who has which address, each once; rows that can't be read are left out."""
    found: dict[tuple[str, str], Neighbour] = {}
    for rows, read in ((arp, _arp_index), (neighbours, _neighbour_index)):
        for index, value in rows:
            place = read(index)
            mac = mac_text(value) if isinstance(value, bytes) else ""
            if place is not None and mac:
                interface, address = place
                found.setdefault((address, mac), Neighbour(mac, address, names.get(interface, "")))
    return list(found.values())


def _arp_index(index: tuple[int, ...]) -> tuple[int, str] | None:
    """Return interface and address of an index: ifIndex and the four numbers of the address."""
    return (index[0], ".".join(map(str, index[1:]))) if len(index) == 5 and _bytes(index[1:]) else None


def _neighbour_index(index: tuple[int, ...]) -> tuple[int, str] | None:
    """Return interface and address of an index: ifIndex, type, length and the bytes of the address."""
    if len(index) < 4:
        return None
    interface, kind, length, *numbers = index
    wanted = _ADDRESS_TYPES.get(kind)
    raw = _bytes(numbers[:wanted]) if wanted else None
    if raw is None or len(raw) != wanted or length != len(numbers):
        return None
    address = ipaddress.ip_address(raw)
    return None if address.is_multicast else (interface, str(address))


def _bytes(numbers: Iterable[int]) -> bytes | None:
    try:
        return bytes(numbers)
    except ValueError:
        return None


def ports(
    by_vlan: Iterable[Row], plain: Iterable[Row], bridge_ports: Iterable[Row], names: Mapping[int, str]
) -> list[Neighbour]:
    """Return which card was last seen at which port, by VLAN where the switch tells; without a port it is left out.

    A port that leads to another switch has many cards: of a card's ports the one with the fewest is its own.
    """
    interfaces = {index[0]: value for index, value in bridge_ports if index and isinstance(value, int)}
    found: dict[tuple[str, str], Neighbour] = {}
    for index, value in by_vlan:
        if len(index) == 7:
            _add_port(found, index[1:], value, (interfaces, names), str(index[0]))
    if not found:
        for index, value in plain:
            _add_port(found, index, value, (interfaces, names), "")
    return list(found.values())


def _add_port(
    found: dict[tuple[str, str], Neighbour],
    card: tuple[int, ...],
    port: bytes | int,
    known: tuple[Mapping[int, int], Mapping[int, str]],
    vlan: str,
) -> None:
    interfaces, names = known
    mac = mac_text(_bytes(card) or b"")
    if mac and isinstance(port, int) and port > 0:
        interface = interfaces.get(port, port)
        found.setdefault((mac, vlan), Neighbour(mac, port=names.get(interface, f"port {port}"), vlan=vlan))


def port_names(rows: Iterable[Row]) -> dict[int, str]:
    """Return the names of interfaces by their index."""
    return {
        index[0]: value.decode("utf-8", "backslashreplace")[:255]
        for index, value in rows
        if len(index) == 1 and isinstance(value, bytes) and value
    }
