"""Find who had an address: ``edusoc whois-was ADDRESS TIME``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, say, settings_of, shown_time
from edusoc.parser import NumberBetween, add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from cases.whereabouts import Answer, Candidate
    from soc_core.organisations.repository import OrganisationTree

SHOWN_EVIDENCE: Final = 5
SHOWN_SESSIONS: Final = 10


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "whois-was", "edusoc.whois_was")
    parser._negative_number_matcher = re.compile(r"^-\d")  # a time may begin with a minus ("-2h")
    parser.add_argument("address", metavar="ADDRESS", help=say("edusoc.whois_was.address"))
    parser.add_argument("time", metavar="TIME", help=say("edusoc.whois_was.time"))
    parser.add_argument("--organisation", metavar="CODE", help=say("edusoc.search.organisation"))
    parser.add_argument("--zone", default="", metavar="NAME", help=say("edusoc.import.zone"))
    parser.add_argument(
        "--port",
        type=NumberBetween(1, 65_535),
        default=0,
        metavar="PORT",
        help=say("edusoc.whois_was.port"),
    )
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the answers, the surest first; return 0, or 1 when nothing leads to a device."""
    from cases.whereabouts import Certainty, Question, who_was
    from edusoc.commands.search import time_of
    from edusoc.composition import open_services
    from soc_core.organisations.repository import load_tree, today
    from soc_core.store.interface import SYSTEM_SCOPE, Scope

    settings = settings_of(arguments)
    zone = ZoneInfo(settings.time_zone)
    with open_services(settings) as services:
        at = time_of(arguments.time, services.clock(), zone)
        with services.database.read() as connection:
            tree = load_tree(connection, today(at))
            scope = SYSTEM_SCOPE
            if arguments.organisation:
                scope = Scope(tree.subtree(tree.find(arguments.organisation).id))
            question = Question(arguments.address, at, scope, arguments.zone, arguments.port)
            answers = who_was(services.reader, connection, tree, question)
    if arguments.json:
        print(orjson.dumps(answers, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())
    else:
        for answer in answers:
            _print(answer, tree, zone)
    return 0 if any(answer.certainty == Certainty.DEVICE for answer in answers) else 1


def _print(answer: Answer, tree: OrganisationTree, zone: ZoneInfo) -> None:
    from soc_api.whereabouts.words import told

    unit = tree.units.get(answer.organization_id)
    name = say("edusoc.whois_was.nobody")
    if unit is not None:
        name = unit.name_en if language_of() == "en" and unit.name_en else unit.name
    certainty = told(f"certainty.{answer.certainty.value}", language_of())
    print(printable(say("edusoc.whois_was.answer", unit=name, zone=answer.zone or "-", certainty=certainty)))
    for session in answer.translations[:SHOWN_SESSIONS]:
        values = {"device": session.device, "inside": session.inside, "port": session.port or "-"}
        print(
            printable(
                say("edusoc.whois_was.translated", **values, time=shown_time(session.at, zone, seconds=True))
            )
        )
    for number, candidate in enumerate(answer.candidates, start=1):
        _print_candidate(number, candidate, zone)
    for hint in answer.hints:
        print(printable(f"  {told(f'hint.{hint.key}', language_of(), hint.values)}"))


def _print_candidate(number: int, candidate: Candidate, zone: ZoneInfo) -> None:
    from soc_api.whereabouts.words import told

    def listed(values: Sequence[str]) -> str:
        return ", ".join(values) or "-"

    head = say(
        "edusoc.whois_was.candidate",
        number=number,
        mac=candidate.mac or "-",
        hosts=listed(candidate.hosts),
        users=listed(candidate.users),
        places=listed(candidate.places),
        score=f"{candidate.score:.2f}",
    )
    print(printable(head))
    for item in candidate.evidence[:SHOWN_EVIDENCE]:
        until = (
            say("edusoc.whois_was.until", time=shown_time(item.until, zone, seconds=True))
            if item.until
            else ""
        )
        values = {
            "kind": told(f"kind.{item.kind.value}", language_of()),
            "until": until,
            "event": item.event_id,
        }
        print(
            printable(
                say("edusoc.whois_was.evidence", **values, time=shown_time(item.at, zone, seconds=True))
            )
        )
