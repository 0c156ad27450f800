"""Serve ``POST /api/v1/rules/{id}/hunt``: what a rule would have found in the past, within a bounded time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from cases.alerts.attach import AlertSink
from detectors.sigma import CorrelationDetector, SigmaRule
from intake.hunting.hunt import hunt
from intake.hunting.model import Asked, Found, Hunt, Hunted, Means
from soc_api.limits import QUESTION_TURN
from soc_api.problems import answers
from soc_api.rules.endpoints import NOT_FOUND, Named, named
from soc_api.rules.queries import place_of, rule_of
from soc_api.security import CallerDependency
from soc_api.services import ServicesDependency
from soc_core.clock import format_instant
from soc_core.model.detection import Detection

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=answers(401, 422))
SECONDS: Final = 20.0
"""A hunt from a page takes no longer; the command line has more time."""
DAYS: Final = 30
MOST_DAYS: Final = 190


class HuntIn(BaseModel):
    """Say how far back to look."""

    model_config = ConfigDict(extra="forbid")
    days: int = Field(DAYS, ge=1, le=MOST_DAYS)


class HuntedUnitOut(BaseModel):
    """Count the detections of a unit."""

    organization_id: str
    name: str
    detections: int


class HuntedSampleOut(BaseModel):
    """Name one detection that would have been made: its time, what it is about and the events behind it."""

    id: str
    organization_id: str
    time: str
    entity: str
    evidence: list[str]


class HuntOut(BaseModel):
    """Tell what a rule would have found; ``partial`` says that only what is since ``whole_since`` is complete."""

    rule_id: str
    start: str
    end: str
    whole_since: str
    partial: bool
    examined: int = Field(description="events judged, after the store had narrowed them")
    detections: int
    known: int = Field(description="detections that are stored already")
    first: str
    last: str
    units: list[HuntedUnitOut]
    samples: list[HuntedSampleOut]


@router.post(
    "/{rule_id}/hunt", responses=answers(400, 404, 429, 503, s404=NOT_FOUND), dependencies=[QUESTION_TURN]
)
def hunt_(
    asked: Annotated[Named, Depends(named)],
    body: HuntIn,
    caller: CallerDependency,
    services: ServicesDependency,
) -> HuntOut:
    """Hunt by a rule through the history of a unit and those below it; nothing is stored."""
    rule = rule_of(services, asked.rule_id)
    scope = caller.narrowed(place_of(caller, asked.organisation))
    end = services.clock()
    question = Asked(scope, end - timedelta(days=body.days), end)
    hunted = Hunted([rule]) if isinstance(rule, SigmaRule) else Hunted((), [CorrelationDetector(rule)])
    sink = AlertSink(services.clock)

    def known(found: list[Detection]) -> set[str]:
        with services.database.read() as connection:
            return sink.known(connection, found)

    means = Means(seconds=SECONDS, known=lambda found: known(list(found)))
    done = hunt(services.reader, hunted, question, caller.tree, means)
    names = {unit.id: unit.name for unit in caller.tree.units.values()}
    return _out(done, done.found[0], names)


def _out(done: Hunt, found: Found, names: dict[str, str]) -> HuntOut:
    return HuntOut(
        rule_id=found.rule_id,
        start=format_instant(done.asked.start),
        end=format_instant(done.asked.end),
        whole_since=format_instant(done.whole_since),
        partial=done.partial is not None,
        examined=found.examined,
        detections=found.detections,
        known=found.known,
        first=found.first,
        last=found.last,
        units=[
            HuntedUnitOut(organization_id=unit, name=names.get(unit, unit), detections=count)
            for unit, count in found.by_unit.items()
        ],
        samples=[
            HuntedSampleOut(
                id=one.id,
                organization_id=one.organization_id,
                time=one.last_seen,
                entity=one.entity.value,
                evidence=list(one.evidence[:5]),
            )
            for one in found.samples
        ],
    )
