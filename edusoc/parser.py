"""Parse the command line in the user's language, and make commands that explain themselves.

``argparse`` knows its own words in English only; the headings are set here, and its complaints are said by the
sentences ``edusoc.reason.*`` of the catalogue.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from edusoc.options import said, say


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Lay out help: texts as they are written, headings in the user's language."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Head the usage line with the user's word for it."""
        super().add_usage(usage, actions, groups, say("edusoc.cli.usage") if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """Parse arguments; the parsers of commands are of this class too."""

    def __init__(self, **options: Any) -> None:  # what argparse's own class takes
        """Set headings, layout and ``--help``."""
        super().__init__(**{"formatter_class": Formatter, **options, "add_help": False})
        self._positionals.title = say("edusoc.cli.positionals")
        self._optionals.title = say("edusoc.cli.options")
        self.add_argument("-h", "--help", action="help", help=say("edusoc.cli.help"))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read on; exit with 2."""
        hint = say("edusoc.cli.hint", command=self.prog)
        self.exit(2, f"{self.format_usage()}{self.prog}: {said(message)}\n{hint}\n")


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, key: str
) -> argparse.ArgumentParser:
    """Add the command ``name``: the sentences ``<key>.help`` and ``<key>.examples`` explain it."""
    text = say(f"{key}.help")
    return subparsers.add_parser(name, help=text, description=text, epilog=say(f"{key}.examples"))


def add_actions(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Add what a command's actions (``edusoc store stats``) are added to; one must be given."""
    return parser.add_subparsers(
        dest="action", metavar=say("edusoc.cli.action"), title=say("edusoc.cli.actions"), required=True
    )


class NumberBetween:
    """Read a whole number within bounds."""

    def __init__(self, least: int, most: int) -> None:
        """Take the bounds, which belong to it."""
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        """Return the number; raise ``ArgumentTypeError`` when it is none or out of bounds."""
        try:
            value = int(text)
        except ValueError:
            value = self._least - 1
        if self._least <= value <= self._most:
            return value
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is no number from {self._least} to {self._most}")


PORT: Final = NumberBetween(0, 65_535)
"""The argument type of a port; 0 lets the system choose one."""
