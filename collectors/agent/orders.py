"""Take the centre's orders: check each, journal it, run it at most once, answer with an event (``edusoc.order``).

Refused is what isn't signed by our centre, is meant for another agent, is too old by the centre's clock, has a number
that doesn't rise, or what this site doesn't consent to. An order that a crash interrupted is never run again: it is
answered as interrupted.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import orjson

from soc_core.clock import format_instant
from soc_core.errors import EdusocError, InputError, StoreError
from soc_core.keys.signing import PublicKey
from soc_core.log import LogReader, LogWriter
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, make_event_id, make_source_identity
from soc_core.uplink.orders import Order, read_order

_LOGGER: Final = logging.getLogger("edusoc.agent")
ANSWER: Final = "edusoc.order"
NUMBER: Final = "edusoc.order.number"
SUCCESS: Final = "success"
FAILURE: Final = "failure"
MOST_WAITING: Final = 100
_MOST_JOURNAL: Final = 4 << 20
_JOURNAL_FILE: Final = 1 << 20
_MOST_STRANGE: Final = 200
_REASON_KEPT: Final = 1_000


class Handler(Protocol):
    """Run orders of one kind."""

    def run(self, order: Order) -> str:
        """Do what is ordered and return a few words about it. Raises ``EdusocError`` when it was not done."""
        ...

    def interrupted(self, order: Order) -> str:
        """Bring back order after a crash in the middle of ``run``; return a few words about it."""
        ...


@dataclass(frozen=True, slots=True)
class Addressee:
    """Say who takes orders, whose events the answers are, and to which kinds this site consents."""

    agent: str
    key: PublicKey
    consent: Mapping[str, bool]
    organization_id: str = ""
    zone: str = "default"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how an order ended: ``success`` or ``failure``, why or with what, and when."""

    outcome: str
    reason: str
    time: str


class Journal:
    """Remember orders durably: begun, done, told. For one thread."""

    def __init__(self, directory: Path) -> None:
        """Read what is there."""
        self._log = LogWriter(directory, max_file=_JOURNAL_FILE, reserve=0)
        self.begun: dict[int, str] = {}
        self.done: dict[int, tuple[str, Outcome]] = {}
        self.known: set[int] = set()
        self.highest = 0
        reader = LogReader(directory)
        for record in reader.records(reader.start_offset()):
            self._take(orjson.loads(record.payload))

    def _take(self, row: Mapping[str, str | int]) -> None:
        number, step, kind = int(row["number"]), row["step"], str(row.get("kind", ""))
        self.known.add(number)
        self.highest = max(self.highest, number)
        if step == "begun":
            self.begun[number] = str(row["text"])
        elif step == "done":
            self.begun.pop(number, None)
            outcome = Outcome(str(row["outcome"]), str(row["reason"]), str(row["time"]))
            self.done[number] = (kind, outcome)
        else:
            self.done.pop(number, None)

    def note(self, number: int, step: str, **rest: str) -> None:
        """Write a step durably. Raises ``StoreError`` when it can't be written: then it didn't happen."""
        row: dict[str, str | int] = {"number": number, "step": step, **rest}
        self._log.append(orjson.dumps(row))
        self._take(row)
        if self._log.size > _MOST_JOURNAL and not self.begun and not self.done:
            self._log.drop_below(self._log.end_offset)

    def close(self) -> None:
        """Close the files."""
        self._log.close()


