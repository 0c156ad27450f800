"""Run the uplink: send what the spool holds, urgent events first, a heartbeat each minute, whatever the link is like.

Nothing here gives up: a refused or lost request is tried again with growing pauses, for weeks if need be. Only what the
centre said is durable goes from the spool.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from collectors.agent.spool import Lane, Spool
from collectors.uplink.asking import Asker, RefusedError
from collectors.uplink.connection import LinkError
from collectors.uplink.cutting import Cut, Size, cut
from collectors.uplink.pacing import LONGEST_WAIT, Outside, Pauses, Plan, RateCap
from collectors.uplink.parcels import ParcelSender
from soc_core.clock import format_instant
from soc_core.errors import EdusocError, StoreError
from soc_core.uplink.answers import REVOKED, TOO_LARGE, UNKNOWN, Receipt
from soc_core.uplink.heartbeat import EVERY
from soc_core.uplink.wire import HEARTBEAT, RECORDS, encode_records

IDLE_SECONDS: Final = 1.0
_LOGGER: Final = logging.getLogger("edusoc.agent")
_NO_ANSWER: Final = frozenset({"link", "certificate", "proxy", "name", "answer"})
REFUSED_PAUSE: Final = 300.0
"""Seconds to wait when the centre doesn't know us (any more): only a person can change that."""


@dataclass(slots=True)
class LinkState:
    """Hold how the uplink is, for status and doctor. ``trouble`` is empty while all is well."""

    trouble: str = ""
    kind: str = ""
    since: str = ""
    last_success: str = ""
    requests: int = 0
    failures: int = 0
    bytes_sent: int = 0
    events_sent: int = 0
    seconds: float = 0.0
    """Processor seconds the uplink's thread took for packing and asking."""
    oversize: int = 0
    bad: int = 0
    """Events that the centre kept aside."""


class Listener(Protocol):
    """Be told what the uplink meets."""

    def heartbeat(self) -> bytes:
        """Return the body of a heartbeat."""
        ...

    def orders(self, texts: Sequence[str]) -> None:
        """Take orders; never raises."""
        ...

    def link_changed(self, state: LinkState) -> None:
        """Hear that the link began to fail or works again."""
        ...


