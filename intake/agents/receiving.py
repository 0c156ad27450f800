"""Take what agents send: records and heartbeats.

Order of deeds, so that each event is stored exactly once wherever the process dies: the events are durable (their ids
make a second time harmless), then the mark of the epoch, then the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from intake.agents import ordering, repository
from intake.agents.admission import Admitted
from intake.agents.model import Agent, Gap
from intake.agents.placing import FOREIGN, Placer, covered_units
from intake.agents.quotas import Quotas
from intake.agents.shelf import Shelf
from intake.agents.watching import Noticed, take_beat
from intake.assigning import ResolverCache
from intake.health import Finding, Findings
from intake.keeping_aside import keep_aside
from intake.pipeline import Pipeline
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.model.event import BadRecord, Event
from soc_core.organisations.repository import TreeCache, today
from soc_core.state.database import Database
from soc_core.store.shape import encode_line
from soc_core.uplink.answers import Receipt
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.wire import Run, decode_records

FOREIGN_UNIT: Final = "agent_foreign_unit"
GAP: Final = "agent_gap"
MOST_KEPT_ASIDE: Final = 2_000
"""Bad events of one agent that are kept a day; all are counted."""


@dataclass(slots=True)
class _Sorted:
    """Hold the events of a batch: those to store with their offsets, those that can't be.

    ``begun`` tells whether the life of the log has a mark by now.
    """

    good: list[Event]
    offsets: list[int]
    bad: list[BadRecord]
    gaps: list[Gap]
    mark: int
    begun: bool = True


class Receiver:
    """Take records and heartbeats of admitted agents; threads may share it."""

    def __init__(
        self,
        pipeline: Pipeline,
        database: Database,
        findings: Findings,
        quotas: Quotas,
        clock: Clock,
    ) -> None:
        """Take the pipeline, where agents are kept, where trouble is told, and what is sent is counted."""
        self._pipeline = pipeline
        self._database = database
        self._findings = findings
        self._quotas = quotas
        self._clock = clock
        self._trees = TreeCache()
        self._plans = ResolverCache()
        self._kept: dict[tuple[str, str], int] = {}
        self.shelf: Shelf | None = None
        """Where packets that orders asked for are kept; without one they are refused."""
        self.taken: Callable[[], None] = lambda: None
        """Called after events were stored: there is something to detect."""

    def records(self, admitted: Admitted, body: bytes) -> Receipt:
        """Store the events of a body and return what is durable now.

        Raises ``InputError`` for a body that can't be read, ``StoreError`` when nothing could be stored.
        """
        agent, now = admitted.agent, self._clock()
        runs = decode_records(body)
        with self._database.read() as connection:
            mark = repository.mark_of(connection, agent.id, admitted.epoch)
            tree = self._trees.current(connection, today(now))
            placer = Placer(agent, covered_units(agent, tree), self._plans.current(connection), tree, now)
        # A life begins with what the agent still has: what lies before is no gap.
        begin = mark if mark is not None else runs[0].start if runs else 0
        found = self._sort(admitted, runs, begin, placer)
        found.begun = mark is not None or bool(runs)
        accepted = duplicates = 0
        if found.good:
            ack = self._pipeline.take_placed(found.good)
            accepted, duplicates = ack.accepted, ack.duplicates
            for fault in ack.rejected:
                at = found.offsets[fault.position]
                found.bad.append(BadRecord(_source(admitted), at, 0, fault.reason, fault.raw))
        ordering.take_results(self._database, agent, found.good, now)
        sizes = {"accepted": accepted, "duplicates": duplicates, "bad": len(found.bad)}
        orders = self._remember(admitted, found, placer, sizes, len(body))
        self._quotas.spend(agent, len(found.good) + len(found.bad), now)
        self._tell(admitted, found, placer)
        self.taken()
        return Receipt(found.mark, format_instant(self._clock()), orders, len(found.bad))

    def heartbeat(self, admitted: Admitted, body: bytes) -> Receipt:
        """Note how an agent is. Raises ``InputError`` for a body that can't be read."""
        beat, now = Heartbeat.decode(body), self._clock()
        agent = admitted.agent
        with self._database.write() as connection:
            repository.set_seen(connection, agent.id, _seen(admitted, now))
            noticed = take_beat(connection, agent, beat, admitted.skew_ms, now)
            receipt = _receipt(connection, admitted, now)
        self._noticed(noticed)
        return receipt

    def own_heartbeat(self, agent_id: str, beat: Heartbeat) -> None:
        """Note how the inputs of this very process are, whose agent ``repository.put_local`` made."""
        now = self._clock()
        with self._database.write() as connection:
            agent = repository.need_agent(connection, agent_id)
            repository.set_seen(connection, agent.id, {"last_seen_at": format_instant(now)})
            noticed = take_beat(connection, agent, beat, 0, now)
        self._noticed(noticed)

    def _noticed(self, noticed: Noticed) -> None:
        if noticed.event is not None:
            self._pipeline.take_placed([noticed.event])
        for finding in noticed.findings:
            self._findings.report(finding)
        self.taken()

    def packets(self, number: int, admitted: Admitted, body: bytes) -> Receipt:
        """Keep the packets that the order ``number`` asked for. Raises ``InputError`` for any other."""
        agent, now = admitted.agent, self._clock()
        if self.shelf is None:
            raise StoreError("this centre keeps no packets")
        with self._database.read() as connection:
            self.shelf.take(connection, agent.id, number, body)
        with self._database.write() as connection:
            repository.set_seen(connection, agent.id, _seen(admitted, now))
            return _receipt(connection, admitted, now)

    def _sort(self, admitted: Admitted, runs: Sequence[Run], mark: int, placer: Placer) -> _Sorted:
        """Pass over what lies below the mark; place the rest."""
        found = _Sorted([], [], [], [], mark)
        source, at = _source(admitted), format_instant(placer.now)
        for run in runs:
            part = run.after(found.mark)
            if not part.events:
                continue
            if part.start > found.mark:
                found.gaps.append(Gap(admitted.epoch, found.mark, part.start, at))
            for offset, event in enumerate(part.events, start=part.start):
                if isinstance(event, bytes):
                    found.bad.append(BadRecord(source, offset, 0, "no JSON object", event))
                elif fault := placer.place(event):
                    found.bad.append(BadRecord(source, offset, 0, fault, encode_line(event)[:4_096]))
                else:
                    found.good.append(event)
                    found.offsets.append(offset)
            found.mark = part.end
        return found

    def _remember(
        self, admitted: Admitted, found: _Sorted, placer: Placer, sizes: dict[str, int], size: int
    ) -> list[str]:
        """Move the mark with all that belongs to it, in one transaction; return the orders that wait."""
        agent, now = admitted.agent, placer.now
        with self._database.write() as connection:
            kept = found.bad[: self._room_aside(agent, len(found.bad), now)]
            keep_aside(connection, kept, agent.organization_id, format_instant(now))
            repository.add_gaps(connection, agent.id, found.gaps)
            if found.begun:
                repository.set_mark(connection, agent.id, admitted.epoch, found.mark, now=now)
            repository.count_senders(connection, agent.id, placer.senders, now=now)
            seen = {**_seen(admitted, now), **_sent(agent, size, now)}
            repository.set_seen(connection, agent.id, seen, **sizes)
            return ordering.deliver(connection, agent.id, now)

    def _room_aside(self, agent: Agent, wanted: int, now: datetime) -> int:
        """Return how many bad events may still be kept today, at most ``wanted``, and count them as kept."""
        day = now.strftime("%Y%m%d")
        if any(known != day for _agent, known in self._kept):
            self._kept = {}
        held = self._kept.get((agent.id, day), 0)
        room = min(wanted, max(0, MOST_KEPT_ASIDE - held))
        self._kept[agent.id, day] = held + room
        return room

    def _tell(self, admitted: Admitted, found: _Sorted, placer: Placer) -> None:
        agent = admitted.agent
        if placer.foreign:
            events = sum(placer.foreign.values())
            named = ", ".join(sorted(placer.foreign)[:5])
            self._report(agent, FOREIGN_UNIT, f"{FOREIGN}: {named}", admitted.address, events)
        if found.gaps:
            events = sum(gap.end - gap.start for gap in found.gaps)
            self._report(agent, GAP, "the agent's log passed over some records", admitted.address, events)

    def _report(self, agent: Agent, action: str, reason: str, address: str, count: int) -> None:
        finding = Finding(
            action=action,
            organization_id=agent.organization_id,
            subject=agent.id,
            zone=agent.zone,
            agent_name=agent.name,
            address=address,
            reason=reason,
            values={"count": count},
        )
        self._findings.report(finding)


def _receipt(connection: Connection, admitted: Admitted, now: datetime) -> Receipt:
    """Return the answer to a request that brought no records: the mark as it is, and the orders that wait."""
    mark = repository.mark_of(connection, admitted.agent.id, admitted.epoch) or 0
    return Receipt(mark, format_instant(now), ordering.deliver(connection, admitted.agent.id, now))


def _source(admitted: Admitted) -> str:
    return f"agent/{admitted.agent.id}/{admitted.epoch}"


def _seen(admitted: Admitted, now: datetime) -> dict[str, object]:
    return {
        "last_seen_at": format_instant(now),
        "last_address": admitted.address[:45],
        "clock_offset_ms": admitted.skew_ms,
    }


def _sent(agent: Agent, size: int, now: datetime) -> dict[str, object]:
    day = now.strftime("%Y%m%d")
    return {"day": day, "day_bytes": size + (agent.day_bytes if agent.day == day else 0)}
