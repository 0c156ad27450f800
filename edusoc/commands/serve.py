"""Run a centre: ``edusoc serve``. A supervisor keeps two processes running: web, and the pipeline."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edusoc.options import add_settings, say, settings_of
from edusoc.parser import PORT, add_command
from soc_core.config import Settings
from soc_core.printing import printable

if TYPE_CHECKING:
    from edusoc.supervising import Link

WEB: Final = "web"
PIPELINE: Final = "pipeline"


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "serve", "edusoc.serve")
    parser.add_argument("--inputs", type=Path, metavar="FILE", help=say("edusoc.serve.inputs"))
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a centre."""
    parser.add_argument("--host", metavar="ADDRESS", help=say("edusoc.serve.host"))
    parser.add_argument("--port", type=PORT, metavar="PORT", help=say("edusoc.serve.port"))
    parser.add_argument("--intake-host", metavar="ADDRESS", help=say("edusoc.serve.intake_host"))
    parser.add_argument("--intake-port", type=PORT, metavar="PORT", help=say("edusoc.serve.intake_port"))
    parser.add_argument("--only", choices=(WEB, PIPELINE), help=say("edusoc.serve.only"))
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    settings = _settings(arguments)
    if arguments.only is None:
        return _supervise(arguments, settings)
    from edusoc.supervising import given

    descriptor, link = given()
    listener = _listener(arguments.only, settings, descriptor)
    if arguments.only == WEB:
        return _web(settings, listener, link)
    return _pipeline(settings, listener, link, arguments.inputs)


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = settings_of(arguments)
    given = {
        "host": arguments.host,
        "port": arguments.port,
        "intake_host": arguments.intake_host,
        "intake_port": arguments.intake_port,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def _listener(role: str, settings: Settings, descriptor: int) -> socket.socket:
    from edusoc.sockets import bind

    if descriptor >= 0:
        return socket.socket(fileno=descriptor)
    if role == WEB:
        return bind(settings.host, settings.port)
    return bind(settings.intake_host, settings.intake_port, "choose another --intake-port")


def _web(settings: Settings, listener: socket.socket, link: Link | None) -> int:
    from edusoc.composition import QUESTION_SECONDS, open_services
    from edusoc.condition import warn
    from edusoc.serving import serve

    def ready(url: str) -> None:
        if link is not None:
            link.ready()
        else:
            print(say("edusoc.serve.ready", url=url), flush=True)

    with open_services(settings, question_seconds=QUESTION_SECONDS) as services:
        warn(services.reader.health())
        serve(services, listener, ready)
    return 0


def _pipeline(settings: Settings, listener: socket.socket, link: Link | None, inputs: Path | None) -> int:
    from functools import partial

    from edusoc.pipelining import nothing_beside, run_pipeline
    from edusoc.sockets import address_of

    beside = nothing_beside
    if inputs is not None:
        from edusoc.local_inputs import running

        beside = partial(running, inputs)

    def ready() -> None:
        if link is not None:
            link.ready()
        else:
            url = f"https://{address_of(listener)}"
            print(say("edusoc.serve.intake_ready", url=url), flush=True)

    return run_pipeline(settings, listener, ready, beside)


def _supervise(arguments: argparse.Namespace, settings: Settings) -> int:
    """Take both ports first, so that a taken one is said at once; then run both processes."""
    from edusoc.sockets import address_of
    from edusoc.supervising import Role, Supervisor

    listeners = {role: _listener(role, settings, -1) for role in (WEB, PIPELINE)}
    roles = [Role(role, _words(arguments, role), listener) for role, listener in listeners.items()]

    def on_ready(role: str) -> None:
        address = address_of(listeners[role])
        if role == WEB:
            print(say("edusoc.serve.ready", url=f"http://{address}"), flush=True)
        else:
            print(say("edusoc.serve.intake_ready", url=f"https://{address}"), flush=True)

    def on_death(role: str, code: int, pause: float) -> None:
        name = say(f"edusoc.serve.role_{role}")
        text = say("edusoc.serve.died", role=name, code=code, seconds=round(pause))
        print(printable(text), file=sys.stderr, flush=True)

    try:
        return Supervisor(roles, on_ready, on_death).run()
    finally:
        for listener in listeners.values():
            listener.close()


def _words(arguments: argparse.Namespace, role: str) -> Sequence[str]:
    """Return the words that start one role with the same settings."""
    words = ["serve", "--only", role]
    given = (("--config", arguments.config), ("--state", arguments.state), ("--inputs", arguments.inputs))
    for option, value in given:
        if value:
            words += [option, str(value)]
    return words
