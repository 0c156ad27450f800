"""Poll routers and switches by SNMP for who is where: address, card, port.

What appears, moves or goes is an event at once; what stays is said again every ``repeat`` seconds, so that a question
about a time finds it without looking at months. "Who was it" (``edusoc whois-was``) uses these events.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pysnmp.hlapi.v3arch import asyncio as snmp

from collectors.base import BATCH_EVENTS, Batch, ReadContext
from collectors.live.base import Counters, Origin, Outlet
from collectors.live.neighbour_tables import (
    ARP,
    BRIDGE,
    BRIDGE_BY_VLAN,
    BRIDGE_PORTS,
    NEIGHBOURS,
    PORT_NAMES,
    SYSTEM_NAME,
    Neighbour,
    addresses,
    port_names,
    ports,
)
from collectors.live.options import Options
from collectors.live.snmp import Credentials, Device, SnmpError, read_credentials
from collectors.making import EventMaker
from soc_core.clock import format_instant
from soc_core.errors import StoreError
from soc_core.model.event import TIMESTAMP, BadRecord, Event

DATASET: Final = "snmp.neighbours"
SEEN: Final = "neighbour-seen"
GONE: Final = "neighbour-gone"
MOST_KNOWN: Final = 200_000
"""Neighbours of one device that are remembered; further ones are said each time they are seen."""
_STEP: Final = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the settings of one input: devices, log-in, seconds between polls and until a neighbour is said again."""

    devices: tuple[tuple[str, int], ...]
    credentials: Credentials
    interval: int = 300
    repeat: int = 21_600
    timeout: int = 5


@dataclass(slots=True)
class Known:
    """Remember what one device knows: neighbour → when it was last said."""

    said: dict[Neighbour, datetime] = field(default_factory=dict)

    def changes(
        self, found: Iterable[Neighbour], now: datetime, repeat: int
    ) -> tuple[list[Neighbour], list[Neighbour]]:
        """Return who is to be said as seen and who as gone, and remember it."""
        present = dict.fromkeys(found)
        gone = [neighbour for neighbour in self.said if neighbour not in present]
        for neighbour in gone:
            del self.said[neighbour]
        seen = [
            neighbour
            for neighbour in present
            if neighbour not in self.said or (now - self.said[neighbour]).total_seconds() >= repeat
        ]
        for neighbour in seen:
            if neighbour in self.said or len(self.said) < MOST_KNOWN:
                self.said[neighbour] = now
        return seen, gone


