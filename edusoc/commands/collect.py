"""Run the agent: ``edusoc collect --config FILE``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edusoc.options import said, say
from edusoc.parser import add_command
from soc_core.model.event import Scalar
from soc_core.printing import printable
from soc_core.system import CONFIG

if TYPE_CHECKING:
    from collectors.agent.configuration import Configuration


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "collect", "edusoc.collect")
    add_agent_config(parser)
    parser.add_argument("--check", action="store_true", help=say("edusoc.collect.check"))
    parser.add_argument("--needs", action="store_true", help=say("edusoc.collect.needs"))
    parser.set_defaults(run=run)


def add_agent_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` of commands about the agent."""
    usual = os.environ.get("EDUSOC_AGENT_CONFIG", CONFIG)
    parser.add_argument(
        "--config", type=Path, default=Path(usual), metavar="FILE", help=say("edusoc.collect.config")
    )


def run(arguments: argparse.Namespace) -> int:
    """Collect until told to stop (SIGTERM, SIGINT); SIGHUP reads the configuration anew."""
    from collectors.agent.agent import Agent
    from collectors.agent.configuration import load_configuration, with_managed

    log_in_words()
    configuration = load_configuration(arguments.config)
    if arguments.needs:
        return _needs(with_managed(configuration)[0])
    if arguments.check:
        return _check(*with_managed(configuration))
    agent = Agent(configuration, notice)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, lambda *_: agent.reload.set())
    names = ", ".join(item.name for item in configuration.inputs)
    notice("started", {"file": str(configuration.path), "inputs": names or "–"})
    agent.run(stop)
    notice("stopped", {})
    return 0


class _Words(logging.Formatter):
    """Say what parts of the program log in the user's language, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(said(record.getMessage()))


def log_in_words() -> None:
    """Write what parts of the program log to standard error, in the user's language."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Words())
    logging.getLogger("edusoc").handlers[:] = [handler]


def notice(key: str, values: Mapping[str, Scalar]) -> None:
    """Say on standard error what the agent tells; the system's journal keeps it."""
    told = {
        name: said(value) if name == "reason" and isinstance(value, str) else value
        for name, value in values.items()
    }
    print(printable(say(f"edusoc.collect.told.{key}", **told)), file=sys.stderr, flush=True)  # type: ignore[arg-type] # numbers and texts


def _needs(configuration: Configuration) -> int:
    """Print what the installer must give the service, a word a line."""
    from collectors.agent.needs import needs

    print("\n".join(needs(configuration.inputs)))
    return 0


def _check(configuration: Configuration, trouble: str) -> int:
    """Say that a configuration is right; what is wrong was raised before."""
    if trouble:
        notice("managed", {"reason": trouble})
    print(say("edusoc.collect.right", file=str(configuration.path), inputs=len(configuration.inputs)))
    return 1 if trouble else 0
