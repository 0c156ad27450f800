"""Tell which unit an event belongs to by its address, for keys that cover several units (schools without an agent).

A probe at the core of the education network sees many schools, and devices of schools may send syslog across it. Their
addresses in that network are in the address plan, under the zone of the agent's key; what holds is the plan as of the
event's day, the longest prefix first. A network that two units hold at once decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from sqlalchemy import Connection, func, select

from soc_core.clock import parse_instant
from soc_core.model.event import TIMESTAMP, Event
from soc_core.organisations.networks import PlannedNetwork, list_networks
from soc_core.organisations.repository import today
from soc_core.organisations.tables import zones

SENDER: Final = "log.source.address"
ASSIGNED_BY: Final = "edusoc.assigned_by"
BY_SENDER: Final = "sender"
BY_SOURCE: Final = "source"
BY_DESTINATION: Final = "destination"
BY_NOTHING: Final = "unknown"
_CACHED: Final = 65_536
_Bits = dict[int, dict[int, list[PlannedNetwork]]]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Say whose an event is and by which address; without a unit ``address`` is the one nobody holds."""

    unit: str
    by: str
    address: str


class AddressResolver:
    """Find the unit of an address on a day; a snapshot of the plan."""

    def __init__(self, plan: Iterable[PlannedNetwork]) -> None:
        """Take the whole plan."""
        self._nets: dict[tuple[str, int], _Bits] = {}
        for item in plan:
            network = ip_network(item.network)
            bits = self._nets.setdefault((item.zone, network.version), {})
            start = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            bits.setdefault(network.prefixlen, {}).setdefault(start, []).append(item)
        self._lengths = {key: sorted(bits, reverse=True) for key, bits in self._nets.items()}
        self._find: Callable[[str, str, date], tuple[frozenset[str], ...]] = lru_cache(_CACHED)(self._found)

    def unit_of(self, address: str, zone: str, day: date, within: Collection[str]) -> str:
        """Return the one unit among ``within`` that holds the address by the longest prefix; empty when none does."""
        for holders in self._find(address, zone, day):
            chosen = [unit for unit in holders if unit in within]
            if chosen:
                return chosen[0] if len(chosen) == 1 else ""
        return ""

    def _found(self, address: str, zone: str, day: date) -> tuple[frozenset[str], ...]:
        """Return who holds the address, longest prefix first."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return ()
        key = (zone, parsed.version)
        number, width = int(parsed), parsed.max_prefixlen
        found = []
        for length in self._lengths.get(key, ()):
            held = self._nets[key][length].get(number >> (width - length), ())
            units = frozenset(item.organization_id for item in held if item.holds_on(day))
            if units:
                found.append(units)
        return tuple(found)


def assign(resolver: AddressResolver, event: Event, zone: str, within: Collection[str]) -> Assigned:
    """Return whose an event is: by who sent it where a syslog server received it, else by its two sides."""
    day = _day(str(event.get(TIMESTAMP, "")))
    for by, name in _addresses(event):
        address = str(event[name])
        if unit := resolver.unit_of(address, zone, day, within):
            return Assigned(unit, by, address)
    first = next((str(event[name]) for _by, name in _addresses(event)), "")
    return Assigned("", BY_NOTHING, first)


def _addresses(event: Event) -> Sequence[tuple[str, str]]:
    if event.get(SENDER):
        return ((BY_SENDER, SENDER),)
    sides = ((BY_SOURCE, "source.ip"), (BY_DESTINATION, "destination.ip"))
    return [(by, name) for by, name in sides if event.get(name)]


@lru_cache(maxsize=4_096)
def _hour_day(hour: str) -> date:
    return today(parse_instant(f"{hour}:00:00Z"))


def _day(timestamp: str) -> date:
    """Return the local day of a canonical time: the plan's dates are local days."""
    try:
        return _hour_day(timestamp[:13])
    except (ValueError, OverflowError):
        return date.min


class ResolverCache:
    """Keep the resolver until the plan changes."""

    def __init__(self) -> None:
        """Begin empty."""
        self._held: tuple[tuple[object, ...], AddressResolver] | None = None

    def current(self, connection: Connection) -> AddressResolver:
        """Return the resolver for the plan as the connection's snapshot has it."""
        ends = select(
            func.count(),
            func.max(zones.c.number),
            func.count(zones.c.valid_to),
            func.max(zones.c.valid_to),
            func.min(zones.c.valid_to),
        )
        state = tuple(connection.execute(ends.select_from(zones)).one())
        held = self._held
        if held is None or held[0] != state:
            held = self._held = (state, AddressResolver(list_networks(connection)))
        return held[1]
