"""Meter the packets of an interface (Linux): flows and application messages as they happen (kind ``packets``).

Packets come through a ring shared with the kernel and are metered by the same machine code as capture files. What the
kernel had to drop is read from it and counted; nothing here waits for a slow disk longer than the ring lasts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from collectors.base import Batch
from collectors.live.base import Counters, Origin, Outlet
from collectors.live.options import Options
from collectors.making import BatchMaker
from collectors.packets.harvest import NAME, ONLY, Harvest
from collectors.packets.keeping import PacketKeep
from collectors.packets.machine import load_kernel
from collectors.packets.meter import Limits, Meter
from soc_core.clock import epoch_us
from soc_core.errors import StoreError, UsageError
from soc_core.model.event import make_source_identity

if sys.platform != "win32":
    from collectors.packets.ring import PacketRing

assert sys.platform != "win32"  # noqa: S101 - the type checker is told; the registry of inputs says it to people

_WAIT: Final = 0.2
_TICK: Final = 1.0
_AGAIN: Final = 0.2
_LEAST_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the settings of one interface; ``only`` names data sets, ``keep_megabytes`` 0 keeps no packets."""

    interface: str
    ring_megabytes: int = 64
    promiscuous: bool = True
    only: str = ""
    flows: int = 1 << 16
    keep_megabytes: int = 0
    keep_directory: Path | None = None


class CaptureInput:
    """Meter one interface."""

    kind = "packets"

    def __init__(self, name: str, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the configured name and settings."""
        self.name = name
        self.counters = Counters()
        self.keep: PacketKeep | None = None
        self.settings = settings
        self.clock = clock
        self._epoch = os.urandom(16)

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Meter until ``stop``, then end all flows and deliver them."""
        settings = self.settings
        kernel = load_kernel()
        ring = PacketRing(
            settings.interface,
            kernel,
            megabytes=settings.ring_megabytes,
            promiscuous=settings.promiscuous,
        )
        if settings.keep_megabytes and settings.keep_directory is not None:
            budget = settings.keep_megabytes << 20
            self.keep = PacketKeep(settings.keep_directory, kernel, budget=budget)
        try:
            _Running(self, ring, outlet, self._epoch).run(stop)
        except OSError as error:
            where = settings.interface
            raise UsageError(
                f"the interface went away: {error.strerror or error}",
                where=where,
                todo="it is tried again by itself",
            ) from error
        finally:
            ring.close()
            if self.keep is not None:
                self.keep.close()


class _Running:
    """Hold one run: from opening the interface to losing it or to the end."""

    def __init__(self, owner: CaptureInput, ring: PacketRing, outlet: Outlet, epoch: bytes) -> None:
        self._owner, self._ring, self._outlet = owner, ring, outlet
        self._origin = Origin(owner.name, waits=False)
        limits = Limits(flows=owner.settings.flows)
        self._meter = Meter(load_kernel(), limits)
        self._maker = BatchMaker(owner.name)
        self._harvest = Harvest(self._meter, limits, self._maker)
        context = outlet.context(self._origin)
        if owner.settings.only:
            context = replace(context, options={**context.options, ONLY: owner.settings.only})
        # Positions begin anew with each ring: what was opened when tells runs apart.
        run = epoch + epoch_us(context.reference).to_bytes(8, "big") + os.urandom(8)
        identity = make_source_identity(context.organization_id, context.zone, NAME, run)
        self._harvest.begin(identity, context)
        self._words = memoryview(ring.index).cast("q")

    def run(self, stop: threading.Event) -> None:
        owner, ring, meter, harvest = self._owner, self._ring, self._meter, self._harvest
        ticked = delivered = owner.clock()
        while not stop.is_set():
            for count in ring.chunks(_WAIT):
                if owner.keep is not None:
                    owner.keep.write(ring, self._words, count)
                for _ in meter.feed(ring, count):
                    harvest.take(ring.buffer)
            now = owner.clock()
            if now - ticked >= _TICK:
                ticked = now
                self._tick()
            if now - delivered >= _WAIT:
                delivered = now
                self._maker.cut()
            self._deliver(stop)
        for _ in meter.flush():
            harvest.take(ring.buffer)
        self._tick()
        self._maker.cut()
        self._deliver(stop)

    def _tick(self) -> None:
        """End idle flows by the clock, count, and ask the kernel what it dropped."""
        now = epoch_us(self._outlet.context(self._origin).reference)
        for _ in self._meter.tick(now):
            self._harvest.take(self._ring.buffer)
        self._harvest.count()
        counters, found = self._owner.counters, self._ring.statistics()
        counters.add("received", found.packets - found.dropped if found.packets >= found.dropped else 0)
        if found.dropped:
            counters.add("dropped", found.dropped)
        if found.frozen:
            counters.add("ring_full", found.frozen)
        keep = self._owner.keep
        if keep is not None and keep.failed:
            counters.add("keep_failed", keep.failed)
            keep.failed = 0

    def _deliver(self, stop: threading.Event) -> None:
        """Deliver what is ready; what can't be stored is tried again, and the kernel drops what the ring can't hold."""
        for batch in self._maker.ready():
            while not self._taken(batch):
                if stop.wait(_AGAIN):
                    self._owner.counters.add("lost", len(batch.events))
                    break

    def _taken(self, batch: Batch) -> bool:
        try:
            self._outlet.deliver(batch, self._origin)
        except StoreError:
            return False
        counters = self._owner.counters
        counters.add("delivered", len(batch.events))
        counters.add("bad", len(batch.bad))
        for name, amount in batch.counters.items():
            counters.add(name, amount)
        return True


def build(name: str, options: Options) -> CaptureInput:
    """Return the input of a configuration's table."""
    kept = options.number("keep_megabytes", 0, most=1 << 30)
    folder = options.text("keep_directory", "")
    if 0 < kept < _LEAST_KEPT:
        todo = f"write 0, or a whole number from {_LEAST_KEPT}"
        raise options.fault("keep_megabytes", "is not a number that fits", todo)
    directory = Path(folder).expanduser() if folder or not kept else options.memory() / "packets" / name
    settings = Settings(
        interface=options.text("interface"),
        ring_megabytes=options.number("ring_megabytes", 64, least=2, most=4_096),
        promiscuous=options.flag("promiscuous", True),
        only=",".join(options.texts("only")),
        flows=options.number("flows", 1 << 16, least=1_024, most=1 << 22),
        keep_megabytes=kept,
        keep_directory=directory if kept else None,
    )
    options.done()
    return CaptureInput(name, settings)
