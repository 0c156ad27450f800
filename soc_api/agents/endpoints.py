"""Serve ``/api/v1/agents``: what people may know of the agents of their units."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from intake.agents.showing import agent_row
from soc_api.agents.queries import Shown, agent_of, agents_of, senders_of
from soc_api.agents.schemas import AgentDetail, AgentList, AgentOut, GapOut, SenderList, SenderOut
from soc_api.problems import answers
from soc_api.security import Caller, CallerDependency
from soc_api.services import ServicesDependency

router = APIRouter(prefix="/api/v1/agents", tags=["agents"])
AgentId = Annotated[str, Path(max_length=32, pattern=r"^[a-z0-9]+$")]
MISSING = answers(401, 404, 422, s404="no such agent that you may see")


class AgentsQuery(BaseModel):
    """Take whose agents to list."""

    model_config = ConfigDict(extra="forbid")
    organisation: str = Field("", max_length=32)


@router.get("", responses=answers(401, 422))
def list_(
    services: ServicesDependency, caller: CallerDependency, query: Annotated[AgentsQuery, Query()]
) -> AgentList:
    """List the agents of your units."""
    now = services.clock()
    found = agents_of(services, caller.narrowed(query.organisation))
    return AgentList(items=[AgentOut.model_validate(_row(shown, caller, now)) for shown in found])


@router.get("/{agent_id}", responses=MISSING)
def show(agent_id: AgentId, services: ServicesDependency, caller: CallerDependency) -> AgentDetail:
    """Show one agent with its sources and the gaps of its log."""
    shown, gaps, lost = agent_of(services, caller, agent_id)
    row = _row(shown, caller, services.clock())
    listed = [GapOut(epoch=gap.epoch, start=gap.start, end=gap.end, at=gap.at) for gap in gaps]
    return AgentDetail.model_validate({**row, "gaps": [gap.model_dump() for gap in listed], "lost": lost})


@router.get("/{agent_id}/senders", responses=MISSING)
def senders(agent_id: AgentId, services: ServicesDependency, caller: CallerDependency) -> SenderList:
    """List addresses that sent to an agent and whose unit nobody knows."""
    return SenderList(
        items=[
            SenderOut(
                zone=sender.zone,
                address=sender.address,
                first_at=sender.first_at,
                last_at=sender.last_at,
                events=sender.events,
            )
            for sender in senders_of(services, caller, agent_id)
        ]
    )


def _row(shown: Shown, caller: Caller, now: datetime) -> dict[str, object]:
    """Return an agent; of the units its key covers those the caller may see."""
    row = agent_row(shown.agent, shown.sources, now)
    return {**row, "units": [unit for unit in shown.agent.units if caller.scope.allows(unit)]}
