"""Run the ``edusoc`` command line.

Exit codes: 0 done; 1 done with bad records or failed checks; 2 wrong use or configuration; 3 could not finish.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from edusoc.options import said, say
from edusoc.parser import Parser
from edusoc.terminal import guarded
from soc_core.errors import EdusocError, StoreError
from soc_core.printing import printable

COMMANDS: Final = (
    "read",
    "detect",
    "import_",
    "search",
    "whois_was",
    "rules",
    "indicators",
    "privacy",
    "models",
    "organisations",
    "users",
    "serve",
    "run",
    "collect",
    "enrol",
    "doctor",
    "service",
    "agents",
    "store",
    "upgrade",
    "audit",
    "kibana",
    "demo",
)
"""One module of ``edusoc.commands`` each, in the order of the help."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = Parser(prog="edusoc", description=say("edusoc.cli.description"), epilog=say("edusoc.cli.epilog"))
    subparsers = parser.add_subparsers(
        dest="command", metavar=say("edusoc.cli.command"), title=say("edusoc.cli.commands"), required=True
    )
    for name in COMMANDS:
        import_module(f"edusoc.commands.{name}").add(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no input makes it show a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal can't show, it shows as a number
    sys.stdout = guarded(sys.stdout)
    parsed = build_parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt:
        print(say("edusoc.cli.interrupted"), file=sys.stderr)
        return 3
    except BrokenPipeError:
        # The reader of our output went away (head, less): not an error. Python must not try to flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it is, the user gets a sentence
        return _fail(error)


def _fail(error: Exception) -> int:
    """Say what went wrong; return the exit code."""
    if os.environ.get("EDUSOC_DEBUG"):
        traceback.print_exception(error)
    known = error if isinstance(error, EdusocError) else _known(error)
    if known is not None:
        print(f"edusoc: {printable(said(str(known)))}", file=sys.stderr)
        return known.exit_code
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = printable(f"{type(error).__name__}: {error}"[:500])
    where = f"{Path(place.filename).name}:{place.lineno}"
    print(f"edusoc: {say('edusoc.cli.unexpected', what=what, where=where)}", file=sys.stderr)
    return 3


def _known(error: Exception) -> EdusocError | None:
    """Return our own error for one of the system or of the operational database, ``None`` for any other."""
    if isinstance(error, OSError):
        return StoreError(error.strerror or str(error), where=str(error.filename or ""))
    if "sqlalchemy" not in sys.modules:  # an agent has none: it can't be an error of the database
        return None
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        return StoreError(
            f"the operational database can't be used: {error.orig}",
            todo="check the permissions of the state directory and the room on its disk",
        )
    return None
