"""Run inputs inside a centre's own pipeline process (``edusoc run``): what they deliver goes straight into the store.

There is no spool and no uplink: the store's log is the log. Units are found as for an agent that may speak for the
unit of the installation and all below it.
"""

from __future__ import annotations

import logging
import platform
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collectors.agent.agent import program_version
from collectors.agent.configuration import Place, load_configuration, make_input
from collectors.agent.outlet import CountingOutlet
from collectors.agent.protecting import Protect, protect_of
from collectors.agent.status import source_state
from collectors.agent.supervisor import Runner, Supervisor
from collectors.base import Batch, ReadContext
from collectors.live.base import Origin
from collectors.uplink.pacing import Outside
from edusoc.options import said, say
from edusoc.pipelining import PipelineProcess
from intake.agents.model import Agent
from intake.agents.placing import Placer, covered_units
from intake.agents.receiving import MOST_KEPT_ASIDE
from intake.agents.repository import put_local
from intake.assigning import ResolverCache
from intake.keeping_aside import keep_aside
from soc_core.clock import Clock, format_instant, utc_now
from soc_core.errors import StoreError
from soc_core.model.event import BadRecord, Event
from soc_core.organisations.repository import TreeCache, load_tree, today
from soc_core.system import memory_bytes
from soc_core.uplink.heartbeat import EVERY, Heartbeat

LOG: Final = logging.getLogger("edusoc.inputs")
LOCAL: Final = "local"
"""The id that events of such inputs bear in place of an agent's."""


class PipelineOutlet(CountingOutlet):
    """Place batches and give them to the pipeline (``collectors.live.base.Outlet``); threads may share it."""

    def __init__(self, process: PipelineProcess, place: Place, protect: Protect | None, clock: Clock) -> None:
        """Take the pipeline process, whose events these are (``place.organisation`` is a unit's code or id)."""
        super().__init__()
        self._process, self._place, self._protect, self._clock = process, place, protect, clock
        self._trees, self._plans = TreeCache(), ResolverCache()
        self._database = process.database
        with self._database.read() as connection:
            unit = load_tree(connection, today(clock())).find(place.organisation)
        version, system = program_version(), platform.platform()
        self._agent = Agent(
            LOCAL, LOCAL, unit.id, place.zone, "", below=True, version=version, platform=system
        )
        self._started = format_instant(clock())
        with self._database.write() as connection:
            put_local(connection, self._agent, now=clock())

    def deliver(self, batch: Batch, origin: Origin) -> None:
        """Store the batch durably; raises ``StoreError`` when the store refuses: the input tries again or says so."""
        if self._protect is not None:
            self._protect(batch)
        bad, now = list(batch.bad), self._clock()
        good = self._placed(batch, origin, bad)
        if good:
            ack = self._process.pipeline.take_placed(good)
            bad += ack.rejected
        if bad:
            with self._database.write() as connection:
                keep_aside(
                    connection, bad[:MOST_KEPT_ASIDE], self._agent.organization_id, format_instant(now)
                )
        told = self.delivered(origin.source)
        told.counters.add("stored", len(good))
        told.counters.add("kept_aside", len(bad))
        told.last = format_instant(now)
        if good:
            self._process.intake.receiver.taken()

    def beat(self, runners: Sequence[Runner]) -> None:
        """Note how the inputs are, as an agent's heartbeat would: silence and drops are then told alike."""
        disk = shutil.disk_usage(self._process.settings.state_directory)
        beat = Heartbeat(
            started=self._started,
            version=self._agent.version,
            platform=self._agent.platform,
            disk_free=disk.free,
            disk_total=disk.total,
            memory=memory_bytes(),
            sources=[source_state(runner, self, {}) for runner in runners],
        )
        try:
            self._process.intake.receiver.own_heartbeat(LOCAL, beat)
        except StoreError as error:
            LOG.warning("%s", said(str(error)))

    def _placed(self, batch: Batch, origin: Origin, bad: list[BadRecord]) -> list[Event]:
        """Return the events that may be stored, each with its unit; the others are added to ``bad``."""
        with self._database.read() as connection:
            tree = self._trees.current(connection, today(self._clock()))
            plan = self._plans.current(connection)
        placer = Placer(self._agent, covered_units(self._agent, tree), plan, tree, self._clock())
        good = []
        for number, event in enumerate(batch.events):
            event.setdefault("edusoc.source", origin.source)
            fault = placer.place(event)
            if fault:
                raw = str(event.get("event.original", "")).encode("utf-8", "backslashreplace")
                bad.append(BadRecord(origin.source, batch.position + number, 0, fault, raw))
            else:
                good.append(event)
        return good

    def context(self, origin: Origin) -> ReadContext:  # noqa: ARG002 - the unit is found by what the record says
        """Return the context for parsing what arrives now."""
        now, place = self._clock(), self._place
        return ReadContext(
            reference=now,
            organization_id=self._agent.organization_id,
            zone=place.zone,
            zone_info=place.time_zone,
            keep_original=place.keep_original,
            created=now,
        )


@contextmanager
def running(path: Path, process: PipelineProcess, clock: Clock = utc_now) -> Iterator[Supervisor]:
    """Run the inputs of a configuration beside the pipeline; raise ``UsageError`` when it is wrong."""
    configuration = load_configuration(path)
    outlet = PipelineOutlet(process, configuration.place, protect_of(configuration), clock)
    state = configuration.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)

    def tell(name: str, fault: str) -> None:
        key = "input_failed" if fault else "input_runs"
        LOG.warning("%s", say(f"edusoc.collect.told.{key}", name=name, reason=said(fault)))

    supervisor = Supervisor(outlet, lambda settings: make_input(settings, state), Outside(clock), tell)
    supervisor.apply(configuration.inputs)
    ended = threading.Event()

    def beat_on() -> None:
        outlet.beat(supervisor.runners)
        while not ended.wait(EVERY.total_seconds()):
            outlet.beat(supervisor.runners)

    beating = threading.Thread(target=beat_on, name="edusoc-heartbeat", daemon=True)
    beating.start()
    try:
        yield supervisor
    finally:
        ended.set()
        beating.join()
        outlet.beat(supervisor.runners)
        supervisor.stop()
