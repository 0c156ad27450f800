"""Look after agents at the centre: ``edusoc agents code``, ``list``, ``show``, ``revoke`` and the like."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.commands.agent_packets import add as add_packets
from edusoc.options import add_settings, said, say, settings_of, shown_time
from edusoc.parser import NumberBetween, add_actions, add_command
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from intake.agents.model import Agent
    from soc_core.config import Settings

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
ORDER_KINDS: Final = ("configuration", "rules", "packets", "action")
MOST_VALID: Final = timedelta(days=90)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "agents", "edusoc.agents"))
    _add_code(actions)
    _add_one(actions, "list", list_, agent=False)
    _add_one(actions, "show", show)
    _add_one(actions, "revoke", revoke_)
    quota = _add_one(actions, "quota", quota_)
    quota.add_argument(
        "--events-per-second", type=NumberBetween(0, 10**6), default=0, help=say("edusoc.agents.events")
    )
    quota.add_argument(
        "--megabytes-per-day", type=NumberBetween(0, 10**7), default=0, help=say("edusoc.agents.megabytes")
    )
    silence = _add_one(actions, "silence", silence_)
    silence.add_argument("source", metavar="SOURCE", help=say("edusoc.agents.source"))
    silence.add_argument("limit", metavar="TIME", help=say("edusoc.agents.limit"))
    _add_one(actions, "senders", senders, agent=False)
    assign = _add_one(actions, "assign", assign_)
    assign.add_argument("network", metavar="NETWORK", help=say("edusoc.agents.network"))
    assign.add_argument("organisation", metavar="CODE", help=say("edusoc.agents.assign_to"))
    _add_parent(actions)
    _add_one(actions, "orders", orders)
    add_packets(actions)
    order = _add_one(actions, "order", order_)
    order.add_argument("kind", choices=ORDER_KINDS, help=say("edusoc.agents.order_kind"))
    order.add_argument("values", nargs="*", metavar="NAME=VALUE", help=say("edusoc.agents.order_values"))
    order.add_argument("--valid", default="24h", metavar="TIME", help=say("edusoc.agents.order_valid"))


def _add_code(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(actions, "code", "edusoc.agents.code")
    parser.add_argument(
        "--organisation", required=True, metavar="CODE", help=say("edusoc.agents.organisation")
    )
    parser.add_argument("--also", nargs="*", default=[], metavar="CODE", help=say("edusoc.agents.also"))
    parser.add_argument("--below", action="store_true", help=say("edusoc.agents.below"))
    parser.add_argument("--zone", default="default", metavar="NAME", help=say("edusoc.agents.zone"))
    parser.add_argument("--name", default="", metavar="TEXT", help=say("edusoc.agents.name"))
    parser.add_argument("--valid", default="24h", metavar="TIME", help=say("edusoc.agents.valid"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=code)


def _add_parent(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_one(actions, "parent", parent, agent=False)
    parser.add_argument("--centre", required=True, metavar="URL", help=say("edusoc.agents.parent_url"))
    parser.add_argument("--code", required=True, metavar="CODE", help=say("edusoc.agents.parent_code"))
    parser.add_argument("--name", default="", metavar="TEXT", help=say("edusoc.agents.name"))


def _add_one(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    job: Callable[[argparse.Namespace], int],
    *,
    agent: bool = True,
) -> argparse.ArgumentParser:
    parser = add_command(actions, name, f"edusoc.agents.{name}")
    if agent:
        parser.add_argument("agent", metavar="AGENT", help=say("edusoc.agents.agent"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=job)
    return parser


def duration(text: str) -> timedelta:
    """Return a length of time written like ``30m``, ``24h`` or ``7d``. Raises ``UsageError``."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if match is None:
        raise UsageError(f"'{text[:40]}' is no length of time", todo="write it like 30m, 24h or 7d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def code(arguments: argparse.Namespace) -> int:
    """Make an enrolment code and show how it is used."""
    from edusoc.composition import open_database
    from edusoc.identity import intake_identity, outside_address
    from intake.agents.enrolling import give_code
    from intake.agents.model import NewCode
    from soc_core.clock import format_instant, utc_now
    from soc_core.organisations.repository import load_tree, today

    settings, now = settings_of(arguments), utc_now()
    valid = duration(arguments.valid)
    if valid > MOST_VALID:
        raise UsageError("an enrolment code is good for 90 days at most", todo="give a shorter --valid")
    expires = format_instant(now + valid)
    wanted = NewCode("", arguments.zone, expires, below=arguments.below, name=arguments.name[:128])
    certificate = intake_identity(settings).certificate
    database = open_database(settings)
    with database.write() as connection:
        tree = load_tree(connection, today(now))
        units = [tree.find(name) for name in (arguments.organisation, *arguments.also)]
        made = give_code(connection, certificate, units, wanted, now=now)
    database.close()
    address = outside_address(settings)
    if arguments.json:
        row = {"code": made.text, "centre": address, "expires": expires}
        print(orjson.dumps(row).decode())
        return 0
    names = "、".join(unit.name for unit in units)
    until = (now + valid).astimezone().strftime("%Y-%m-%d %H:%M")
    for line in say(
        "edusoc.agents.code.done", units=names, code=made.text, url=address, until=until
    ).splitlines():
        print(printable(line))
    if settings.intake_host in {"127.0.0.1", "::1", "localhost"}:
        print(say("edusoc.agents.code.local"), file=sys.stderr)
    return 0


def _with_agent(arguments: argparse.Namespace, job: Callable[[Connection, Agent, datetime], object]) -> None:
    """Do something about the named agent in a transaction."""
    from edusoc.composition import open_database
    from intake.agents.repository import need_agent
    from soc_core.clock import utc_now

    database = open_database(settings_of(arguments))
    try:
        with database.write() as connection:
            job(connection, need_agent(connection, arguments.agent), utc_now())
    finally:
        database.close()


def list_(arguments: argparse.Namespace) -> int:
    """Print the agents."""
    from edusoc.composition import open_database
    from intake.agents.repository import list_agents, list_sources
    from intake.agents.showing import agent_row
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today
    from soc_core.store.interface import SYSTEM_SCOPE

    now = utc_now()
    database = open_database(settings_of(arguments))
    with database.read() as connection:
        tree = load_tree(connection, today(now))
        found = list_agents(connection, SYSTEM_SCOPE)
        sources = list_sources(connection, [agent.id for agent in found])
    database.close()
    for agent in found:
        row = agent_row(agent, [source for source in sources if source.agent_id == agent.id], now)
        if arguments.json:
            print(orjson.dumps(row).decode())
            continue
        unit = tree.units.get(agent.organization_id)
        values: dict[str, str | int] = {
            "name": agent.name,
            "id": agent.id,
            "unit": unit.name if unit else agent.organization_id,
            "state": say(f"edusoc.agents.state_{row['condition']}"),
            "seen": shown_time(agent.last_seen_at),
            "accepted": agent.accepted,
        }
        print(printable(say("edusoc.agents.list.row", **values)))
    if not found and not arguments.json:
        print(say("edusoc.agents.list.none"))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print everything known of an agent."""
    from intake.agents import repository
    from intake.agents.showing import agent_row

    def shown(connection: Connection, agent: Agent, now: datetime) -> None:
        sources = repository.list_sources(connection, [agent.id])
        gaps = repository.list_gaps(connection, agent.id)
        row = {
            **agent_row(agent, sources, now),
            "epochs": [
                {"epoch": item.epoch, "mark": item.mark, "last_at": item.last_at}
                for item in repository.list_epochs(connection, agent.id)
            ],
            "gaps": [{"epoch": gap.epoch, "start": gap.start, "end": gap.end, "at": gap.at} for gap in gaps],
        }
        if arguments.json:
            print(orjson.dumps(row, option=orjson.OPT_INDENT_2).decode())
            return
        _print_agent(connection, row, now)
        for source in sources:
            state = say(f"edusoc.agents.source_{source.state}")
            values = {"name": source.name, "kind": source.kind, "state": state, "fault": said(source.fault)}
            last = shown_time(source.last_at)
            print(printable(say("edusoc.agents.show.source", **values, last=last).rstrip()))
        for gap in gaps:
            print(say("edusoc.agents.show.gap", count=gap.end - gap.start, at=shown_time(gap.at)))

    _with_agent(arguments, shown)
    return 0


def _print_agent(connection: Connection, row: dict[str, object], now: datetime) -> None:
    from soc_core.organisations.repository import load_tree, today

    units = load_tree(connection, today(now)).units
    unit = units.get(str(row["organisation_id"]))
    values: dict[str, str | int] = {
        name: value for name, value in row.items() if isinstance(value, str | int)
    } | {
        "unit": unit.name if unit else str(row["organisation_id"]),
        "condition": say(f"edusoc.agents.state_{row['condition']}"),
        "seen": shown_time(str(row["last_seen_at"])),
        "offset": int(str(row["clock_offset_ms"])) // 1_000,
    }
    for line in say("edusoc.agents.show.head", **values).splitlines():
        print(printable(line))


def revoke_(arguments: argparse.Namespace) -> int:
    """Stop taking an agent's key."""
    from intake.agents.repository import revoke

    _with_agent(arguments, lambda connection, agent, now: revoke(connection, agent.id, now=now))
    print(printable(say("edusoc.agents.revoke.done", name=arguments.agent)))
    return 0


def quota_(arguments: argparse.Namespace) -> int:
    """Set what an agent may send."""
    from intake.agents.repository import set_quota

    amounts = (arguments.events_per_second, arguments.megabytes_per_day * 1_000_000)
    _with_agent(arguments, lambda connection, agent, _now: set_quota(connection, agent.id, *amounts))
    print(say("edusoc.agents.done"))
    return 0


def silence_(arguments: argparse.Namespace) -> int:
    """Set how long a source may be silent."""
    from intake.agents.repository import set_limit

    seconds = 0 if arguments.limit == "auto" else int(duration(arguments.limit).total_seconds())
    _with_agent(
        arguments, lambda connection, agent, _now: set_limit(connection, agent.id, arguments.source, seconds)
    )
    print(say("edusoc.agents.done"))
    return 0


def senders(arguments: argparse.Namespace) -> int:
    """Print senders whose unit nobody knows."""
    from edusoc.composition import open_database
    from intake.agents.repository import list_agents, list_senders
    from soc_core.store.interface import SYSTEM_SCOPE

    database = open_database(settings_of(arguments))
    with database.read() as connection:
        names = {agent.id: agent.name for agent in list_agents(connection, SYSTEM_SCOPE)}
        found = list_senders(connection, list(names))
    database.close()
    for sender in found:
        if arguments.json:
            row = {name: getattr(sender, name) for name in sender.__slots__}
            print(orjson.dumps(row).decode())
        else:
            last = shown_time(sender.last_at, seconds=True)
            text = f"{sender.address}  {sender.zone}  {names[sender.agent_id]}  {sender.events}  {last}"
            print(printable(text))
    if not found and not arguments.json:
        print(say("edusoc.agents.senders.none"))
    return 0


def assign_(arguments: argparse.Namespace) -> int:
    """Say whose a sender is from today on: a line of the address plan."""
    from intake.agents.assigning import assign_network
    from soc_core.organisations.repository import load_tree, today

    def done(connection: Connection, agent: Agent, now: datetime) -> None:
        unit = load_tree(connection, today(now)).find(arguments.organisation)
        assign_network(connection, agent, arguments.network, unit.id, now)

    _with_agent(arguments, done)
    print(say("edusoc.agents.done"))
    return 0


def parent(arguments: argparse.Namespace) -> int:
    """Join a parent centre: from then on what policy says is forwarded to it."""
    from collectors.agent.joining import Wish, centre_url, join
    from edusoc.forwarding import parent_directory
    from soc_core.uplink.enrolment import EnrolmentCode

    settings = settings_of(arguments)
    wish = Wish(
        centre_url(arguments.centre),
        EnrolmentCode.parse(arguments.code),
        arguments.name,
        settings.parent_proxy,
    )
    identity = join(wish, parent_directory(settings), "centre")
    row = {"centre": identity.url, "agent": identity.agent, "unit": identity.organization_name}
    text = say("edusoc.agents.parent.done", unit=identity.organization_name, what=settings.parent_forward)
    print(orjson.dumps(row).decode() if arguments.json else printable(text))
    return 0


def orders(arguments: argparse.Namespace) -> int:
    """Print an agent's orders."""
    from intake.agents.ordering import list_orders

    def shown(connection: Connection, agent: Agent, _now: datetime) -> None:
        for row in list_orders(connection, agent.id):
            if arguments.json:
                fields = {name: getattr(row, name) for name in row.__slots__ if name != "text"}
                print(orjson.dumps(fields).decode())
            else:
                result = f"  {row.result}" if row.result else ""
                issued = shown_time(row.issued_at, seconds=True)
                print(printable(f"{row.number}  {row.kind}  {row.state}  {issued}{result}"))

    _with_agent(arguments, shown)
    return 0


def order_(arguments: argparse.Namespace) -> int:
    """Sign an order and let it wait for the agent."""
    from edusoc.identity import order_key
    from intake.agents.ordering import NewOrder, issue

    settings: Settings = settings_of(arguments)
    body = dict(_value(text) for text in arguments.values)
    valid = duration(arguments.valid)
    numbers: list[int] = []

    def issued(connection: Connection, agent: Agent, now: datetime) -> None:
        wanted = NewOrder(arguments.kind, body, now + valid)
        numbers.append(issue(connection, agent, wanted, order_key(settings), now=now).number)

    _with_agent(arguments, issued)
    print(say("edusoc.agents.order.done", number=numbers[0]))
    return 0


def _value(text: str) -> tuple[str, str]:
    """Return name and value of ``name=value``; ``name=@file`` takes a file's text. Raises ``UsageError``."""
    from pathlib import Path

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"'{text[:80]}' is not name=value", todo="write it like path=rules.toml")
    if value.startswith("@"):
        path = Path(value[1:])
        try:
            return name, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(said(str(error)), where=str(path)) from error
    return name, value
