"""Say what is wrong with collecting, as events of the data set ``edusoc.health`` from which a detector makes alerts.

One event per agent (or stranger's address), kind, source and hour: its id depends on nothing else but a secret, so the
store drops a second one even after a crash, and a flood of refused requests makes one alert. All are counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from intake.pipeline import Pipeline
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.model.event import Event, make_event_id, make_source_identity

DATASET: Final = "edusoc.health"
MOST_REMEMBERED: Final = 10_000
MOST_STRANGERS: Final = 50
"""Addresses that are told apart in an hour; the others share one event."""
OTHERS: Final = "others"
LOG: Final = logging.getLogger("edusoc.intake")


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what is wrong: ``action`` is the kind of alert, ``subject`` the agent's id or a stranger's address.

    ``values`` become the fields ``edusoc.health.<name>``.
    """

    action: str
    organization_id: str
    subject: str
    zone: str = "default"
    agent_name: str = ""
    address: str = ""
    source: str = ""
    reason: str = ""
    values: Mapping[str, int] = field(default_factory=dict)


class Findings:
    """Store findings through the pipeline; threads may share it."""

    def __init__(
        self, pipeline: Pipeline, clock: Clock, home: Callable[[], str], secret: bytes = b""
    ) -> None:
        """Take the pipeline, and what tells the centre's own unit (empty: none): strangers' deeds belong there.

        With a secret nobody knows the ids beforehand: who sent an event of such an id first could keep the finding out.
        """
        self._secret = secret
        self._pipeline = pipeline
        self._clock = clock
        self._home = home
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, str]] = set()
        self._strangers: set[str] = set()
        self._hour = ""
        self.counts: dict[str, int] = {}

    def report(self, finding: Finding) -> None:
        """Store a finding unless its like was stored this hour. Never raises: what it is about is refused anyway."""
        now = self._clock()
        if not self._is_new(finding, format_instant(now)[:13]):
            return
        LOG.warning("%s: %s (%s)", finding.action, finding.reason, finding.agent_name or finding.subject)
        unit = finding.organization_id or self._home()
        if not unit:
            return
        try:
            self._pipeline.take_placed([event_of(finding, unit, now, self._secret)])
        except StoreError as error:
            LOG.warning("%s", error)
            with self._lock:  # its like shall be stored once there is room
                self._seen.discard((finding.action, finding.subject, finding.source))

    def stranger(self, address: str) -> str:
        """Return the subject that stands for an address: itself, or ``others`` when there are many this hour."""
        with self._lock:
            if address in self._strangers or len(self._strangers) < MOST_STRANGERS:
                self._strangers.add(address)
                return address
        return OTHERS

    def _is_new(self, finding: Finding, hour: str) -> bool:
        key = (finding.action, finding.subject, finding.source)
        with self._lock:
            self.counts[finding.action] = self.counts.get(finding.action, 0) + 1
            if hour != self._hour:
                self._hour = hour
                self._seen.clear()
                self._strangers.clear()
            if key in self._seen or len(self._seen) >= MOST_REMEMBERED:
                return False
            self._seen.add(key)
            return True


def event_of(finding: Finding, unit: str, now: datetime, secret: bytes = b"") -> Event:
    """Return the event of a finding."""
    at = format_instant(now)
    named = f"{finding.action}\n{finding.subject}\n{finding.source}".encode() + secret
    identity = make_source_identity(unit, "", DATASET, named)
    event: Event = {
        "@timestamp": at,
        "event.id": make_event_id(at, identity, int(at[11:13]), b""),
        "event.created": at,
        "event.kind": "alert",
        "event.category": ["host"],
        "event.type": ["info"],
        "event.dataset": DATASET,
        "event.module": "edusoc",
        "event.action": finding.action,
        "event.reason": finding.reason,
        "organization.id": unit,
        "edusoc.zone": finding.zone,
        "edusoc.health.subject": finding.subject,
    }
    if finding.agent_name:
        event |= {"agent.id": finding.subject, "agent.name": finding.agent_name}
    if finding.address:
        event["source.address"] = finding.address
    if finding.source:
        event["edusoc.health.source"] = finding.source
    for name, value in finding.values.items():
        event[f"edusoc.health.{name}"] = value
    return event
