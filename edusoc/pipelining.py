"""Run the pipeline role: the one process that writes events. Agents speak to it; it detects, seals and maintains.

Three threads work beside the listener: one detects (what came, then windows that are due), one searches history for
new indicators, one looks after everything else.
What must happen at a time is a row of the table of jobs; the pauses here only say how often to look.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

from edusoc.bulk import BulkMemory
from edusoc.composition import Writer, open_hunter, open_writer
from edusoc.deadman import DeadMansSwitch
from edusoc.forwarding import ParentLink
from edusoc.identity import intake_identity, order_key
from edusoc.maintenance import maintain
from intake.agents.enrolling import Trust
from intake.agents.quotas import Quota
from intake.agents.service import Intake
from intake.agents.shelf import Shelf
from intake.pipeline import Pipeline
from intake.rules.counting import prune
from soc_api.agents.intake_app import create_intake_app
from soc_api.agents.listening import MOST_CONNECTIONS, IntakeServer
from soc_core.clock import Clock, utc_now
from soc_core.config import Settings
from soc_core.errors import StoreError
from soc_core.keys.certificates import ServerIdentity
from soc_core.keys.store import KeyStore
from soc_core.state.database import Database

LOG: Final = logging.getLogger("edusoc.pipeline")
LOOK_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.2
"""So long what comes is gathered before it is examined: agents send small batches when little happens."""
SETTLE_SECONDS: Final = 60.0
SEAL_SECONDS: Final = 900.0
WATCH_SECONDS: Final = 15.0
INDICATORS_SECONDS: Final = 10.0
HUNT_SECONDS: Final = 10.0
COST_SECONDS: Final = 60.0
PRUNE_SECONDS: Final = 86_400.0
RULES_SECONDS: Final = 3.0
"""So long a changed rule waits at most before it is noticed."""
MAINTAIN_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 3_600.0
COLLECT_SECONDS: Final = 30.0
"""Events make no cycles: looking for some after every few hundred of them is most of the work of reading them."""
OPEN_AGAIN_SECONDS: Final = 2.0
FILES: Final = 1_024
"""Files that the store, the databases and the log may have open at once."""
RETRY_SECONDS: Final = 10.0
STALE_SECONDS: Final = 600.0
"""Detection that did not get through for so long means that this centre is blind: the dead man's switch says so."""


@dataclass(slots=True)
class Duty:
    """Do something again and again: at least ``every`` seconds apart."""

    every: float
    do: Callable[[], object]
    due: float = 0.0


def build_intake(settings: Settings, writer: Writer, identity: ServerIdentity, clock: Clock) -> Intake:
    """Return the intake of an installation."""
    correlation = KeyStore(settings.state_directory / "keys").sign("correlation", b"edusoc-correlation-1")
    trust = Trust(order_key(settings), identity.authority, correlation)
    quota = Quota(settings.intake_events_per_second, settings.intake_megabytes_per_day * 1_000_000)
    intake = Intake(writer.pipeline, writer.database, trust, quota, clock)
    intake.receiver.shelf = Shelf(settings.state_directory)
    return intake


def connections_allowed(wanted: int) -> int:
    """Raise what this process may open; return how many connections leave enough for the store's files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(min(wanted, soft - FILES), wanted // 10)
    return wanted


class Ending:
    """Take SIGTERM while no server does: end what runs, and remember it should that be swallowed somewhere."""

    def __init__(self) -> None:
        """Begin without one."""
        self.wanted = False

    def __call__(self, _number: int, _frame: FrameType | None) -> NoReturn:
        """Be the signal's handler."""
        self.wanted = True
        raise KeyboardInterrupt


