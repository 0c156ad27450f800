"""Define units (单位) and where their addresses lie.

A unit's internal id is immutable. Its codes, name and parent are attributes with validity dates, because units
are renamed, moved and merged. Levels are optional: a school may hang directly under a city.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)
"""RFC 1918, RFC 6598, RFC 1122, RFC 3927, RFC 4193, RFC 4291."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Hold one dated attribute of a unit, e.g. ``school_code``; ``valid_to`` is exclusive, ``None`` is open."""

    name: str
    value: str
    valid_from: date | None = None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Tell whether the attribute is valid on ``day``."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day < self.valid_to
        )


@dataclass(frozen=True, slots=True)
class Organisation:
    """Hold a unit as of one day: ``level`` is ``province``, ``city``, ``county``, ``school``, ``point`` or empty.

    ``codes`` maps ``school_code`` (学校标识码), ``credit_code`` (统一社会信用代码) and ``region_code`` (行政区划代码)
    to their value; ``people`` maps ``leader``, ``deputy_leader``, ``contact``, ``contact_phone``. ``zones`` maps a
    network zone to its CIDR blocks.
    """

    id: str
    code: str
    name: str
    name_en: str
    level: str
    kind: str
    parent_id: str | None
    codes: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asset:
    """Hold a device keyed by (unit, zone, address) with its three duty holders (谁主管、谁运维、谁使用)."""

    organization_id: str
    zone: str
    address: str
    name: str
    name_en: str = ""
    kind: str = ""
    mac: str = ""
    location: str = ""
    supervisor: str = ""
    operator: str = ""
    user: str = ""
    protection_level: int = 0
    importance: int = 1


class AddressPlan:
    """Tell inside from outside for one unit's network zone."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Take the zone's CIDR blocks; private ranges always count as inside. Raise ``ValueError`` on a bad block."""
        self._networks = tuple(ip_network(block, strict=False) for block in (*PRIVATE_NETWORKS, *networks))
        self.is_inside = lru_cache(maxsize=65_536)(self._is_inside)

    def _is_inside(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(_holds(network, parsed.version) and parsed in network for network in self._networks)


def _holds(network: IPv4Network | IPv6Network, version: int) -> bool:
    return network.version == version
