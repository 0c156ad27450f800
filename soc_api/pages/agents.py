"""Serve the room of collectors: which agents there are, how they are, which of their sources are silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Response

from intake.agents.model import Agent, Source, SourceHealth
from intake.agents.showing import condition_of, lag_seconds
from soc_api.agents.queries import Shown, agents_of
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, PlaceDependency, caller_of, frame

router = APIRouter(include_in_schema=False)
MOST: Final = 500
FIRST: Final = ("silent", "troubled", "waiting", "ok", "revoked")
"""What needs somebody comes first."""


@dataclass(frozen=True, slots=True)
class AgentRow:
    """Hold an agent as the page shows it; ``lag`` is in minutes, ``ill`` are the sources that need somebody."""

    agent: Agent
    unit: str
    condition: str
    lag: int
    sources: list[Source]
    ill: list[Source]


@router.get("/agents")
def agents(view: MemberView, place: PlaceDependency) -> Response:
    """List the agents of the person's units, those in trouble first."""
    caller = caller_of(view)
    found = agents_of(view.services, caller.narrowed(place.organisation))
    rows = sorted(
        (_row(view, shown) for shown in found), key=lambda row: (FIRST.index(row.condition), row.unit)
    )
    counts = {name: sum(row.condition == name for row in rows) for name in FIRST}
    values = {"rows": rows[:MOST], "total": len(rows), "counts": counts}
    return view.page("agents.html", {**frame(view, "agents", place), **values})


def _row(view: View, shown: Shown) -> AgentRow:
    unit = caller_of(view).tree.units.get(shown.agent.organization_id)
    return AgentRow(
        agent=shown.agent,
        unit=view.unit_name(unit),
        condition=condition_of(shown.agent, shown.sources, view.now),
        lag=lag_seconds(shown.agent, view.now) // 60,
        sources=shown.sources,
        ill=[source for source in shown.sources if source.state is not SourceHealth.OK],
    )