class PipelineProcess:
    """Run the pipeline of an installation around an opened writer."""

    def __init__(self, settings: Settings, writer: Writer, clock: Clock = utc_now) -> None:
        """Take the opened parts; nothing runs yet."""
        self.settings, self._writer, self._clock = settings, writer, clock
        self.identity = intake_identity(settings, clock)
        self.intake = build_intake(settings, writer, self.identity, clock)
        self._context = self.identity.context()
        self.server = IntakeServer(
            create_intake_app(self.intake), self._context, most=connections_allowed(MOST_CONNECTIONS)
        )
        self._woken, self._idle, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._advanced = time.monotonic()
        self._said: dict[str, str] = {}
        self.fault: BaseException | None = None
        self.intake.on_taken(self._woken.set)
        writer.watch.findings = self.intake.findings
        self._hunter = open_hunter(settings, writer.database, writer.store, clock)
        self._sleeping = threading.Event()
        self._switch = DeadMansSwitch(settings, writer.database, self._is_well, clock)
        self._parent = ParentLink(settings, writer.store, writer.database)

    @property
    def pipeline(self) -> Pipeline:
        """Return the pipeline, for what takes events in beside the listener."""
        return self._writer.pipeline

    @property
    def database(self) -> Database:
        """Return the operational database."""
        return self._writer.database

    def run(self, listener: socket.socket, ready: Callable[[], None], ending: Ending) -> int:
        """Serve agents until SIGINT or SIGTERM; return the exit code: 3 when a thread died of a surprise."""
        if ending.wanted:
            return 0
        threads = [
            threading.Thread(
                target=self._guarded, args=(self._detecting(), self._woken), name="edusoc-detect"
            ),
            threading.Thread(
                target=self._guarded, args=(self._upkeeping(), self._idle), name="edusoc-upkeep"
            ),
            threading.Thread(
                target=self._guarded, args=(self._hunting(), self._sleeping), name="edusoc-hunt"
            ),
        ]
        for thread in threads:
            thread.start()
        self._parent.start()
        ready()
        try:
            with suppress(KeyboardInterrupt), BulkMemory():
                self.server.run(sockets=[listener])
        finally:
            self._stop.set()
            self._parent.end()
            for event in (self._woken, self._idle, self._sleeping):
                event.set()
            for thread in threads:
                thread.join()
        return 0 if self.fault is None else 3

    def _detecting(self) -> Sequence[Duty]:
        return (
            Duty(GATHER_SECONDS, self._advance),
            Duty(SETTLE_SECONDS, self._settle, time.monotonic() + LOOK_SECONDS),
            Duty(COST_SECONDS, self._writer.watch.note_costs, time.monotonic() + COST_SECONDS),
        )

    def _hunting(self) -> Sequence[Duty]:
        """Search history beside everything else: a day of it may take longer than others can wait."""
        self._hunter.release()
        return (Duty(HUNT_SECONDS, self._hunt),)

    def _upkeeping(self) -> Sequence[Duty]:
        now = time.monotonic()
        return (
            Duty(MAINTAIN_SECONDS, self._maintain),
            Duty(WATCH_SECONDS, self.intake.look),
            Duty(WATCH_SECONDS, self._switch.ping),
            Duty(RULES_SECONDS, self._writer.watch.look),
            Duty(PRUNE_SECONDS, self._prune, now + RENEW_SECONDS),
            Duty(INDICATORS_SECONDS, self._writer.indicators.look),
            Duty(SEAL_SECONDS, self._writer.store.seal, now + SEAL_SECONDS),
            Duty(RENEW_SECONDS, self._renew, now + RENEW_SECONDS),
            Duty(COLLECT_SECONDS, gc.collect, now + COLLECT_SECONDS),
        )

    def _guarded(self, duties: Sequence[Duty], woken: threading.Event) -> None:
        """Do duties until the end; a surprise ends the process, which the supervisor starts again."""
        try:
            while not self._stop.is_set():
                for duty in duties:
                    self._do(duty)
                woken.wait(LOOK_SECONDS)
                woken.clear()
        except BaseException as error:
            LOG.exception("the pipeline stops")
            self.fault = error
            self.server.should_exit = True

    def _do(self, duty: Duty) -> None:
        """Do a duty when it is due; a store that refuses is said once, and the duty tried again a little later."""
        now = time.monotonic()
        if now < duty.due or self._stop.is_set():
            return
        name = getattr(duty.do, "__name__", "")
        try:
            duty.do()
        except StoreError as error:
            self._say(name, str(error))
            duty.due = time.monotonic() + min(duty.every, RETRY_SECONDS)
            return
        self._said.pop(name, None)
        duty.due = time.monotonic() + duty.every

    def _advance(self) -> None:
        self._writer.pipeline.advance(self._stop.is_set)
        self._advanced = time.monotonic()

    def _hunt(self) -> None:
        self._hunter.run_some(self._stop.is_set)

    def _settle(self) -> None:
        self._writer.pipeline.settle(self._stop.is_set)

    def _maintain(self) -> None:
        failed = maintain(self._writer.store, self._writer.database, self.settings, self._clock())
        self._say("maintain", failed)

    def _prune(self) -> None:
        """Forget counts of rules and held detections that are older than they are kept."""
        with self._writer.database.write() as connection:
            prune(connection, self._clock())

    def _renew(self) -> None:
        """Have the listener use a certificate that was renewed, by us or by the site."""
        identity = intake_identity(self.settings, self._clock)
        if identity.certificate != self.identity.certificate:
            identity.load_into(self._context)
            self.identity = identity

    def _say(self, name: str, text: str) -> None:
        """Log a trouble once until it changes."""
        if text and self._said.get(name) != text:
            LOG.warning("%s", text)
        self._said[name] = text

    def _is_well(self) -> bool:
        """Tell whether events are taken and detected."""
        late = time.monotonic() - self._advanced > STALE_SECONDS
        return not late and self._writer.store.health().state in {"ok", "degraded"}


Beside = Callable[[PipelineProcess], AbstractContextManager[object]]
"""What runs beside a pipeline process, such as inputs of its own."""


def nothing_beside(_process: PipelineProcess) -> AbstractContextManager[object]:
    """Run nothing beside it."""
    return nullcontext()


def run_pipeline(
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[], None],
    beside: Beside = nothing_beside,
) -> int:
    """Run the pipeline role until it is told to stop; wait for a store that another process holds or that is away."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    ending = Ending()
    before = signal.signal(signal.SIGTERM, ending)

    def run(process: PipelineProcess) -> int:
        with beside(process):
            return process.run(listener, ready, ending)

    try:
        with suppress(KeyboardInterrupt):
            return _run_when_free(settings, run, ending)
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()


def _run_when_free(settings: Settings, run: Callable[[PipelineProcess], int], ending: Ending) -> int:
    said = ""
    while not ending.wanted:
        try:
            with open_writer(settings) as writer:
                return run(PipelineProcess(settings, writer))
        except StoreError as error:
            if str(error) != said:
                said = str(error)
                LOG.warning("%s", said)
            time.sleep(OPEN_AGAIN_SECONDS)
    return 0
