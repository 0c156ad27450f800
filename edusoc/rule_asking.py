"""Share what the actions of ``edusoc rules`` and ``indicators`` need: who acts, at which unit, in which transaction."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import add_command

if TYPE_CHECKING:
    from detectors.sigma.model import CorrelationRule, SigmaRule
    from intake.rules.library import Shelf
    from soc_core.config import Settings
    from soc_core.organisations.repository import OrganisationTree
    from soc_core.state.database import Database

LONGEST_ACTOR: Final = 64


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    key: str,
    job: Callable[[argparse.Namespace], int],
    *,
    organisation: bool = False,
    reason: bool = False,
) -> argparse.ArgumentParser:
    """Add an action that reports in words or JSON: ``edusoc.rules.on`` is the action ``on``, its sentences' place."""
    command, _, name = key.rpartition(".")
    parser = add_command(actions, name, key)
    if organisation:
        parser.add_argument("--organisation", metavar="CODE", help=say(f"{command}.organisation"))
    if reason:
        parser.add_argument("--reason", required=True, metavar="TEXT", help=say(f"{command}.reason"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=job)
    return parser


def actor() -> str:
    """Return who acts at the command line: the account of the operating system."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid()) if hasattr(os, "getuid") else "?"
    return f"console:{name}"[:LONGEST_ACTOR]


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[tuple[Settings, Database, datetime]]:
    """Give settings, the operational database and the time."""
    from edusoc.composition import open_database
    from soc_core.clock import utc_now

    settings = settings_of(arguments)
    database = open_database(settings)
    try:
        yield settings, database, utc_now()
    finally:
        database.close()


def tree_of(database: Database, now: datetime) -> OrganisationTree:
    """Return the units as they are today."""
    from soc_core.organisations.repository import load_tree, today

    with database.read() as connection:
        return load_tree(connection, today(now))


def unit_of(tree: OrganisationTree, code: str | None) -> str:
    """Return a unit's id by its code, empty for the whole installation; raise ``UsageError`` for an unknown one."""
    return tree.find(code).id if code else ""


def place_name(tree: OrganisationTree, organization_id: str) -> str:
    """Return a unit's name in the user's language, or the words for the whole installation."""
    from edusoc.cli_language import language_of

    if not organization_id:
        return say("edusoc.rules.everywhere")
    unit = tree.units.get(organization_id)
    if unit is None:
        return organization_id
    return unit.name_en if language_of() == "en" else unit.name


def rule_of(shelf: Shelf, text: str) -> SigmaRule | CorrelationRule | None:
    """Return the rule of an id, of the beginning of one (8 characters at least), or of a file's name without ending.

    Returns ``None`` where there is none: detectors that are no Sigma rules have names of their own.
    Raises ``UsageError`` when several fit.
    """
    from pathlib import Path

    from soc_core.errors import UsageError

    wanted = text.lower()
    everything = shelf.rules.everything
    exact = [rule for rule in everything if rule.id == wanted]
    fitting = exact or [
        rule
        for rule in everything
        if (len(wanted) >= 8 and rule.id.startswith(wanted))
        or (Path(rule.head.file).stem == wanted and rule.alone)
    ]
    if len(fitting) > 1:
        raise UsageError(f"several rules fit '{text[:64]}'", todo="give the rule's id: edusoc rules list")
    return fitting[0] if fitting else None


def need_rule_id(shelf: Shelf, text: str) -> str:
    """Return the id of a rule or detector; raise ``UsageError`` for one nobody knows."""
    from intake.rules.model import ALL_RULES
    from intake.rules.names import is_detector
    from soc_core.errors import UsageError

    rule = rule_of(shelf, text)
    if rule is not None:
        return rule.id
    if text == ALL_RULES or is_detector(text):
        return text
    raise UsageError(f"there is no rule '{text[:64]}'", todo="see: edusoc rules list")
