"""Join a centre: ``edusoc enrol --centre URL --code CODE``."""

from __future__ import annotations

import argparse
import os
from typing import Final

from edusoc.commands.collect import add_agent_config
from edusoc.options import say
from edusoc.parser import add_command

PROXY: Final = "EDUSOC_PROXY"
"""The environment variable of a proxy that wants a password."""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "enrol", "edusoc.enrol")
    parser.add_argument("--centre", required=True, metavar="URL", help=say("edusoc.enrol.centre"))
    parser.add_argument("--code", required=True, metavar="CODE", help=say("edusoc.enrol.code"))
    parser.add_argument("--name", default="", metavar="TEXT", help=say("edusoc.enrol.name"))
    parser.add_argument("--proxy", default="", metavar="URL", help=say("edusoc.enrol.proxy"))
    parser.add_argument("--state", default="", metavar="DIRECTORY", help=say("edusoc.enrol.state"))
    parser.add_argument("--replace", action="store_true", help=say("edusoc.enrol.replace"))
    add_agent_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Join, keep who we are, and write a configuration where there is none."""
    from pathlib import Path

    from collectors.agent.agent import program_version
    from collectors.agent.configuration import load_configuration
    from collectors.agent.identity import read_identity
    from collectors.agent.joining import Wish, centre_url, join
    from collectors.agent.template import write_configuration
    from soc_core.errors import UsageError
    from soc_core.system import STATE
    from soc_core.uplink.enrolment import EnrolmentCode

    url, code = centre_url(arguments.centre), EnrolmentCode.parse(arguments.code)
    there = arguments.config.exists()
    configured = load_configuration(arguments.config) if there else None
    state = Path(arguments.state or STATE) if configured is None else configured.state
    known = read_identity(state) if not arguments.replace else None
    if known is not None:
        raise UsageError(
            f"this agent belongs to a centre already: {known.url}",
            where=str(state),
            todo="to join another, or to join anew, add --replace",
        )
    proxy = _proxy(arguments.proxy)
    identity = join(Wish(url, code, arguments.name, proxy), state, program_version())
    print(
        say(
            "edusoc.enrol.done",
            unit=identity.organization_name or identity.organization_id,
            agent=identity.agent,
        )
    )
    if configured is None:
        write_configuration(arguments.config, url, arguments.name, proxy, state)
        print(say("edusoc.enrol.written", file=str(arguments.config)))
    elif configured.centre is None or configured.centre.url != url:
        print(say("edusoc.enrol.set_url", file=str(arguments.config), url=url))
    return 0


def _proxy(given: str) -> str:
    """Return the proxy; raise ``UsageError`` for a password that everybody on the machine could read."""
    from urllib.parse import urlsplit

    from soc_core.errors import UsageError

    if urlsplit(given).password:
        raise UsageError(
            "a password on the command line can be read by everybody on this machine",
            todo=f"set the environment variable {PROXY} instead of --proxy",
        )
    return given or os.environ.get(PROXY, "")
