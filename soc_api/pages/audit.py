"""Serve the auditor's room: who did what to which alert, who looked at packets, and what logs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from cases.alerts.repository import list_steps
from soc_api.alerts.queries import card_maker
from soc_api.limits import Turns
from soc_api.organisations.endpoints import visible_units
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, PlaceDependency, caller_of, frame
from soc_api.store.kept import policy_of, sources_kept
from soc_core.access.accounts import Role
from soc_core.errors import NotAllowedError
from soc_core.organisations.repository import OrganisationTree
from soc_core.store.coverage import SourceCoverage, gap_days
from soc_core.store.interface import Scope

router = APIRouter(include_in_schema=False)
PAGE: Final = 100
MOST_SOURCES: Final = 300
"""A whole province has thousands: those where something is missing come first, the API lists all."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """Hold a source as the list of what is kept shows it; ``missing`` counts the days of all its gaps."""

    source: SourceCoverage
    unit: str
    missing: int


@router.get("/audit")
def audit(
    request: Request,
    view: MemberView,
    place: PlaceDependency,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    part: Literal["steps", "kept"] = "steps",
) -> Response:
    """List the steps people took, newest first, or what is kept; only for auditors (三权分立: who handles does not)."""
    caller = caller_of(view)
    if caller.user.role is not Role.AUDITOR:
        raise NotAllowedError("only auditors have this room")
    scope = caller.narrowed(place.organisation)
    if part == "kept":
        turns: Turns = request.app.state.questions
        with turns.take(caller.user.name):
            values = _kept(view, scope, caller.tree)
    else:
        values = _steps(view, scope, before)
    return view.page("audit.html", {**frame(view, "audit", place), "part": part, **values})


def _steps(view: View, scope: Scope, before: int | None) -> dict[str, object]:
    with view.services.database.read() as connection:
        found = list_steps(connection, scope, before=before, limit=PAGE + 1)
    maker = card_maker(view.services, caller_of(view), view.language)
    steps = [(step, maker.title(step.alert), maker.unit(step.alert)) for step in found[:PAGE]]
    return {"steps": steps, "following": found[PAGE - 1].number if len(found) > PAGE else None}


def _kept(view: View, scope: Scope, tree: OrganisationTree) -> dict[str, object]:
    """Return the sources: first those where something is missing that must be there, then by unit."""
    found = sources_kept(view.services, scope)
    rows = [
        KeptRow(source, view.unit_name(tree.units.get(source.organization_id)), gap_days(source.gaps))
        for source in found
    ]
    order = {unit.id: number for number, unit in enumerate(visible_units(caller_of(view)))}
    rows.sort(
        key=lambda row: (row.source.sound, order.get(row.source.organization_id, 0), row.source.dataset)
    )
    return {
        "sources": rows[:MOST_SOURCES],
        "total": len(rows),
        "missing": sum(not source.sound for source in found),
        "policy": policy_of(view.services),
    }
