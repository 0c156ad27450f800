"""Run the ``edusoc`` command line.

Exit codes: 0 done; 1 done with bad records or failed checks; 2 wrong use or configuration; 3 could not finish.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from edusoc.cli_language import language_of
from soc_core import i18n
from soc_core.errors import EdusocError

COMMANDS: Final = (
    "read",
    "detect",
    "import_",
    "search",
    "rules",
    "models",
    "organisations",
    "users",
    "serve",
    "store",
    "demo",
)
"""One module of ``edusoc.commands`` each, in the order of the help."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    i18n.load("edusoc")
    language = language_of()
    parser = argparse.ArgumentParser(
        prog="edusoc",
        description=i18n.text("edusoc.cli.description", language),
        epilog=i18n.text("edusoc.cli.epilog", language),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(
        dest="command", metavar=i18n.text("edusoc.cli.command", language), required=True
    )
    for name in COMMANDS:
        import_module(f"edusoc.commands.{name}").add(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no input makes it show a traceback."""
    parsed = build_parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except EdusocError as error:
        print(f"edusoc: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(i18n.text("edusoc.cli.interrupted", language_of()), file=sys.stderr)
        return 3
    except BrokenPipeError:
        # The reader of our output went away (head, less): not an error. Python must not try to flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
