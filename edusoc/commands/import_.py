"""Import files: ``edusoc import PATH… --organisation CODE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

import orjson

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from collectors.reading import ReadBatch
    from edusoc.composition import Writer
    from intake.importing import ImportReport
    from soc_core.config import Settings

SHOWN_BAD = 10


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "import", "edusoc.import")
    parser.add_argument("paths", nargs="+", metavar="PATH", help=say("edusoc.import.paths"))
    parser.add_argument(
        "--organisation", required=True, metavar="CODE", help=say("edusoc.import.organisation")
    )
    parser.add_argument("--zone", default="default", metavar="NAME", help=say("edusoc.import.zone"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import and detect; return 0, or 1 when there were bad records."""
    from zoneinfo import ZoneInfo

    from edusoc.bulk import BulkMemory
    from edusoc.composition import open_writer
    from edusoc.condition import warn
    from edusoc.progress import ReadingBar
    from intake.importing import Place
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today

    settings = settings_of(arguments)
    with _said_who(open_writer(settings)) as writer:
        _maintain(writer, settings)
        warn(writer.store.health())
        with writer.database.read() as connection:
            unit = load_tree(connection, today(utc_now())).find(arguments.organisation)
        place = Place(unit.id, arguments.zone, ZoneInfo(settings.time_zone))
        with ReadingBar(arguments.paths, hidden=arguments.json) as bar, BulkMemory() as memory:

            def passed(batch: ReadBatch) -> None:
                bar.update(batch)
                memory.count()

            report = writer.importer.import_paths(arguments.paths, place, passed)
        writer.store.seal()  # before windows are judged: they read sealed events with less memory than the log's tail
        writer.pipeline.settle()
        _maintain(writer, settings)
        _print(writer, report, as_json=arguments.json)
    return 1 if report.read.bad or report.rejected else 0


@contextmanager
def _said_who(opening: AbstractContextManager[Writer]) -> Iterator[Writer]:
    """Open the writer; where a running centre holds the store, say how both may run."""
    from soc_core.errors import StoreBusyError

    with ExitStack() as stack:
        try:
            writer = stack.enter_context(opening)
        except StoreBusyError as error:
            todo = "if it is a running centre, stop it, or run it as: edusoc serve --only web"
            raise StoreBusyError(error.what, where=error.where, todo=todo) from error
        yield writer


def _maintain(writer: Writer, settings: Settings) -> None:
    """Do what is due; that it failed is said and hinders nothing."""
    from edusoc.maintenance import maintain
    from soc_core.clock import utc_now

    failed = maintain(writer.store, writer.database, settings, utc_now())
    if failed:
        print(printable(f"{say('edusoc.retention.failed')} {said(failed)}"), file=sys.stderr)


def _print(writer: Writer, report: ImportReport, *, as_json: bool) -> None:
    progress = writer.pipeline.progress
    if as_json:
        body = {
            **report.read.as_json(),
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "detections": progress.detections,
            "detections_by_rule": dict(sorted(progress.by_rule.items())),
        }
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
        return
    for bad in report.read.bad_samples[:SHOWN_BAD]:
        where = f"{bad.source}:{bad.line}" if bad.line else f"{bad.source}@{bad.position}"
        print(printable(f"{say('edusoc.import.bad')} {where}: {said(bad.reason)}"), file=sys.stderr)
    print(
        say(
            "edusoc.import.summary",
            files=report.read.files,
            events=report.read.events,
            accepted=report.accepted,
            duplicates=report.duplicates,
            bad=report.read.bad + report.rejected,
            detections=progress.detections,
        )
    )
