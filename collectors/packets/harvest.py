"""Turn what the kernel wrote into events, bad records and counters: the same for captures and live interfaces."""

from __future__ import annotations

from mmap import mmap
from typing import TYPE_CHECKING, Final

from collectors.base import ReadContext
from collectors.making import BatchMaker
from collectors.packets import layout
from collectors.packets.flows import DATASET, FlowWriter, place_fields
from collectors.packets.meter import Limits, Meter, Row
from soc_core.model.event import Event

if TYPE_CHECKING:
    from collectors.packets.applications import Applications

NAME: Final = "packets"
ONLY: Final = "only"
"""Option: data sets wanted, separated by commas. Where no application is among them, nothing is dissected."""
_EXTRA: Final = (
    ("packets_fragments", layout.C_FRAGMENTS),
    ("packets_tunnelled", layout.C_TUNNELLED),
    ("flows_evicted", layout.C_EVICTED),
)


class Harvest:
    """Hold what one source's flows become. Before ``begin`` nothing comes out."""

    def __init__(self, meter: Meter, limits: Limits, maker: BatchMaker) -> None:
        """Take the meter, its limits, and what gathers batches."""
        self.meter = meter
        self.maker = maker
        self._limits = limits
        self._writer: FlowWriter | None = None
        self._applications: Applications | None = None
        self._seen = 0

    @property
    def begun(self) -> bool:
        """Tell whether the source has its name."""
        return self._writer is not None

    def begin(self, identity: bytes, context: ReadContext) -> None:
        """Take the source's identity (16 bytes), part of every event id, and its place."""
        place = place_fields(context.organization_id, context.zone)
        self.meter.identify(identity)
        self._writer = FlowWriter(context.created_text, place)
        fixed: Event = {
            "event.kind": "event",
            "event.category": ["network"],
            "event.type": ["protocol"],
            "event.module": NAME,
            "event.created": context.created_text,
            **place,
        }
        if wants_applications(context.options.get(ONLY, "")):
            from collectors.packets.applications import Applications  # noqa: PLC0415 - brings all dissectors

            self._applications = Applications(self.meter, identity, fixed, self._limits.reassembly)

    def take(self, buffer: mmap) -> None:
        """Take what the kernel wrote since the last pause; ``buffer`` is the window it looked at."""
        meter, maker, writer = self.meter, self.maker, self._writer
        ended = meter.ended()
        if writer is None:
            return
        applications = self._applications
        if applications is not None:
            maker.add_all(applications.take(meter.items(), buffer, ended))
        events: list[Event] = []
        packets = 0
        for row, names in zip(ended, meter.names(), strict=True):
            if applications is not None and row[layout.F_REASON] != layout.END_ACTIVE:
                events += applications.end(row[layout.F_SERIAL])
            events.append(writer.event(row, names))
            packets += row[layout.F_PACKETS] + row[layout.F_PACKETS + 1]
        maker.add_all(events)
        maker.count("packets_in_flows", packets)
        for bad in meter.malformed():
            self._malformed(bad, buffer)

    def _malformed(self, bad: Row, buffer: mmap) -> None:
        code, position, start, length = bad
        self.maker.bad(position, 0, layout.BAD_NAMES[code], buffer[start : start + length])

    def count(self) -> None:
        """Count packets by what became of them since the last time."""
        meter, maker = self.meter, self.maker
        packets = meter.control[layout.C_PACKETS]
        counters = {"packets": packets - self._seen}
        self._seen = packets
        for code, amount in meter.results().items():
            name = "packets_malformed" if code >= layout.BAD_LINK_SHORT else "packets_non_ip"
            if code != layout.OK:
                counters[name] = counters.get(name, 0) + amount
        for name, place in _EXTRA:
            counters[name] = meter.take(place)
        if self._applications is not None:
            counters["streams_given_up"], self._applications.given_up = self._applications.given_up, 0
        maker.count_all({name: amount for name, amount in counters.items() if amount})


def wants_applications(only: str) -> bool:
    """Tell whether any data set but flows is wanted."""
    wanted = [name for name in only.split(",") if name]
    return not wanted or any(name != DATASET for name in wanted)