class Sender:
    """Send until stopped; ``run`` is the whole life of its thread."""

    def __init__(self, spool: Spool, asker: Asker, plan: Plan, listener: Listener, outside: Outside) -> None:
        """Take the parts; ``asker`` is used from the thread of ``run`` only."""
        self._spool, self._asker, self._plan, self._listener = spool, asker, plan, listener
        self._outside = outside
        self.state = LinkState()
        self._cap = RateCap(plan.bytes_per_second, outside.monotonic)
        self._pauses = Pauses(outside.chance)
        self._heartbeat_pauses = Pauses(outside.chance, longest=EVERY.total_seconds())
        self._sizes = {lane.name: Size() for lane in spool.lanes}
        self._seen = dict[str, float]()
        self._passed = dict[str, tuple[int, int]]()
        self._agreed = set[str]()
        self._troubles = dict[bool, tuple[str, str]]()
        self._records_at = self._heartbeat_at = 0.0
        self.parcels = ParcelSender(asker, outside)
        self._stop = threading.Event()
        asker.rolled_back = self._begin_epochs

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set; then what is held stays in the spool."""
        self._stop = stop
        while not stop.is_set():
            self._spool.changed.clear()
            began = time.thread_time()
            worked = self._guarded()
            self.state.seconds += time.thread_time() - began
            if not worked:
                self._idle(stop)

    def _guarded(self) -> bool:
        """Do what is due; tell whether anything was. A surprise must not end the uplink for good."""
        try:
            beaten = self._heartbeat_if_due()
            sent = self._send_parcel()
            return self._send_if_due() or sent or beaten
        except Exception as error:  # the edge of a thread: a disk that can't be read, a fault of ours
            _LOGGER.debug("the uplink failed", exc_info=True)
            what = StoreError(f"the uplink failed: {type(error).__name__}: {error}")
            self._failed("unexpected", what, self._pauses.failed(), heartbeat=False)
            return False

    def _send_parcel(self) -> bool:
        """Send what one order asked for; tell whether it was."""
        found, lane = self.parcels.next(), self._spool.urgent
        if found is None or self._stop.wait(self._cap.take(len(found[1]))):
            return False
        receipt = self.parcels.send(*found, lane.cursor.epoch)
        if receipt is not None:
            self._listener.orders(receipt.orders)
        return receipt is not None

    def _idle(self, stop: threading.Event) -> None:
        """Wait for events, the next heartbeat or the end of a pause; a stop is noticed at once."""
        now = self._outside.monotonic()
        if self._records_at > now or self._seen:
            stop.wait(min(max(self._records_at - now, self._plan.age_seconds / 4), IDLE_SECONDS))
        else:
            self._spool.changed.wait(IDLE_SECONDS)

    def _begin_epochs(self) -> None:
        """Begin new epochs: the centre has seen numbers we don't know of, so this state is an old copy."""
        for lane in self._spool.lanes:
            lane.begin_epoch()

    def _heartbeat_if_due(self) -> bool:
        if self._outside.monotonic() < self._heartbeat_at:
            return False
        self._heartbeat_at = self._outside.monotonic() + EVERY.total_seconds()
        lane = self._spool.urgent
        receipt = self._ask(HEARTBEAT, lane, self._listener.heartbeat(), self._heartbeat_pauses)
        if receipt is None:
            return False
        self._agreed.add(lane.name)
        self._take(lane, receipt)
        return True

    def _agree(self, lane: Lane) -> bool:
        """Ask what the centre has of a lane before anything new goes; tell whether it answered.

        An old copy of this machine may have given offsets out that the centre has already: what stands at these now
        would be passed over there. Once something was sent, that can't be told any more.
        """
        receipt = self._ask(HEARTBEAT, lane, self._listener.heartbeat(), self._pauses)
        if receipt is None:
            self._records_at = max(self._records_at, self._heartbeat_at)
            return False
        self._agreed.add(lane.name)
        self._take(lane, receipt)
        return True

    def _send_if_due(self) -> bool:
        """Send one batch if there is one to send; tell whether it was."""
        now = self._outside.monotonic()
        if now < self._records_at:
            return False
        for lane in self._spool.lanes:
            if not lane.pending or not self._may_send(lane):
                continue
            size = self._sizes[lane.name]
            waits = now - self._seen.setdefault(lane.name, now) < self._plan.age_seconds
            if waits and lane.pending < size.events:
                continue
            if lane.name not in self._agreed:
                return self._agree(lane)
            del self._seen[lane.name]
            end = lane.reader.end_offset()  # as the cut sees it: the writer knows a little earlier
            batch = cut(lane.reader, lane.cursor.acknowledged, size)
            if batch.events:
                return self._send(lane, batch)
            # Nothing to send although something is pending: damage, or offsets of what was dropped.
            self._pass_over(lane, max(batch.end, end))
        return False

    def _may_send(self, lane: Lane) -> bool:
        local = self._outside.clock().astimezone(self._plan.zone)
        urgent = lane is self._spool.urgent and self._plan.urgent_always
        return urgent or self._plan.window.is_open(local)

    def _send(self, lane: Lane, batch: Cut) -> bool:
        body = encode_records(batch.items)
        if self._stop.wait(self._cap.take(len(body))):
            return False
        lane.sent = max(lane.sent, batch.end)  # whether or not the answer comes
        receipt = self._ask(RECORDS, lane, body, self._pauses, batch)
        if receipt is None:
            return self._records_at <= self._outside.monotonic()  # a smaller batch may be tried at once
        self.state.bytes_sent += len(body)
        self.state.events_sent += batch.events
        self.state.bad += receipt.bad
        self._sizes[lane.name].grow()
        self._take(lane, receipt)
        return True

    def _take(self, lane: Lane, receipt: Receipt) -> None:
        """Take what a receipt says."""
        if receipt.mark > lane.sent:
            lane.begin_epoch()  # the centre has more than we ever sent: our log is an old copy of itself
        else:
            # Below what was passed over by us the centre's mark counts: it may have lost some.
            begin, end = self._passed.get(lane.name, (0, 0))
            self._spool.acknowledge(lane, end if begin <= receipt.mark < end else receipt.mark)
        if receipt.orders:
            self._listener.orders(receipt.orders)

    def _ask(
        self, path: str, lane: Lane, body: bytes, pauses: Pauses, batch: Cut | None = None
    ) -> Receipt | None:
        """Ask; return ``None`` when it failed, the next time being set."""
        self.state.requests += 1
        try:
            receipt = self._asker.ask(path, lane.cursor.epoch, body)
        except RefusedError as error:
            self._refused(error, lane, batch, pauses)
        except LinkError as error:
            if batch is not None:
                self._sizes[lane.name].shrink()
            self._failed(error.kind, error, pauses.failed(), heartbeat=batch is None)
        except EdusocError as error:
            self._failed("answer", error, pauses.failed(), heartbeat=batch is None)
        else:
            pauses.worked()
            self._worked(heartbeat=batch is None)
            return receipt
        return None

    def _refused(self, error: RefusedError, lane: Lane, batch: Cut | None, pauses: Pauses) -> None:
        kind = error.refusal.kind
        if kind == TOO_LARGE and batch is not None:
            if batch.events > 1:
                self._sizes[lane.name].halve()
                return
            self.state.oversize += batch.events
            self._pass_over(lane, batch.end)
        pause = max(pauses.failed(), min(error.wait, LONGEST_WAIT))
        if kind in {REVOKED, UNKNOWN}:
            pause = max(pause, REFUSED_PAUSE * (0.5 + self._outside.chance() / 2))
        self._failed(kind, error, pause, heartbeat=batch is None)

    def _pass_over(self, lane: Lane, offset: int) -> None:
        """Give up what lies below ``offset``: damage, or an event too large for the centre, which sees the jump."""
        begin, end = self._passed.get(lane.name, (0, 0))
        start = lane.cursor.acknowledged
        self._passed[lane.name] = (begin if start == end else start, offset)
        self._spool.acknowledge(lane, offset)

    def _failed(self, kind: str, error: EdusocError, pause: float, *, heartbeat: bool) -> None:
        until = self._outside.monotonic() + pause
        if heartbeat:
            self._heartbeat_at = until
        else:
            self._records_at = until
        self.state.failures += 1
        self._troubles[heartbeat] = (kind, str(error))
        self._say()

    def _worked(self, *, heartbeat: bool) -> None:
        self.state.last_success = format_instant(self._outside.clock())
        self._troubles.pop(heartbeat, None)
        if heartbeat and self._troubles.get(False, ("", ""))[0] in _NO_ANSWER:
            self._records_at = 0.0  # the centre is there again: no need to wait out the pause
        self._say()

    def _say(self) -> None:
        """Keep what is wrong; say it when something begins to be wrong, and when nothing is any more.

        Records that are refused and heartbeats that pass must not take turns in that.
        """
        state, before = self.state, bool(self.state.trouble)
        state.kind, state.trouble = next(iter(self._troubles.values()), ("", ""))
        if bool(state.trouble) != before:
            state.since = format_instant(self._outside.clock()) if state.trouble else ""
            self._listener.link_changed(state)
