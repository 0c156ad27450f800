"""Keep known harmless things from becoming alerts: ``edusoc rules suppress``, ``edusoc rules suppressions``."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson

from edusoc.options import instant_of, say, shown_time
from edusoc.parser import NumberBetween
from edusoc.rule_asking import actor, add_action, need_rule_id, opened, place_name, tree_of, unit_of
from soc_core.printing import printable

if TYPE_CHECKING:
    from intake.rules.model import Suppression
    from soc_core.organisations.repository import OrganisationTree


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions."""
    parser = add_action(actions, "edusoc.rules.suppress", suppress, organisation=True, reason=True)
    parser.add_argument("rule", metavar="RULE", help=say("edusoc.rules.rule_or_all"))
    parser.add_argument("--entity", default="", metavar="VALUE", help=say("edusoc.rules.entity"))
    parser.add_argument(
        "--entity-kind",
        default="",
        choices=["ip", "host", "user", "domain"],
        help=say("edusoc.rules.entity_kind"),
    )
    parser.add_argument("--query", default="", metavar="QUERY", help=say("edusoc.rules.query"))
    parser.add_argument("--owner", default="", metavar="NAME", help=say("edusoc.rules.owner"))
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--days", type=NumberBetween(1, 366), help=say("edusoc.rules.days_valid"))
    until.add_argument("--until", metavar="TIME", help=say("edusoc.rules.until"))
    listing = add_action(actions, "edusoc.rules.suppressions", suppressions, organisation=True)
    listing.add_argument("--all", action="store_true", help=say("edusoc.rules.suppressions_all"))
    listing.add_argument("--end", metavar="ID", help=say("edusoc.rules.suppressions_end"))
    listing.add_argument("--reason", default="", metavar="TEXT", help=say("edusoc.rules.reason"))


def suppress(arguments: argparse.Namespace) -> int:
    """Suppress from now until the expiry; print the suppression."""
    from intake.rules.library import RuleLibrary
    from intake.rules.repository import NewSuppression, add_suppression
    from soc_core.store.interface import SYSTEM_SCOPE

    with opened(arguments) as (settings, database, now):
        tree = tree_of(database, now)
        days = arguments.days
        wanted = NewSuppression(
            rule_id=need_rule_id(RuleLibrary(settings).load(), arguments.rule),
            organization_id=unit_of(tree, arguments.organisation),
            owner=(arguments.owner or actor())[:64],
            reason=arguments.reason,
            expires=now + timedelta(days=days) if days else instant_of(arguments.until, settings),
            entity_kind=arguments.entity_kind,
            entity_value=arguments.entity,
            query=arguments.query,
        )
        with database.write() as connection:
            made = add_suppression(connection, SYSTEM_SCOPE, wanted, now=now)
    _print(made, tree, arguments)
    return 0


def suppressions(arguments: argparse.Namespace) -> int:
    """List suppressions with their hits, or end one."""
    from intake.rules.repository import Ending, end_suppression, list_suppressions
    from soc_core.clock import format_instant
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    with opened(arguments) as (_settings, database, now):
        tree = tree_of(database, now)
        if arguments.end:
            ending = Ending(arguments.end, actor(), arguments.reason)
            with database.write() as connection:
                _print(end_suppression(connection, SYSTEM_SCOPE, ending, now=now), tree, arguments)
            return 0
        unit = unit_of(tree, arguments.organisation)
        scope = Scope(tree.subtree(unit)) if unit else SYSTEM_SCOPE
        with database.read() as connection:
            found = list_suppressions(
                connection, scope, active_at="" if arguments.all else format_instant(now)
            )
    for item in found:
        _print(item, tree, arguments)
    if not arguments.json:
        print(say("edusoc.rules.suppressions_count", number=len(found)))
    return 0


def _print(item: Suppression, tree: OrganisationTree, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(orjson.dumps(item).decode())
        return
    about = " ".join(part for part in (item.entity_kind, item.entity_value, item.query) if part)
    ended = say("edusoc.rules.suppression_ended", at=shown_time(item.ended_at)) if item.ended_at else ""
    line = say(
        "edusoc.rules.suppression_line",
        id=item.id,
        rule=item.rule_id,
        place=place_name(tree, item.organization_id),
        about=about or say("edusoc.rules.anything"),
        until=shown_time(item.expires_at),
        hits=item.hits,
        owner=item.owner,
        reason=item.reason,
    )
    print(printable(line + ended))
