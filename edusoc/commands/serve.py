"""Serve console and API: ``edusoc serve``."""

from __future__ import annotations

import argparse
from dataclasses import replace

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import PORT, add_command


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "serve", "edusoc.serve")
    parser.add_argument("--host", metavar="ADDRESS", help=say("edusoc.serve.host"))
    parser.add_argument("--port", type=PORT, metavar="PORT", help=say("edusoc.serve.port"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from edusoc.composition import QUESTION_SECONDS, open_services
    from edusoc.condition import warn
    from edusoc.serving import bind, serve

    settings = settings_of(arguments)
    settings = replace(
        settings,
        host=arguments.host or settings.host,
        port=settings.port if arguments.port is None else arguments.port,
    )
    with open_services(settings, question_seconds=QUESTION_SECONDS) as services:
        warn(services.reader.health())
        listener = bind(settings.host, settings.port)
        serve(services, listener, lambda url: print(say("edusoc.serve.ready", url=url), flush=True))
    return 0
