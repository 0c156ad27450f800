"""Ask about agents as one caller may see them: those whose own unit lies in the scope."""

from __future__ import annotations

from dataclasses import dataclass

from intake.agents import repository
from intake.agents.model import Agent, Gap, Sender, Source
from soc_api.security import Caller
from soc_api.services import Services
from soc_core.errors import NotAllowedError
from soc_core.store.interface import Scope


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold an agent with its sources."""

    agent: Agent
    sources: list[Source]


def agents_of(services: Services, scope: Scope) -> list[Shown]:
    """Return the agents inside a scope, ordered by unit and name."""
    with services.database.read() as connection:
        found = repository.list_agents(connection, scope)
        sources = repository.list_sources(connection, [agent.id for agent in found])
    held: dict[str, list[Source]] = {}
    for source in sources:
        held.setdefault(source.agent_id, []).append(source)
    return [Shown(agent, held.get(agent.id, [])) for agent in found]


def agent_of(services: Services, caller: Caller, agent_id: str) -> tuple[Shown, list[Gap], int]:
    """Return an agent, its newest gaps and how many records they hold; raise ``NotAllowedError`` outside the scope."""
    with services.database.read() as connection:
        agent = _visible(repository.get_agent(connection, agent_id), caller, agent_id)
        sources = repository.list_sources(connection, [agent_id])
        gaps = repository.list_gaps(connection, agent_id)
        return Shown(agent, sources), gaps, repository.lost_offsets(connection, agent_id)


def senders_of(services: Services, caller: Caller, agent_id: str) -> list[Sender]:
    """Return the unknown senders of an agent; raise ``NotAllowedError`` outside the scope."""
    with services.database.read() as connection:
        _visible(repository.get_agent(connection, agent_id), caller, agent_id)
        return repository.list_senders(connection, [agent_id])


def _visible(agent: Agent | None, caller: Caller, agent_id: str) -> Agent:
    if agent is None or not caller.scope.allows(agent.organization_id):
        raise NotAllowedError(f"there is no agent '{agent_id}' that you may see")
    return agent
