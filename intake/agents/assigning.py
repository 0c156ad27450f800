"""Say whose an unknown sender is, from now on: a line of the address plan in the zone of the agent's key."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address, ip_network

from sqlalchemy import Connection

from intake.agents import repository
from intake.agents.model import Agent
from intake.agents.placing import covered_units
from soc_core.errors import UsageError
from soc_core.organisations.networks import PlannedNetwork, canonical_network, put_network
from soc_core.organisations.repository import load_tree, today


def assign_network(
    connection: Connection, agent: Agent, network: str, organization_id: str, now: datetime
) -> None:
    """Give a network (or one address) to a unit from today on; senders in it leave the list.

    Raises ``UsageError`` for what is no network, and for a unit that the agent's key doesn't cover.
    """
    try:
        block = canonical_network(network)
    except ValueError as error:
        raise UsageError(
            f"'{network[:60]}' is no network", todo="write it like 10.3.0.0/16 or 10.3.0.7"
        ) from error
    if organization_id not in covered_units(agent, load_tree(connection, today(now))):
        raise UsageError(
            "the agent's key does not cover this unit",
            todo="make a code that covers it: edusoc agents code --also CODE",
        )
    put_network(connection, PlannedNetwork(organization_id, agent.zone, block, valid_from=today(now)))
    held = ip_network(block)
    for sender in repository.list_senders(connection, [agent.id], limit=repository.MOST_SENDERS):
        address = ip_address(sender.address)
        if sender.zone == agent.zone and address.version == held.version and address in held:
            repository.forget_sender(connection, agent.id, sender.zone, sender.address)
