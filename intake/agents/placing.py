"""Say of each event of an agent which unit it belongs to and whether it may be stored.

Runs once an event, so it only looks at what the store doesn't look at itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from intake.agents.model import Agent
from intake.assigning import ASSIGNED_BY, BY_NOTHING, SENDER, AddressResolver, assign
from intake.forwarding.sources import UNIT_CODE
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event
from soc_core.model.organisation import AddressPlan
from soc_core.organisations.repository import OrganisationTree

AHEAD: Final = timedelta(days=31)
"""A clock that is wrong by more is not believed: its events are kept aside."""
AGENT: Final = "edusoc.agent"
GAP_DATASET: Final = "edusoc.gap"
"""What an agent says it had to drop: the alert about it names the agent."""
EARLIEST: Final = "1990-01-01"
LONGEST_ZONE: Final = 64
_PLAN: Final = AddressPlan()
FOREIGN: Final = "the event claims a unit that the agent's key does not cover"
CENTRES_OWN: Final = frozenset(
    name for name in FIELDS if name.startswith("edusoc.rollup.") or name == "edusoc.demo"
)
"""Fields that only the centre writes."""


def covered_units(agent: Agent, tree: OrganisationTree) -> frozenset[str]:
    """Return the units an agent's key covers, as the tree is."""
    named = frozenset(agent.units) | {agent.organization_id}
    if not agent.below:
        return named
    return named.union(*(tree.subtree(unit) for unit in named))


@dataclass(slots=True)
class Placer:
    """Place the events of one batch.

    ``senders`` counts the addresses (zone, address) that no unit holds; ``foreign`` counts events that claim a unit the
    key doesn't cover, by that unit.
    """

    agent: Agent
    covered: frozenset[str]
    resolver: AddressResolver
    tree: OrganisationTree
    now: datetime
    senders: dict[tuple[str, str], int] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    _latest: str = ""

    def __post_init__(self) -> None:
        """Work out what is the same for all events."""
        self._latest = format_instant(self.now + AHEAD)

    def place(self, event: Event) -> str:
        """Set unit and zone of an event; return why it can't be stored, or an empty text."""
        zone = event.get(ZONE)
        if not isinstance(zone, str) or not zone or len(zone) > LONGEST_ZONE:
            event[ZONE] = zone = self.agent.zone
        unit = event.get(ORGANIZATION_ID)
        if unit is None or unit == "":
            event[ORGANIZATION_ID] = unit = self._named(event)
            if not unit:
                return FOREIGN
        elif not isinstance(unit, str) or unit not in self.covered:
            self.foreign[str(unit)[:32]] = self.foreign.get(str(unit)[:32], 0) + 1
            return FOREIGN
        if not event.keys().isdisjoint(CENTRES_OWN):
            return "the event has a field that only the centre writes"
        event[AGENT] = self.agent.id
        if event.get(DATASET) == GAP_DATASET:
            event["agent.name"] = self.agent.name
        if len(self.covered) > 1 and unit == self.agent.organization_id and UNIT_CODE not in event:
            self._assign(event, str(zone))
        return self._fault_of_time(event)

    def _named(self, event: Event) -> str:
        """Return the unit an event names by code, the agent's own when it names none or one that nobody knows here.

        Empty when it names one the key doesn't cover.
        """
        code = event.get(UNIT_CODE)
        if not isinstance(code, str) or not code:
            return self.agent.organization_id
        try:
            unit = self.tree.find(code).id
        except UsageError:
            event[ASSIGNED_BY] = BY_NOTHING
            return self.agent.organization_id
        if unit in self.covered:
            return unit
        self.foreign[code[:32]] = self.foreign.get(code[:32], 0) + 1
        return ""

    def _fault_of_time(self, event: Event) -> str:
        timestamp, identity = event.get(TIMESTAMP), event.get(EVENT_ID)
        if not isinstance(timestamp, str) or not isinstance(identity, str):
            return ""  # the store says so
        if not EARLIEST <= timestamp <= self._latest:
            return "the time of the event lies too far in the past or the future"
        if identity[:8] != timestamp[:4] + timestamp[5:7] + timestamp[8:10]:
            return "the day of event.id is not that of @timestamp"
        return ""

    def _assign(self, event: Event, zone: str) -> None:
        found = assign(self.resolver, event, zone, self.covered)
        event[ASSIGNED_BY] = found.by
        if found.unit:
            event[ORGANIZATION_ID] = found.unit
        elif _is_listed(found.address, sent=bool(event.get(SENDER))):
            key = (zone, found.address)
            if key in self.senders or len(self.senders) < 1_000:
                self.senders[key] = self.senders.get(key, 0) + 1


def _is_listed(address: str, *, sent: bool) -> bool:
    """Tell whether an address that nobody holds is one to ask about: who sends logs, or is no stranger outside."""
    try:
        return ip_address(address).compressed == address and (sent or _PLAN.is_inside(address))
    except ValueError:
        return False
