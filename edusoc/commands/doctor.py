"""Say what is wrong with this agent and what to do: ``edusoc doctor``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.commands.collect import add_agent_config
from edusoc.options import said, say, shown_time
from edusoc.parser import add_command
from soc_core.model.event import Scalar
from soc_core.printing import printable

if TYPE_CHECKING:
    from collectors.agent.finding import Check

SIGNS: Final = {"ok": "✓", "warning": "！", "bad": "✗"}
WINDOWS: Final = frozenset({"died", "file_denied", "not_running", "port_unused", "state_denied"})
"""What is mended in another way on Windows."""
_REASONS: Final = frozenset({"reason"})
_TIMES: Final = frozenset({"at", "last", "oldest", "since"})
_TIME_LETTERS: Final = 27


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "doctor", "edusoc.doctor")
    add_agent_config(parser)
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look; return 1 when something is wrong that a person must mend."""
    from collectors.agent.checks import check_all, worst
    from collectors.agent.configuration import load_configuration
    from collectors.agent.finding import BAD, Check
    from collectors.agent.looking import Machine
    from soc_core.clock import utc_now
    from soc_core.errors import UsageError

    try:
        configuration = load_configuration(arguments.config)
    except UsageError as error:
        checks = [Check(BAD, "configuration_wrong", {"reason": str(error)})]
    else:
        checks = list(check_all(configuration, utc_now(), Machine()))
    _print(checks, as_json=arguments.json)
    return 1 if worst(checks) == BAD else 0


def _print(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"level": item.level, "check": item.key, "what": what(item), "todo": todo(item), **_values(item)}
            for item in checks
        ]
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for item in checks:
        print(printable(f"{SIGNS[item.level]} {what(item)}"))
        if advice := todo(item):
            print(printable(f"   {say('edusoc.doctor.advice')}{advice}"))


def what(check: Check) -> str:
    """Return what was found, in the user's language."""
    return say(f"edusoc.doctor.told.{check.key}", **_shown(check))  # type: ignore[arg-type] # texts and numbers


def todo(check: Check) -> str:
    """Return what to do, empty where nothing is to do."""
    if check.level == "ok":
        return ""
    group = "todo_windows" if sys.platform == "win32" and check.key in WINDOWS else "todo"
    return say(f"edusoc.doctor.{group}.{check.key}", **_shown(check))  # type: ignore[arg-type] # texts and numbers


def _shown(check: Check) -> dict[str, Scalar]:
    return {name: _word(name, value) for name, value in check.values.items()}


def _word(name: str, value: Scalar) -> Scalar:
    """Return a value as people read it: reasons in their language, times on their clock."""
    if name in _REASONS:
        return said(str(value))
    if name in _TIMES and len(str(value)) == _TIME_LETTERS:
        return shown_time(str(value), seconds=True)
    return value


def _values(check: Check) -> dict[str, dict[str, Scalar]]:
    return {"values": dict(check.values)}
