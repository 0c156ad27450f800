"""Show the main job on a made-up place: ``edusoc demo [--once] [--port 8600]``."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.cli_language import language_of
from edusoc.demo.words import say
from edusoc.parser import PORT, add_command
from soc_core import i18n
from soc_core.config import Settings, load_settings
from soc_core.i18n import LANGUAGES

if TYPE_CHECKING:
    import socket

    from edusoc.composition import Writer
    from edusoc.demo.build import Counts, Prepared, Wanted
    from edusoc.demo.scenes import Scene
    from edusoc.demo.stages import Stages
    from edusoc.demo.state import Ground
    from edusoc.demo.summary import Report

DEFAULT_STATE: Final = ".state/demo"
MADE_FROM: Final = ("edusoc", "soc_core", "collectors", "detectors", "intake", "cases", "rules", "pcaps")
"""What a demo's data is made of: a change in any of these directories makes it anew."""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    language = language_of()
    i18n.load("edusoc.demo")
    parser = add_command(subparsers, "demo", "edusoc.demo")
    parser.add_argument("--once", action="store_true", help=say("once", language))
    parser.add_argument("--port", type=PORT, metavar="PORT", help=say("port", language))
    parser.add_argument("--language", choices=LANGUAGES, default=language, help=say("language", language))
    parser.add_argument("--fresh", action="store_true", help=say("fresh", language))
    parser.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help=say("scenario", language)
    )
    parser.add_argument("--state", metavar="DIRECTORY", help=say("state", language))
    parser.add_argument("--json", action="store_true", help=say("json", language))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the demo, print the summary; with ``--once`` return 0 or 1 by the labels, else serve until interrupted."""
    from edusoc.demo.scenes import captures_directory, load_scenes
    from edusoc.demo.stages import Stages
    from edusoc.demo.state import fingerprint, take_ground
    from soc_core.clock import utc_now

    settings = _settings(arguments)
    listener = None if arguments.once else _listen(settings)
    captures = captures_directory()
    scenes = load_scenes(captures, arguments.scenario)
    root = captures.parent
    made_from = fingerprint([root / name for name in MADE_FROM]) + "," + ",".join(sorted(arguments.scenario))
    stages = Stages(settings.language)
    with take_ground(settings.state_directory, utc_now(), made_from, fresh=arguments.fresh) as ground:
        stages.note("begin.new" if ground.new else "begin.again", directory=str(ground.directory))
        report = _make(settings, ground, scenes, stages)
        _print(report, as_json=arguments.json)
        if listener is None:
            return 0 if report.passed else 1
        _serve(settings, listener)
    return 0


def _listen(settings: Settings) -> socket.socket:
    """Take the port before any work is done, so that a taken one is said at once."""
    from edusoc.serving import bind

    return bind(settings.host, settings.port)


def _settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings: environment, then command line; the demo has a state directory of its own."""
    settings = load_settings()
    return replace(
        settings,
        state=arguments.state or os.environ.get("EDUSOC_STATE") or DEFAULT_STATE,
        port=settings.port if arguments.port is None else arguments.port,
        language=arguments.language,
    )


def _make(settings: Settings, ground: Ground, scenes: list[Scene], stages: Stages) -> Report:
    """Build the demo and gather the summary."""
    from edusoc.composition import open_database, open_writer
    from edusoc.demo.build import Wanted, build, prepare
    from edusoc.demo.learning import train_on_normal
    from edusoc.demo.state import take_database
    from soc_core.clock import utc_now

    wanted = Wanted(ground, scenes, settings.language, utc_now())
    database = open_database(settings)
    try:
        take_database(database, new=ground.new)
        prepared = prepare(database, wanted, stages)
    finally:
        database.close()
    with stages.stage("model"):
        trained = train_on_normal(scenes, prepared.tree, settings.state_directory / "models")
    if not trained:
        stages.note("model.none")
    with open_writer(settings) as writer:
        counts = build(writer, wanted, prepared, stages)
        return _report(writer, wanted, prepared, counts, stages)


def _report(writer: Writer, wanted: Wanted, prepared: Prepared, counts: Counts, stages: Stages) -> Report:
    """Look at what there is now."""
    from cases.alerts.card import CardMaker
    from edusoc.demo.checking import check_scene, read_found
    from edusoc.demo.summary import Report, look_at_units, make_cards

    anchor, language = wanted.ground.anchor, wanted.language
    with stages.stage("summary"):
        with writer.database.read() as connection:
            found = read_found(connection, writer.store, prepared.scenario_of_path)
        cards = make_cards(writer.database, found, CardMaker(prepared.tree, writer.rules, language))
        checks = [check_scene(scene, found) for scene in wanted.scenes]
        units = look_at_units(writer.store, prepared.tree, anchor, language)
    stages.finish()
    return Report(
        language=language,
        anchor=anchor,
        cards=cards,
        closed=len(found) - len(cards),
        checks=checks,
        units=units,
        counts=counts,
        seconds=stages.seconds,
    )


def _print(report: Report, *, as_json: bool) -> None:
    from edusoc.demo.summary import as_json as shown
    from edusoc.demo.summary import as_lines

    if as_json:
        print(orjson.dumps(shown(report), option=orjson.OPT_INDENT_2).decode(), flush=True)
        return
    for line in as_lines(report):
        print(line)


def _serve(settings: Settings, listener: socket.socket) -> None:
    from edusoc.composition import QUESTION_SECONDS, open_services
    from edusoc.demo.tours import make_tours
    from edusoc.demo.world import PASSWORD
    from edusoc.serving import serve
    from soc_core.access.accounts import list_users

    language = settings.language

    def ready(url: str) -> None:
        print()
        print(say("serve.ready", language, url=url))
        print(say("serve.accounts", language, password=PASSWORD, names=", ".join(names)), flush=True)

    with open_services(settings, demo=True, question_seconds=QUESTION_SECONDS) as services:
        with services.database.read() as connection:
            names = [user.name for user in list_users(connection, demo_only=True)]
        serve(replace(services, tours=make_tours(services)), listener, ready)
