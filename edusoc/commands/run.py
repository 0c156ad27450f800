"""Run a centre and inputs of its own on one machine: ``edusoc run``, for a school that stands alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edusoc.commands import serve
from edusoc.options import say
from edusoc.parser import add_command
from soc_core.errors import UsageError
from soc_core.system import CONFIG

if TYPE_CHECKING:
    from collectors.agent.configuration import Configuration


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "run", "edusoc.run")
    parser.add_argument(
        "--inputs", type=Path, default=Path(CONFIG), metavar="FILE", help=say("edusoc.run.inputs")
    )
    serve.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the inputs' configuration, then serve with them until interrupted."""
    from collectors.agent.configuration import load_configuration

    _check_unit(load_configuration(arguments.inputs))
    return serve.run(arguments)


def _check_unit(configuration: Configuration) -> None:
    """Raise ``UsageError`` when no unit is set for the events."""
    if not configuration.place.organisation:
        raise UsageError(
            "no unit is set for the events of these inputs",
            where=f"{configuration.path}: [agent]",
            todo='write organisation = "…" under [agent]: a code of a unit that was imported',
        )