class NeighboursInput:
    """Poll devices, one after the other."""

    kind = "neighbours"

    def __init__(self, name: str, settings: Settings) -> None:
        """Take the configured name and settings."""
        self.name = name
        self.counters = Counters()
        self._settings = settings
        self._epoch = os.urandom(16)
        self._number = 0
        self._known: dict[tuple[str, int], Known] = {}

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Poll until ``stop``."""
        asyncio.run(self._poll_until(outlet, stop))

    async def _poll_until(self, outlet: Outlet, stop: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        engine = snmp.SnmpEngine()
        login = self._settings.credentials.login()
        try:
            while not stop.is_set():
                begun = loop.time()
                for address in self._settings.devices:
                    if not stop.is_set():
                        device = Device(engine, address, login, self._settings.timeout)
                        await self._poll(device, address, outlet, stop)
                while not stop.is_set() and loop.time() < begun + self._settings.interval:
                    await asyncio.sleep(_STEP)
        finally:
            engine.close_dispatcher()

    async def _poll(
        self, device: Device, address: tuple[str, int], outlet: Outlet, stop: threading.Event
    ) -> None:
        """Ask one device and deliver what changed; that it doesn't answer is a bad record, said each time."""
        origin = Origin(self.name, address[0])
        try:
            observer, found = await _ask(device, address[0])
        except SnmpError as error:
            self.counters.add("bad")
            reason = f"the device does not answer by SNMP: {error}"
            await self._deliver(outlet, origin, Batch(bad=[BadRecord(address[0], 0, 0, reason)]), stop)
            return
        self.counters.add("received", len(found))
        context = outlet.context(origin)
        known = self._known.setdefault(address, Known())
        before = dict(known.said)
        seen, gone = known.changes(found, context.reference, self._settings.repeat)
        said = [(SEEN, neighbour) for neighbour in seen] + [(GONE, neighbour) for neighbour in gone]
        for start in range(0, len(said), BATCH_EVENTS):
            batch = self._batch(said[start : start + BATCH_EVENTS], observer, context)
            if not await self._deliver(outlet, origin, batch, stop):
                known.said = (
                    before  # said again next time; the store knows equal ones by no id, so nothing is lost
                )
                return

    def _batch(
        self, said: Iterable[tuple[str, Neighbour]], observer: Mapping[str, str], context: ReadContext
    ) -> Batch:
        maker = EventMaker(self.kind, "snmp", context)
        maker.seen(self.name.encode() + self._epoch)
        batch = Batch()
        for action, neighbour in said:
            event = neighbour_event(action, neighbour, observer)
            event[TIMESTAMP] = format_instant(context.reference)
            self._number += 1
            batch.events.append(maker.finish(event, repr(neighbour).encode(), self._number))
        return batch

    async def _deliver(self, outlet: Outlet, origin: Origin, batch: Batch, stop: threading.Event) -> bool:
        """Deliver in a thread, since it may block; tell whether it was taken before ``stop``."""
        while True:
            try:
                await asyncio.to_thread(outlet.deliver, batch, origin)
            except StoreError:
                if stop.is_set():
                    return False
                await asyncio.sleep(_STEP)
            else:
                self.counters.add("delivered", len(batch.events))
                return True


async def _ask(device: Device, address: str) -> tuple[dict[str, str], list[Neighbour]]:
    """Return who answered, and all its neighbours."""
    name = await device.get(SYSTEM_NAME)
    names = port_names(await device.walk(PORT_NAMES))
    found = addresses(await device.walk(ARP), await device.walk(NEIGHBOURS), names)
    by_vlan = await device.walk(BRIDGE_BY_VLAN)
    plain = [] if by_vlan else await device.walk(BRIDGE)
    found += ports(by_vlan, plain, await device.walk(BRIDGE_PORTS), names)
    told = name.decode("utf-8", "backslashreplace")[:255] if isinstance(name, bytes) else ""
    return {"name": told or address, "ip": address}, found


def neighbour_event(action: str, neighbour: Neighbour, observer: Mapping[str, str]) -> Event:
    """Return the event of a neighbour, without time and id."""
    event: Event = {
        "event.kind": "state",
        "event.category": ["network"],
        "event.type": ["info"],
        "event.action": action,
        "event.dataset": DATASET,
        "client.mac": neighbour.mac,
        "observer.name": observer["name"],
        "observer.ip": [observer["ip"]],
        "observer.type": "switch" if not neighbour.address else "router",
    }
    if neighbour.address:
        event["client.ip"] = neighbour.address
    if neighbour.port:
        event["observer.ingress.interface.name"] = neighbour.port
    if neighbour.vlan:
        event["network.vlan.id"] = neighbour.vlan
    return event


def build(name: str, options: Options) -> NeighboursInput:
    """Return the input of a configuration's table."""
    texts = options.texts("devices")
    if not texts:
        raise options.fault("devices", "is missing", 'write devices = ["192.168.1.1", "192.168.1.2:161"]')
    devices = [Options({"devices": text}, options.where).address("devices", port=161) for text in texts]
    settings = Settings(
        tuple(dict.fromkeys(devices)),
        read_credentials(options),
        options.number("interval", 300, least=10, most=86_400),
        options.number("repeat", 21_600, least=60, most=604_800),
        options.number("timeout", 5, least=1, most=60),
    )
    options.done()
    return NeighboursInput(name, settings)
