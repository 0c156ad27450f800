"""Collect packet captures: flows and application messages, each packet accounted for exactly once.

Counters: ``packets`` = ``packets_in_flows`` (added up from the flow records that were written) + ``packets_non_ip`` +
``packets_malformed``; besides ``packets_fragments``, ``packets_tunnelled``, ``flows_evicted`` and
``streams_given_up`` where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.base import Batch, ByteSource, ReadContext
from collectors.making import BatchMaker
from collectors.packets import layout
from collectors.packets.harvest import NAME, Harvest
from collectors.packets.machine import load_kernel
from collectors.packets.meter import Limits, Meter
from collectors.packets.reader import PCAPNG_MAGIC, CaptureReader, pcap_layout
from soc_core.model.event import make_source_identity


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
        limits = Limits()
        self._meter = Meter(kernel, limits)
        self._harvest = Harvest(self._meter, limits, self._maker)

    def batches(self) -> Iterator[Batch]:
        """Read to the end."""
        reader, meter, harvest = self._reader, self._meter, self._harvest
        for count in reader.chunks():
            if not harvest.begun and count:
                self._begin()
            for _ in meter.feed(reader, count):
                harvest.take(reader.buffer)
                yield from self._maker.ready()
            self._report_problems()
            self._maker.at(reader.position)
            harvest.count()
            yield from self._maker.ready()
        for _ in meter.flush():
            harvest.take(reader.buffer)
            yield from self._maker.ready()
        self._report_problems()
        harvest.count()
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
        self._harvest.begin(identity, context)

    def _report_problems(self) -> None:
        problems, self._reader.problems = self._reader.problems, []
        for problem in problems:
            self._maker.bad(problem.position, 0, problem.reason, problem.raw)
