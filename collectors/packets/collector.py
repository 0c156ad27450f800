"""Collect packet captures: flows and application messages, each packet accounted for exactly once.

Counters: ``packets`` = ``packets_in_flows`` (added up from the flow records that were written) + ``packets_non_ip`` +
``packets_malformed``; besides ``packets_fragments``, ``packets_tunnelled``, ``flows_evicted`` and
``streams_given_up`` where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.making import BatchMaker
from collectors.packets import layout
from collectors.packets.flows import DATASET, FlowWriter, place_fields
from collectors.packets.machine import load_kernel
from collectors.packets.meter import Limits, Meter, Row
from collectors.packets.reader import PCAPNG_MAGIC, CaptureReader, pcap_layout
from soc_core.model.event import Event, make_source_identity

if TYPE_CHECKING:
    from collectors.packets.applications import Applications

NAME: Final = "packets"
ONLY: Final = "only"
"""Option: data sets wanted, separated by commas. Where no application is among them, nothing is dissected."""


class PacketsCollector:
    """Read pcap and pcapng."""

    name: str = NAME
    datasets: tuple[str, ...] = tuple(
        f"packets.{part}" for part in ("flow", "dns", "tls", "http", "ssh", "smb")
    )

    def recognise(self, head: bytes, name: str, /) -> int:
        """Return 100 for a capture's magic number."""
        del name
        return 100 if head.startswith(PCAPNG_MAGIC) or pcap_layout(head) is not None else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield flows and application events; see ``Collector.read``."""
        yield from _Reading(source, context).batches()


class _Reading:
    """Hold the state of one reading of one capture."""

    def __init__(self, source: ByteSource, context: ReadContext) -> None:
        kernel = load_kernel()
        self._context = context
        self._maker = BatchMaker(source.name)
        self._reader = CaptureReader(source, kernel)
        self._limits = Limits()
        self._meter = Meter(kernel, self._limits)
        self._writer: FlowWriter | None = None
        self._applications: Applications | None = None
        self._seen = 0

    def batches(self) -> Iterator[Batch]:
        """Read to the end."""
        reader, meter = self._reader, self._meter
        for count in reader.chunks():
            if self._writer is None and count:
                self._begin()
            for _ in meter.feed(reader, count):
                self._take()
                yield from self._maker.ready()
            self._report_problems()
            self._maker.at(reader.position)
            self._count()
            yield from self._maker.ready()
        for _ in meter.flush():
            self._take()
            yield from self._maker.ready()
        self._report_problems()
        self._count()
        yield from self._maker.rest()

    def _begin(self) -> None:
        """Name the source by its first packet, before any event is made."""
        index = memoryview(self._reader.index).cast("q")
        start, length = index[layout.IX_OFFSET], index[layout.IX_CAPTURED]
        first = (
            index[layout.IX_TIME].to_bytes(8, "big", signed=True)
            + self._reader.buffer[start : start + length]
        )
        context = self._context
        identity = make_source_identity(context.organization_id, context.zone, NAME, first)
        place = place_fields(context.organization_id, context.zone)
        self._meter.identify(identity)
        self._writer = FlowWriter(context.created_text, place)
        fixed: Event = {
            "event.kind": "event",
            "event.category": ["network"],
            "event.type": ["protocol"],
            "event.module": NAME,
            "event.created": context.created_text,
            **place,
        }
        if _wants_applications(context.options.get(ONLY, "")):
            from collectors.packets.applications import Applications  # noqa: PLC0415 - brings all dissectors

            self._applications = Applications(self._meter, identity, fixed, self._limits.reassembly)

    def _take(self) -> None:
        """Turn what the kernel wrote into events and bad records."""
        meter, maker, writer = self._meter, self._maker, self._writer
        ended = meter.ended()
        if writer is None:
            return
        applications = self._applications
        if applications is not None:
            maker.add_all(applications.take(meter.items(), self._reader.buffer, ended))
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
            self._malformed(bad)

    def _malformed(self, bad: Row) -> None:
        code, position, start, length = bad
        raw = self._reader.buffer[start : start + length]
        self._maker.bad(position, 0, layout.BAD_NAMES[code], raw)

    def _report_problems(self) -> None:
        problems, self._reader.problems = self._reader.problems, []
        for problem in problems:
            self._maker.bad(problem.position, 0, problem.reason, problem.raw)

    def _count(self) -> None:
        meter, maker = self._meter, self._maker
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


_EXTRA: Final = (
    ("packets_fragments", layout.C_FRAGMENTS),
    ("packets_tunnelled", layout.C_TUNNELLED),
    ("flows_evicted", layout.C_EVICTED),
)


def _wants_applications(only: str) -> bool:
    wanted = [name for name in only.split(",") if name]
    return not wanted or any(name != DATASET for name in wanted)
