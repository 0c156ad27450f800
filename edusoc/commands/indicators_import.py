"""Import a list of indicators: ``edusoc indicators import FILE --name NAME --reason TEXT``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.options import add_settings, said, say
from edusoc.parser import NumberBetween, add_command
from edusoc.progress import StagesBar
from edusoc.rule_asking import actor, opened
from soc_core.errors import InputError, UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from intake.indicators.importing import Imported
    from intake.indicators.model import Wanted

TLPS = ("clear", "green", "amber", "amber+strict", "red")
SEVERITIES = ("low", "medium", "high", "critical")
COLUMNS = ("value", "kind", "confidence", "tlp", "since", "expires", "reason", "reference")
MOST_SHOWN = 10


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = add_command(actions, "import", "edusoc.indicators.import")
    parser.add_argument("file", type=Path, metavar="FILE", help=say("edusoc.indicators.file"))
    parser.add_argument("--name", required=True, metavar="TEXT", help=say("edusoc.indicators.import_name"))
    parser.add_argument("--reason", required=True, metavar="TEXT", help=say("edusoc.indicators.reason"))
    parser.add_argument("--source", default="", metavar="TEXT", help=say("edusoc.indicators.source"))
    parser.add_argument(
        "--format", choices=("misp", "stix", "csv", "text"), default="", help=say("edusoc.indicators.format")
    )
    parser.add_argument(
        "--confidence", type=NumberBetween(0, 100), metavar="0-100", help=say("edusoc.indicators.confidence")
    )
    parser.add_argument("--tlp", choices=TLPS, help=say("edusoc.indicators.tlp"))
    parser.add_argument("--severity", choices=SEVERITIES, help=say("edusoc.indicators.severity"))
    parser.add_argument(
        "--valid-days", type=NumberBetween(0, 3_650), metavar="N", help=say("edusoc.indicators.valid_days")
    )
    parser.add_argument("--exact", action="store_true", help=say("edusoc.indicators.exact"))
    parser.add_argument("--allow", action="store_true", help=say("edusoc.indicators.allow_list"))
    parser.add_argument(
        "--column", action="append", default=[], metavar="NAME=COLUMN", help=say("edusoc.indicators.column")
    )
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import the file; return 1 when some of its entries could not be taken (said which)."""
    from detectors.indicators.reading.formats import LARGEST
    from intake.indicators.importing import ListKeeper
    from intake.indicators.shelf import Shelf

    path: Path = arguments.file
    if path.is_file() and path.stat().st_size > LARGEST:
        raise InputError("the list is larger than 256 MB", where=str(path), todo="cut it into several files")
    data = path.read_bytes()
    names = {name: say(f"edusoc.indicators.stage_{name}") for name in ("read", "write")}
    with (
        opened(arguments) as (settings, database, now),
        StagesBar(names, hidden=arguments.json, unit="") as bar,
    ):
        stages = _Stages(bar)
        keeper = ListKeeper(Shelf(settings.state_directory), database)
        imported = keeper.import_list(data, _wanted(arguments), now, stages.report)
    _print(imported, arguments)
    return 1 if imported.notes.bad else 0


class _Stages:
    """Show the stages of an import as they come."""

    def __init__(self, bar: StagesBar) -> None:
        self._bar, self._stage = bar, ""

    def report(self, stage: str, count: int) -> None:
        """Begin a new stage, or move on in it."""
        if stage != self._stage:
            self._stage = stage
            self._bar.begin(stage, 0)
        self._bar.advance(count)


def _wanted(arguments: argparse.Namespace) -> Wanted:
    from detectors.indicators.model import Tlp
    from intake.indicators.model import Wanted

    return Wanted(
        name=arguments.name,
        source=arguments.source or arguments.file.name,
        actor=actor(),
        reason=arguments.reason,
        format=arguments.format,
        confidence=arguments.confidence,
        tlp=Tlp(arguments.tlp) if arguments.tlp else None,
        severity=arguments.severity,
        valid_days=arguments.valid_days,
        subdomains=False if arguments.exact else None,
        allow=True if arguments.allow else None,
        columns=_columns(arguments.column),
    )


def _columns(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, column = text.partition("=")
        if not equals or name not in COLUMNS or not column:
            raise UsageError(
                f"'{text[:80]}' names no column", todo=f"write NAME=COLUMN; names: {', '.join(COLUMNS)}"
            )
        found[name] = column
    if found and "value" not in found:
        raise UsageError("the column of the values must be named", todo="--column value=NAME")
    return found


def _print(imported: Imported, arguments: argparse.Namespace) -> None:
    from edusoc.commands.indicators import list_row, print_bad

    notes = imported.notes
    counts: dict[str, str | int] = {
        "name": imported.kept.name,
        "version": imported.kept.version,
        "entries": imported.kept.entries,
        "added": imported.added,
        "gone": imported.gone,
        "bad": notes.bad,
        "skipped": notes.skipped,
        "expired": notes.expired,
    }
    if arguments.json:
        bad = [{"place": item.place, "reason": item.reason, "value": item.value} for item in notes.kept]
        row = list_row(imported.kept) | counts | {"bad_entries": bad, "reasons": notes.reasons}
        row |= {"unchanged": imported.unchanged, "hunt": imported.hunt.key if imported.hunt else ""}
        print(orjson.dumps(row).decode())
        return
    if imported.unchanged:
        print(printable(say("edusoc.indicators.import.unchanged", **counts)))
        return
    print(printable(say("edusoc.indicators.import.done", **counts)))
    for reason, count in sorted(notes.reasons.items(), key=lambda item: -item[1])[:MOST_SHOWN]:
        print(printable(say("edusoc.indicators.import.reason", reason=said(reason), count=count)))
    for item in notes.kept[:MOST_SHOWN]:
        print_bad(item.place, item.reason, item.value)
    if imported.hunt is not None:
        print(say("edusoc.indicators.import.hunt"))