class OrderDesk:
    """Take orders and run them one after another in a thread of its own."""

    def __init__(
        self,
        directory: Path,
        addressee: Addressee,
        handlers: Mapping[str, Handler],
        now: Callable[[], datetime],
        answer: Callable[[Event], bool],
    ) -> None:
        """Take where the journal is, who we are, what runs orders, the centre's time, and who takes answers.

        ``answer`` stores an event durably and tells whether it could.
        """
        self._journal = Journal(directory)
        self._addressee, self._handlers, self._now, self._answer = addressee, handlers, now, answer
        self._waiting: queue.Queue[str] = queue.Queue(MOST_WAITING)
        self._strange: dict[str, None] = {}
        self.refused = 0

    @property
    def highest(self) -> int:
        """Return the highest number seen."""
        return self._journal.highest

    def take(self, texts: Sequence[str]) -> None:
        """Queue orders; what finds no room comes again with the next answer."""
        for text in texts:
            try:
                self._waiting.put_nowait(text)
            except queue.Full:
                return

    def run(self, stop: threading.Event) -> None:
        """Answer what a crash left open, then run orders as they come, until stopped."""
        self.recover()
        while not stop.is_set():
            try:
                text = self._waiting.get(timeout=0.5)
            except queue.Empty:
                self._tell_all()
                continue
            try:
                self.handle(text)
            except Exception:  # the edge of a thread: the next order must be heard all the same
                _LOGGER.exception("an order could not be handled")

    def recover(self) -> None:
        """Answer orders that a crash interrupted or whose answer it swallowed."""
        for number, text in list(self._journal.begun.items()):
            try:
                order = read_order(text, self._addressee.key)
                words = self._handlers[order.kind].interrupted(order)
                self._finish(order, FAILURE, f"interrupted: {words}")
            except EdusocError as error:
                self._journal.note(
                    number, "done", kind="", outcome=FAILURE, reason=str(error), time=self._time()
                )
        self._tell_all()

    def handle(self, text: str) -> None:
        """Check one order and run it if it may be run."""
        try:
            order = read_order(text, self._addressee.key)
            if order.agent != self._addressee.agent:
                raise InputError("an order for another agent", where=f"order {order.number}")
        except InputError as error:
            self._refuse_strange(text, error)
            return
        if order.number in self._journal.known:
            return
        try:
            refusal = self._refusal(order)
            if refusal:
                self.refused += 1
                self._finish(order, FAILURE, f"refused: {refusal}")
            else:
                self._journal.note(order.number, "begun", text=text)
                self._finish(order, *self._run(order))
        except StoreError:
            return  # it can't be kept now: it comes again
        self._tell_all()

    def _refusal(self, order: Order) -> str:
        if order.number <= self._journal.highest:
            return "its number does not rise"
        if order.expired(self._now()):
            return f"it expired at {order.expires}"
        if not self._addressee.consent.get(order.kind, False):
            return f"this site does not consent to orders of the kind '{order.kind}'"
        return ""

    def _run(self, order: Order) -> tuple[str, str]:
        try:
            return SUCCESS, self._handlers[order.kind].run(order)
        except EdusocError as error:
            return FAILURE, str(error)
        except Exception as error:  # noqa: BLE001 - plugin edge: whatever it is, the centre gets an answer
            return FAILURE, f"the order failed: {type(error).__name__}: {error}"

    def _finish(self, order: Order, outcome: str, reason: str) -> None:
        kept = reason[:_REASON_KEPT].encode("utf-8", "backslashreplace").decode()
        self._journal.note(
            order.number, "done", kind=order.kind, outcome=outcome, reason=kept, time=self._time()
        )

    def _tell_all(self) -> None:
        """Store the answers that are not stored yet; what fails is tried again."""
        for number, (kind, outcome) in list(self._journal.done.items()):
            if not self._answer(self._event(number, kind, outcome)):
                return
            try:
                self._journal.note(number, "told")
            except StoreError:
                return

    def _refuse_strange(self, text: str, error: InputError) -> None:
        """Answer once what can't be an order of our centre for us; it is neither journaled nor run."""
        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
        if digest in self._strange:
            return
        self.refused += 1
        if len(self._strange) >= _MOST_STRANGE:
            self._strange.pop(next(iter(self._strange)))
        self._strange[digest] = None
        self._answer(self._event(0, "", Outcome(FAILURE, f"refused: {error.what}", self._time()), digest))

    def _time(self) -> str:
        return format_instant(self._now())

    def _event(self, number: int, kind: str, outcome: Outcome, digest: str = "") -> Event:
        who = self._addressee
        identity = make_source_identity(who.organization_id, who.zone, ANSWER, who.agent.encode())
        event: Event = {
            TIMESTAMP: outcome.time,
            EVENT_ID: make_event_id(outcome.time, identity, number, f"{digest}{outcome.outcome}".encode()),
            DATASET: ANSWER,
            "event.kind": "event",
            "event.category": ["configuration"],
            "event.type": ["denied" if outcome.reason.startswith("refused: ") else "info"],
            "event.module": "edusoc",
            "event.action": f"order-{kind}" if kind else "order",
            "event.outcome": outcome.outcome,
            "event.reason": outcome.reason,
            NUMBER: number,
            "event.created": outcome.time,
            "agent.id": who.agent,
        }
        if who.organization_id:
            event["organization.id"], event["edusoc.zone"] = who.organization_id, who.zone
        return event

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
