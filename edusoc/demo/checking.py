"""Compare what was found with what the scenarios' labels say must be found and must not.

An alert belongs to a scenario when its evidence was read from the scenario's files, so two scenarios at one unit are
told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, select

from cases.alerts.model import Alert
from cases.alerts.repository import AlertFilter, detections_of, list_alerts
from intake.tables import sources
from soc_core.model.detection import Detection
from soc_core.store.interface import SYSTEM_SCOPE, EventReader

if TYPE_CHECKING:
    from edusoc.demo.scenes import Scene
    from pcaps.labels import Expectation, Seen

MAX_ALERTS: Final = 5_000
MAX_DETECTIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """Hold an alert, its detections, and the scenarios that each detection's evidence comes from."""

    alert: Alert
    detections: Sequence[Detection]
    scenarios: Sequence[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """Hold one scenario's verdict: alerts that were wanted, what is missing, what is there but forbidden."""

    scene: Scene
    found: Mapping[str, Expectation]
    missing: Sequence[Expectation]
    forbidden: Sequence[Seen]

    @property
    def passed(self) -> bool:
        """Tell whether all is there that must be, and nothing that must not."""
        return not self.missing and not self.forbidden


def read_found(
    connection: Connection, reader: EventReader, scenario_of_path: Mapping[str, str]
) -> list[Found]:
    """Return all alerts by falling priority, with where their evidence comes from."""
    alerts = list_alerts(connection, SYSTEM_SCOPE, AlertFilter(), limit=MAX_ALERTS)
    detections = {
        alert.id: detections_of(connection, SYSTEM_SCOPE, alert.id, limit=MAX_DETECTIONS) for alert in alerts
    }
    wanted = {id_ for found in detections.values() for item in found for id_ in _sample(item.evidence)}
    events = reader.get(sorted(wanted), SYSTEM_SCOPE)
    rows = connection.execute(select(sources.c.identity, sources.c.path))
    scenario_of = {row.identity: scenario_of_path.get(row.path, "") for row in rows}

    def scenarios(detection: Detection) -> frozenset[str]:
        known = (events.get(id_, {}) for id_ in _sample(detection.evidence))
        return frozenset(scenario_of.get(str(event.get("edusoc.source", "")), "") for event in known)

    return [
        Found(alert, detections[alert.id], [scenarios(item) for item in detections[alert.id]])
        for alert in alerts
    ]


def _sample(evidence: Sequence[str]) -> set[str]:
    """Return the first, middle and last id: where a detection's evidence comes from needs no more."""
    return {evidence[0], evidence[len(evidence) // 2], evidence[-1]} if evidence else set()


def check_scene(scene: Scene, found: Sequence[Found]) -> Check:
    """Return the verdict on one scene."""
    label = scene.label
    wanted: dict[str, Expectation] = {}
    seen: list[Seen] = []
    for item in found:
        for detection, scenarios in zip(item.detections, item.scenarios, strict=True):
            if label.scenario not in scenarios:
                continue
            what = (detection.kind, detection.entity.value, detection.peer, detection.severity.value)
            seen.append(what)
            for expectation in label.must_find:
                if expectation.fits(what):
                    wanted[item.alert.id] = expectation
    return Check(scene, wanted, label.missing(seen), sorted(set(label.forbidden(seen))))
