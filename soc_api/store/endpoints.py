"""Serve ``/api/v1/store``: how the event store is and what it keeps, for those who look after the installation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from soc_api.cursors import seal, unseal
from soc_api.limits import QUESTION_TURN
from soc_api.negotiation import language_of
from soc_api.problems import answers
from soc_api.security import InspectorDependency
from soc_api.services import ServicesDependency
from soc_api.store.kept import policy_of, reasons_of, sources_kept
from soc_api.store.schemas import GapOut, HealthOut, KeptOut, KeptPage
from soc_core.store.coverage import SourceCoverage

router = APIRouter(
    prefix="/api/v1/store",
    tags=["store"],
    responses=answers(401, 403, 429, 503, s403="your role does not look after the store"),
    dependencies=[QUESTION_TURN],
)


class KeptQuery(BaseModel):
    """Take whose sources to list, whether only those where something is missing, and how to page."""

    model_config = ConfigDict(extra="forbid")
    organisation: str = Field("", max_length=32)
    missing: bool = False
    limit: int = Field(100, ge=1, le=500)
    cursor: str = Field("", max_length=1_024)


@router.get("/health")
def health(request: Request, services: ServicesDependency, _caller: InspectorDependency) -> HealthOut:
    """Say how the event store is."""
    found = services.reader.health()
    return HealthOut(state=found.state, reasons=reasons_of(found, language_of(request)))


@router.get("/retention", responses=answers(422))
def retention(
    request: Request,
    services: ServicesDependency,
    caller: InspectorDependency,
    query: Annotated[KeptQuery, Query()],
) -> KeptPage:
    """List of each source of your units the days that are kept and every gap."""
    policy, language = policy_of(services), language_of(request)
    found = sources_kept(services, caller.narrowed(query.organisation))
    missing = [source for source in found if not source.sound]
    listed = missing if query.missing else found
    question = repr(("retention", caller.user.name, query.organisation, query.missing))
    after = tuple(map(str, unseal(services.keys, question, query.cursor))) if query.cursor else ("", "")
    rest = [source for source in listed if (source.organization_id, source.dataset) > after]
    shown = rest[: query.limit]
    cursor = ""
    if len(rest) > len(shown):
        cursor = seal(services.keys, question, (shown[-1].organization_id, shown[-1].dataset))
    return KeptPage(
        months=policy.months,
        detail_days=policy.detail_days,
        items=[_out(source, language) for source in shown],
        total=len(listed),
        missing=len(missing),
        cursor=cursor,
    )


def _out(source: SourceCoverage, language: str) -> KeptOut:
    return KeptOut(
        organisation_id=source.organization_id,
        dataset=source.dataset,
        kind=source.how.kind,
        why=source.how.zh if language == "zh" else source.how.en,
        events=source.events,
        first=source.first,
        last=source.last,
        required_from=source.required_from,
        days=source.days,
        gaps=[GapOut(start=gap.start, end=gap.end, days=gap.days) for gap in source.gaps],
        short=source.short,
        sound=source.sound,
    )
