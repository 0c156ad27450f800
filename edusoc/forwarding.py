"""Forward to the parent centre from the pipeline process, once this one has joined it (``edusoc agents parent``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cases.alerts.model import Alert
from cases.alerts.repository import get_alert
from collectors.agent.identity import Identity, agent_key, read_identity
from collectors.uplink.asking import Asker, CentreTime, Signer
from collectors.uplink.connection import Centre, Connection
from collectors.uplink.numbers import RequestNumbers
from collectors.uplink.pacing import Outside, Pauses
from intake.forwarding.policy import ForwardPolicy
from intake.forwarding.sending import Forwarder
from intake.forwarding.sources import UNIT_CODE, EventSource, ForwardSource, Piece, StatisticsSource
from soc_core.clock import Clock, utc_now
from soc_core.config import Settings
from soc_core.errors import EdusocError, StoreError
from soc_core.jobs import outbox
from soc_core.model.event import DATASET, Event, make_event_id, make_source_identity
from soc_core.organisations.repository import TreeCache, today
from soc_core.state.database import Database
from soc_core.store.interface import SYSTEM_SCOPE, EventStore

PARENT: Final = "parent"
NUMBERS: Final = "request-number"
ALERT_DATASET: Final = "edusoc.alert"
LOOK_SECONDS: Final = 5.0
LOG: Final = logging.getLogger("edusoc.forwarding")


def parent_directory(settings: Settings) -> Path:
    """Return where lies who this centre is to its parent."""
    return settings.state_directory / PARENT


class AlertSource:
    """Give each change of an alert as an event. The position is the outbox's sequence."""

    name = "alerts"

    def __init__(self, database: Database, codes: Callable[[], Mapping[str, str]]) -> None:
        """Take the operational database and what tells units' codes."""
        self._database, self._codes = database, codes

    def following(self, position: int, limit: int) -> Piece:
        """Return the alerts that the next changes are about, as they are now."""
        codes = self._codes()
        with self._database.read() as connection:
            changes = outbox.after(connection, position, SYSTEM_SCOPE, limit=limit)
            events = [
                _alert_event(
                    change, get_alert(connection, SYSTEM_SCOPE, str(change.payload["alert_id"])), codes
                )
                for change in changes
                if change.topic.startswith("alert.") and "alert_id" in change.payload
            ]
        return Piece(events, changes[-1].sequence if changes else position)

    def waiting(self, position: int) -> int:
        """Return how many changes lie after ``position``."""
        with self._database.read() as connection:
            return max(0, outbox.last_sequence(connection) - position)


def _alert_event(change: outbox.Change, alert: Alert | None, codes: Mapping[str, str]) -> Event:
    """Return an alert's state as an event; one that is gone was merged into another."""
    name, at = str(change.payload["alert_id"]), change.created_at
    identity = make_source_identity(change.organization_id, "", ALERT_DATASET, name.encode())
    event: Event = {
        "@timestamp": at,
        "event.id": make_event_id(at, identity, change.sequence, b""),
        "event.created": at,
        "event.kind": "alert",
        "event.category": ["intrusion_detection"],
        "event.type": ["info"],
        DATASET: ALERT_DATASET,
        "event.module": "edusoc",
        "event.action": change.topic,
        "edusoc.alert.id": name,
        "edusoc.alert.status": "merged" if alert is None else alert.status.value,
        UNIT_CODE: codes.get(change.organization_id, change.organization_id),
    }
    if alert is not None:
        event |= {
            "rule.id": alert.rule_id,
            "event.start": alert.first_seen,
            "event.end": alert.last_seen,
            "event.severity": alert.severity.rank,
            "edusoc.alert.kind": alert.kind,
            "edusoc.alert.entity": alert.entity.value,
            "edusoc.alert.peer": alert.peer,
            "edusoc.alert.events": alert.event_count,
            "edusoc.zone": alert.entity.zone,
        }
    return event


class UnitCodes:
    """Tell the code of each unit, as of today."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Take where units are kept."""
        self._database, self._clock = database, clock
        self._trees = TreeCache()

    def __call__(self) -> Mapping[str, str]:
        """Return unit id → code."""
        with self._database.read() as connection:
            tree = self._trees.current(connection, today(self._clock()))
        return {unit.id: unit.code for unit in tree.units.values()}


def sources_of(
    settings: Settings, store: EventStore, database: Database, clock: Clock = utc_now
) -> Sequence[ForwardSource]:
    """Return what policy says goes to the parent, the most urgent first. Raises ``UsageError`` for a wrong policy."""
    policy, codes = ForwardPolicy.parse(settings.parent_forward), UnitCodes(database, clock)
    found: list[ForwardSource] = []
    if policy.alerts:
        found.append(AlertSource(database, codes))
    if policy.statistics:
        found.append(StatisticsSource(store, codes, clock))
    if policy.events:
        found.append(EventSource(store, policy.wants, codes))
    return found


class ParentLink:
    """Forward in a thread of its own; begins when this centre has joined a parent."""

    def __init__(
        self, settings: Settings, store: EventStore, database: Database, outside: Outside | None = None
    ) -> None:
        """Take the settings and the opened parts. Raises ``UsageError`` for a wrong policy."""
        self._settings, self._database = settings, database
        self._outside = outside or Outside()
        self._sources = sources_of(settings, store, database, self._outside.clock)
        self._stop = threading.Event()
        self._pauses = Pauses(self._outside.chance)
        self._thread = threading.Thread(target=self._run, name="edusoc-parent", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, seconds: float = 4.0) -> None:
        """Stop; a request that hangs is left behind, it does no harm."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                identity = read_identity(parent_directory(self._settings))
                if identity is not None:
                    self._forward(identity)
            except EdusocError as error:
                self._wait_after(error)
            except Exception as error:  # the edge of a thread: a surprise must not end forwarding for good
                LOG.debug("forwarding failed", exc_info=True)
                self._wait_after(StoreError(f"forwarding failed: {type(error).__name__}: {error}"))
            self._stop.wait(LOOK_SECONDS)

    def _forward(self, identity: Identity) -> None:
        """Forward until stopped."""
        state = parent_directory(self._settings)
        centre = Centre(identity.url, proxy=self._settings.parent_proxy)
        with Connection(identity.centre(state, centre)) as connection:
            signer = Signer(identity.agent, agent_key(state))
            numbers, time = RequestNumbers(state / NUMBERS), CentreTime(self._outside)
            asker = Asker(connection, signer, numbers, time, self._outside)
            digest = ForwardPolicy.parse(self._settings.parent_forward).digest
            forwarder = Forwarder(self._database, self._sources, asker, digest, self._outside.clock)
            while not self._stop.is_set():
                try:
                    worked = forwarder.step(self._stop.is_set)
                except EdusocError as error:
                    self._wait_after(error)
                    continue
                self._pauses.worked()
                if not worked:
                    self._stop.wait(LOOK_SECONDS)

    def _wait_after(self, error: EdusocError) -> None:
        """Say what is wrong when it begins, and wait longer each time."""
        if not self._pauses.failures:
            LOG.warning("%s", error)
        self._stop.wait(self._pauses.failed())
