"""Serve the auditor's room: who did what to which alert, and who looked at packets."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from cases.alerts.repository import list_steps
from soc_api.alerts.queries import card_maker
from soc_api.pages.views import MemberView, PlaceDependency, caller_of, frame
from soc_core.access.accounts import Role
from soc_core.errors import NotAllowedError

router = APIRouter(include_in_schema=False)
PAGE: Final = 100


@router.get("/audit")
def audit(
    view: MemberView, place: PlaceDependency, before: Annotated[int | None, Query(ge=1, le=2**62)] = None
) -> Response:
    """List the steps people took, newest first; only for auditors (三权分立: who handles does not audit)."""
    caller = caller_of(view)
    if caller.user.role is not Role.AUDITOR:
        raise NotAllowedError("only auditors have this room")
    with view.services.database.read() as connection:
        found = list_steps(connection, caller.narrowed(place.organisation), before=before, limit=PAGE + 1)
    maker = card_maker(view.services, caller, view.language)
    steps = [(step, maker.title(step.alert), maker.unit(step.alert)) for step in found[:PAGE]]
    following = found[PAGE - 1].number if len(found) > PAGE else None
    values = {"steps": steps, "following": following}
    return view.page("audit.html", {**frame(view, "audit", place), **values})
