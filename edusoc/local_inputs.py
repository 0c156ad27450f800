"""Run inputs inside a centre's own pipeline process (``edusoc run``): what they deliver goes straight into the store.

There is no spool and no uplink: the store's log is the log. Units are found as for an agent that may speak for the
unit of the installation and all below it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collectors.agent.configuration import Place, load_configuration, make_input
from collectors.agent.protecting import Protect, protect_of
from collectors.agent.supervisor import Supervisor
from collectors.base import Batch, ReadContext
from collectors.live.base import Origin
from collectors.uplink.pacing import Outside
from edusoc.options import said, say
from edusoc.pipelining import PipelineProcess
from intake.agents.model import Agent
from intake.agents.placing import Placer, covered_units
from intake.agents.receiving import MOST_KEPT_ASIDE
from intake.assigning import ResolverCache
from intake.keeping_aside import keep_aside
from soc_core.clock import Clock, format_instant, utc_now
from soc_core.model.event import BadRecord, Event
from soc_core.organisations.repository import TreeCache, load_tree, today

LOG: Final = logging.getLogger("edusoc.inputs")
LOCAL: Final = "local"
"""The id that events of such inputs bear in place of an agent's."""


class PipelineOutlet:
    """Place batches and give them to the pipeline (``collectors.live.base.Outlet``); threads may share it."""

    def __init__(self, process: PipelineProcess, place: Place, protect: Protect | None, clock: Clock) -> None:
        """Take the pipeline process, whose events these are (``place.organisation`` is a unit's code or id)."""
        self._process, self._place, self._protect, self._clock = process, place, protect, clock
        self._trees, self._plans = TreeCache(), ResolverCache()
        self._database = process.database
        with self._database.read() as connection:
            unit = load_tree(connection, today(clock())).find(place.organisation)
        self._agent = Agent(LOCAL, LOCAL, unit.id, place.zone, "", below=True)

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
        if good:
            self._process.intake.receiver.taken()

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
    try:
        yield supervisor
    finally:
        supervisor.stop()
