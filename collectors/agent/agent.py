"""Put the agent together and run it: inputs, privacy, spool, uplink, orders."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from collectors.agent.aside import Aside
from collectors.agent.configuration import (
    Configuration,
    InputSettings,
    Place,
    load_configuration,
    make_input,
    with_managed,
)
from collectors.agent.gaps import gap_events
from collectors.agent.handlers import (
    ACTIONS,
    ActionHandler,
    ConfigurationHandler,
    RulesHandler,
)
from collectors.agent.identity import read_identity
from collectors.agent.link import Link
from collectors.agent.notices import Notice
from collectors.agent.orders import Addressee, Handler, OrderDesk
from collectors.agent.outlet import SpoolOutlet
from collectors.agent.protecting import protect_of
from collectors.agent.requested import Keep, Requested
from collectors.agent.spool import Spool
from collectors.agent.status import heartbeat, own_state, source_state, write_status
from collectors.agent.supervisor import Supervisor
from collectors.live.base import LiveInput
from collectors.uplink.pacing import Outside
from collectors.uplink.sender import LinkState
from soc_core.clock import format_instant
from soc_core.errors import EdusocError
from soc_core.model.event import Scalar
from soc_core.system import private_directory
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.orders import ACTION, CONFIGURATION, PACKETS, RULES

LOOK_SECONDS: Final = 0.5
GAPS_SECONDS: Final = 10.0
STATUS_SECONDS: Final = 5.0
PROVE_SECONDS: Final = 5.0
"""How long the inputs of an ordered configuration are watched before it counts as good."""
ASIDE_RESERVE: Final = 64 << 20
Make = Callable[[InputSettings], LiveInput]


class Agent:
    """Run one agent. ``reload`` may be set from a signal handler; so may the event given to ``run``."""

    def __init__(
        self,
        configuration: Configuration,
        notice: Notice,
        outside: Outside | None = None,
        make: Make | None = None,
    ) -> None:
        """Open what there is; raise ``StoreBusyError`` when another agent runs with this state directory."""
        state = configuration.state
        private_directory(state)
        self.configuration = configuration
        self._notice, self._outside = notice, outside or Outside()
        self.identity = read_identity(state)
        protect = protect_of(configuration)
        self.spool = Spool(state / "spool", configuration.spool, self._outside.clock)
        self.aside = Aside(state / "aside", ASIDE_RESERVE, self._outside.clock)
        self.outlet = SpoolOutlet(self.spool, self.aside, self.place, self._outside.clock, protect)
        self.supervisor = Supervisor(self.outlet, make or self._make, self._outside, self._input_told)
        self.link = Link(self.spool, state, self, self._outside)
        self._requested = self.link.parcels = Requested(state, self._keeps)
        self.reload, self.ending = threading.Event(), threading.Event()
        self.desk: OrderDesk | None = None
        self._desk_thread: threading.Thread | None = None
        self._started, self._life = format_instant(self._outside.clock()), os.urandom(8)
        self._short = False
        self._loading = threading.Lock()

    @property
    def place(self) -> Place:
        """Return whose events these are: what joining told, else what is configured; a zone set here counts."""
        place, identity = self.configuration.place, self.identity
        if identity is None:
            return place
        zone = place.zone if place.zone != "default" else identity.zone
        return replace(place, organisation=identity.organization_id, zone=zone)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set, then end within seconds."""
        self.ending = stop
        self._begin_orders(stop)
        self._begin_link()
        self._load()
        gaps_at = status_at = 0.0
        while not stop.is_set():
            if self.reload.is_set():
                self.reload.clear()
                self._load_again()
            now = self._outside.monotonic()
            if now >= gaps_at:
                gaps_at = now + GAPS_SECONDS
                self._tell_gaps()
            if now >= status_at:
                status_at = now + STATUS_SECONDS
                write_status(self.configuration.state, self.status(running=True))
            self._look()
            stop.wait(LOOK_SECONDS)
        self._end()

    def _make(self, settings: InputSettings) -> LiveInput:
        return make_input(settings, self.configuration.state)

    def _load(self) -> str:
        """Start, stop and restart inputs as configured; return what is wrong with the managed part (empty: nothing)."""
        with self._loading:
            configuration, trouble = with_managed(self.configuration)
            if trouble:
                self._notice("managed", {"reason": trouble})
            self.supervisor.apply(configuration.inputs)
            return trouble

    def _load_again(self) -> None:
        """Read the configuration anew; a wrong one changes nothing."""
        before = self.configuration
        try:
            after = load_configuration(before.path)
            protect = protect_of(after)
            if (after.state, after.spool, after.orders) != (before.state, before.spool, before.orders):
                self._notice("restart_needed", {})
                after = replace(after, state=before.state, spool=before.spool, orders=before.orders)
            self.configuration = after
            self.outlet.change(self.place, protect)
            if (after.centre, after.plan) != (before.centre, before.plan):
                self.link.end()
                self._begin_link()
        except EdusocError as error:
            self._notice("reload_failed", {"reason": str(error)})
            return
        self._load()
        self._notice("reloaded", {"inputs": len(self.supervisor.runners)})

    def _begin_link(self) -> None:
        centre, identity = self.configuration.centre, self.identity
        if centre is None:
            self._notice("no_centre", {})
        elif identity is None:
            self._notice("not_joined", {})
        else:
            self.link.begin(identity, centre, self.configuration.plan)

    def _begin_orders(self, stop: threading.Event) -> None:
        identity, state, wanted = self.identity, self.configuration.state, self.configuration.orders
        if identity is None:
            return
        consent = {
            CONFIGURATION: wanted.configuration,
            RULES: wanted.rules,
            PACKETS: wanted.packets,
            ACTION: wanted.action,
        }
        place = self.place
        addressee = Addressee(identity.agent, identity.orders_from, consent, place.organisation, place.zone)
        handlers: dict[str, Handler] = {
            CONFIGURATION: ConfigurationHandler(state, self._prove),
            RULES: RulesHandler(state),
            PACKETS: self._requested,
            ACTION: ActionHandler(ACTIONS, wanted.never_block),
        }
        self.desk = OrderDesk(
            state / "orders" / identity.agent,
            addressee,
            handlers,
            self.link.time,
            lambda event: self.spool.store_own([event]),
        )
        self._desk_thread = threading.Thread(target=self.desk.run, args=(stop,), name="orders", daemon=True)
        self._desk_thread.start()

    def _keeps(self) -> Iterable[Keep]:
        """Return what keeps packets just now: inputs of that kind have a ``keep``."""
        found = (getattr(runner.input, "keep", None) for runner in self.supervisor.runners)
        return [keep for keep in found if keep is not None]

    def _prove(self, inputs: Sequence[InputSettings]) -> str:
        """Load the managed inputs and watch them for a while; return why one doesn't run, empty when all do."""
        trouble = self._load()
        wanted = {item.name for item in inputs}
        deadline = self._outside.monotonic() + PROVE_SECONDS
        while wanted and not trouble and self._outside.monotonic() < deadline:
            for runner in self.supervisor.runners:
                if runner.settings.name in wanted and runner.condition.state == "waiting":
                    return f"{runner.settings.name}: {runner.condition.fault}"
            if self.ending.wait(LOOK_SECONDS):
                break
        return trouble

    def heartbeat(self) -> bytes:
        """Return the body of a heartbeat."""
        return self._heartbeat().encode()

    def _heartbeat(self) -> Heartbeat:
        gaps, now = self.spool.gaps, format_instant(self._outside.clock())
        dropped = gaps.totals()
        sources = [source_state(runner, self.outlet, dropped) for runner in self.supervisor.runners]
        sources.append(own_state(self.link.state, self._offset_ms, self.spool.trouble, now))
        return heartbeat(
            self.spool, sources, gaps.by_dataset(), started=self._started, version=program_version()
        )

    @property
    def _offset_ms(self) -> int:
        return int(self.link.time.offset.total_seconds() * 1_000) if self.link.time.known else 0

    def status(self, *, running: bool) -> Mapping[str, object]:
        """Return how the agent is, for ``edusoc doctor``."""
        identity, link = self.identity, self.link.state
        runners = self.supervisor.runners
        return {
            "at": format_instant(self._outside.clock()),
            "running": running,
            "pid": os.getpid(),
            "agent": "" if identity is None else identity.agent,
            "link": None if link is None else asdict(link),
            "clock_known": self.link.time.known,
            "clock_offset_ms": self._offset_ms,
            "room_percent": int(self.spool.free_share() * 100),
            "waiting_threads": self.spool.waiting,
            "last_bad": dict(self.aside.last),
            "orders": 0 if self.desk is None else self.desk.highest,
            "conditions": {runner.settings.name: asdict(runner.condition) for runner in runners},
            "heartbeat": asdict(self._heartbeat()),
        }

    def orders(self, texts: Sequence[str]) -> None:
        """Take orders of an answer."""
        if self.desk is not None:
            self.desk.take(texts)

    def link_changed(self, state: LinkState) -> None:
        """Say that the link began to fail or works again."""
        self._notice("link_failed" if state.trouble else "link_works", {"reason": state.trouble})

    def _input_told(self, name: str, fault: str) -> None:
        self._notice("input_failed" if fault else "input_runs", {"name": name, "reason": fault})

    def _look(self) -> None:
        """Notice what changed by itself: inputs that run again, room that gets short."""
        for runner in self.supervisor.runners:
            runner.look()
        short = self.spool.waiting > 0 or bool(self.spool.trouble)
        if short != self._short:
            self._short = short
            values: dict[str, Scalar] = {
                "percent": int(self.spool.free_share() * 100),
                "reason": self.spool.trouble,
            }
            self._notice("room_short" if short else "room_again", values)

    def _tell_gaps(self) -> None:
        """Tell the centre what was dropped since the last time."""
        taken = self.spool.gaps.take()
        if not taken:
            return
        place = self.place
        events = gap_events(taken, life=self._life, organization_id=place.organisation, zone=place.zone)
        if not self.spool.store_own(events):
            self.spool.gaps.give_back(taken)
            return
        dropped = Counter({source: gap.events for source, gap in taken.items()})
        self._notice("dropped", {"events": dropped.total(), "sources": ", ".join(sorted(dropped))})

    def _end(self) -> None:
        """Stop all: inputs deliver what they hold, what the centre doesn't have stays in the spool."""
        self.spool.stop_waiting()
        late = self.supervisor.stop()
        if late:
            self._notice("late", {"names": ", ".join(late)})
        self._tell_gaps()
        write_status(self.configuration.state, self.status(running=False))
        ended = self.link.end()
        if self._desk_thread is not None:
            self._desk_thread.join(2.0)
            ended = ended and not self._desk_thread.is_alive()
        if ended and not late:  # what still runs must not meet closed files; the process ends anyway
            if self.desk is not None:
                self.desk.close()
            self.aside.close()
            self.spool.close()


def program_version() -> str:
    """Return the version of this program."""
    try:
        return version("edusoc")
    except PackageNotFoundError:
        return ""
