"""Keep accounts: ``edusoc users add NAME``, ``edusoc users disable NAME``, ``edusoc users list``."""

from __future__ import annotations

import argparse
import getpass
import sys

import orjson

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import add_actions, add_command

ROLES = ("analyst", "contact", "auditor", "overseer", "developer")


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "users", "edusoc.users"))
    adder = add_command(actions, "add", "edusoc.users.add")
    adder.add_argument("name", metavar="NAME", help=say("edusoc.users.name"))
    adder.add_argument("--role", choices=ROLES, required=True, help=say("edusoc.users.role"))
    adder.add_argument("--organisation", metavar="CODE", required=True, help=say("edusoc.users.organisation"))
    adder.add_argument("--display-name", default="", metavar="TEXT", help=say("edusoc.users.display_name"))
    adder.add_argument("--language", choices=("zh", "en"), default="zh", help=say("edusoc.cli.language"))
    adder.add_argument("--replace", action="store_true", help=say("edusoc.users.replace"))
    lister = add_command(actions, "list", "edusoc.users.list")
    lister.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    disabler = add_command(actions, "disable", "edusoc.users.disable")
    disabler.add_argument("name", metavar="NAME", help=say("edusoc.users.name"))
    for action, job in ((adder, add_), (disabler, disable), (lister, list_)):
        add_settings(action)
        action.set_defaults(run=job)


def add_(arguments: argparse.Namespace) -> int:
    """Add an account; the password comes from a prompt, or from standard input when that is not a terminal."""
    from edusoc.composition import open_database
    from soc_core.access.accounts import Role, User, add_user, require_free
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today

    database = open_database(settings_of(arguments))
    if not arguments.replace:
        with database.read() as connection:
            require_free(connection, arguments.name)
    terminal = sys.stdin.isatty()
    password = (
        getpass.getpass(say("edusoc.users.password")) if terminal else sys.stdin.readline().rstrip("\n")
    )
    with database.write() as connection:
        unit = load_tree(connection, today(utc_now())).find(arguments.organisation)
        shown = arguments.display_name or arguments.name
        user = User(arguments.name, shown, Role(arguments.role), unit.id, arguments.language, demo=False)
        add_user(connection, user, password, now=utc_now())
    database.close()
    print(say("edusoc.users.done", name=arguments.name))
    return 0


def disable(arguments: argparse.Namespace) -> int:
    """Close an account; its sessions end at once."""
    from edusoc.composition import open_database
    from soc_core.access.accounts import disable_user

    database = open_database(settings_of(arguments))
    with database.write() as connection:
        disable_user(connection, arguments.name)
    database.close()
    print(say("edusoc.users.disabled", name=arguments.name))
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """Print the accounts."""
    from edusoc.composition import open_database
    from soc_core.access.accounts import list_users

    database = open_database(settings_of(arguments))
    with database.read() as connection:
        found = list_users(connection)
    database.close()
    for user in found:
        row = {"name": user.name, "role": user.role.value, "organisation_id": user.organisation_id}
        print(
            orjson.dumps(row).decode()
            if arguments.json
            else f"{user.name}  {user.role}  {user.organisation_id}"
        )
    return 0
