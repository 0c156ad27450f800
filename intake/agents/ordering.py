"""Give orders to agents: sign and number them, deliver them in answers until the result comes or they expire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Connection, func, insert, select, update

from intake.agents.model import Agent, OrderRow, OrderState
from intake.agents.tables import agents, orders
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.keys.signing import SigningKey
from soc_core.model.event import DATASET, Event
from soc_core.state.database import Database
from soc_core.uplink.orders import KINDS, Body, Order, sign_order

ORDER_DATASET: Final = "edusoc.order"
"""The data set of what agents answer: ``edusoc.order.number``, ``event.outcome`` and ``event.reason``."""
NUMBER: Final = "edusoc.order.number"
MOST_AT_ONCE: Final = 20
MOST_OPEN: Final = 200
_LONGEST: Final = 65_536
_MOST_NUMBER: Final = 2**53
_OPEN: Final = (OrderState.WAITING.value, OrderState.DELIVERED.value)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """Say what is wanted of an agent, and until when."""

    kind: str
    body: Body
    expires: datetime


def issue(
    connection: Connection, agent: Agent, wanted: NewOrder, key: SigningKey, *, now: datetime
) -> OrderRow:
    """Sign an order for an agent and let it wait; return it.

    Raises ``UsageError`` for an unknown kind, a body that is too large, or when too many orders wait already.
    """
    kind = wanted.kind
    if kind not in KINDS:
        raise UsageError(f"an order of unknown kind '{kind}'", todo=f"known are: {', '.join(KINDS)}")
    waiting = select(func.count()).where(orders.c.agent_id == agent.id, orders.c.state.in_(_OPEN))
    if (connection.scalar(waiting) or 0) >= MOST_OPEN:
        raise UsageError("too many orders wait for the agent", todo="see: edusoc agents orders AGENT")
    raised = update(agents).where(agents.c.id == agent.id).values(last_order=agents.c.last_order + 1)
    connection.execute(raised)
    number = int(connection.scalar(select(agents.c.last_order).where(agents.c.id == agent.id)) or 0)
    order = Order(agent.id, number, kind, format_instant(now), format_instant(wanted.expires), wanted.body)
    text = sign_order(order, key)
    if len(text) > _LONGEST:
        raise UsageError("the order is too large", todo=f"it may have {_LONGEST} characters")
    row = OrderRow(agent.id, number, kind, OrderState.WAITING, order.issued, order.expires, text)
    values = {name: getattr(row, name) for name in OrderRow.__slots__}
    connection.execute(insert(orders).values({**values, "state": row.state.value}))
    return row


def deliver(connection: Connection, agent_id: str, now: datetime) -> list[str]:
    """Return the texts of the orders that wait for an agent, oldest first; those too late are closed."""
    at = format_instant(now)
    rows = connection.execute(
        select(orders)
        .where(orders.c.agent_id == agent_id, orders.c.state.in_(_OPEN))
        .order_by(orders.c.number)
        .limit(MOST_OPEN)
    ).all()
    late = [row.number for row in rows if row.expires_at <= at]
    if late:
        _set(connection, agent_id, late, {"state": OrderState.EXPIRED.value})
    chosen = [row for row in rows if row.expires_at > at][:MOST_AT_ONCE]
    fresh = [row.number for row in chosen if row.state == OrderState.WAITING.value]
    if fresh:
        _set(connection, agent_id, fresh, {"state": OrderState.DELIVERED.value, "delivered_at": at})
    return [row.text for row in chosen]


def take_results(database: Database, agent: Agent, events: Iterable[Event], now: datetime) -> None:
    """Close the orders that events of the agent answer; a second answer changes nothing."""
    found = [event for event in events if event.get(DATASET) == ORDER_DATASET]
    if not found:
        return
    with database.write() as connection:
        for event in found:
            number, outcome = event.get(NUMBER), event.get("event.outcome")
            if (
                type(number) is not int
                or not 0 < number < _MOST_NUMBER
                or outcome not in {"success", "failure"}
            ):
                continue  # the store keeps the event, whatever it says
            state = OrderState.DONE if outcome == "success" else OrderState.FAILED
            result = {"outcome": outcome, "reason": str(event.get("event.reason", ""))[:2_000]}
            values = {
                "state": state.value,
                "result": orjson.dumps(result).decode(),
                "result_at": format_instant(now),
            }
            _set(connection, agent.id, [number], values)


def _set(connection: Connection, agent_id: str, numbers: list[int], values: dict[str, str]) -> None:
    # An order that was thought too late may have been run in time: its answer counts.
    open_states = (*_OPEN, OrderState.EXPIRED.value)
    question = update(orders).where(
        orders.c.agent_id == agent_id, orders.c.number.in_(numbers), orders.c.state.in_(open_states)
    )
    connection.execute(question.values(values))


def list_orders(connection: Connection, agent_id: str, limit: int = 100) -> list[OrderRow]:
    """Return the newest orders of an agent."""
    question = select(orders).where(orders.c.agent_id == agent_id).order_by(orders.c.number.desc())
    return [
        OrderRow(**{**row._mapping, "state": OrderState(row.state)})
        for row in connection.execute(question.limit(limit))
    ]
