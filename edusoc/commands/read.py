"""Read files of any supported kind and write their events as NDJSON in ECS to standard output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from edusoc.cli_language import language_of
from edusoc.parser import add_command
from soc_core import i18n
from soc_core.printing import printable

if TYPE_CHECKING:
    from collectors.reading import ReadBatch, Statistics
    from soc_core.model.event import Event

_BAD_SHOWN: Final = 20


def _say(key: str, language: str, **values: str | int) -> str:
    """Return one of this command's messages."""
    i18n.load("collectors")
    return i18n.text(f"collectors.read.{key}", language, **values)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``read`` command to the command line."""
    language = language_of()
    i18n.load("collectors")
    parser = add_command(subparsers, "read", "collectors.read")
    parser.add_argument("paths", nargs="+", metavar="PATH", help=_say("paths", language))
    parser.add_argument("--flat", action="store_true", help=_say("flat", language))
    parser.add_argument("--only", action="append", default=[], metavar="DATASET", help=_say("only", language))
    parser.add_argument("--stats", metavar="FILE", help=_say("stats_file", language))
    parser.add_argument(
        "--zone-info", default="Asia/Shanghai", metavar="ZONE", help=_say("zone_info", language)
    )
    parser.add_argument("--no-original", action="store_true", help=_say("no_original", language))
    parser.add_argument(
        "--language", choices=i18n.LANGUAGES, default=language, help=_say("language", language)
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the files and return the exit code: 0, 1 with bad records, 2 for wrong use, 3 if it could not finish."""
    from zoneinfo import ZoneInfo

    from collectors.base import ReadContext
    from collectors.opening import OpenSource, find_inputs
    from collectors.reading import Statistics, read_paths
    from edusoc.bulk import BulkMemory
    from edusoc.progress import ReadingBar

    try:
        zone = ZoneInfo(arguments.zone_info)
    except (KeyError, OSError, ValueError):
        print(_say("zone", arguments.language, zone=arguments.zone_info), file=sys.stderr)
        return 2

    def context_for(source: OpenSource) -> ReadContext:
        return ReadContext(
            source.modified,
            zone_info=zone,
            keep_original=not arguments.no_original,
            options={"only": ",".join(arguments.only)},  # a collector may leave out the work for the rest
        )

    inputs = find_inputs(arguments.paths)
    statistics = Statistics()
    batches = read_paths(inputs, context_for, only=arguments.only)
    with ReadingBar([item.path for item in inputs]) as bar, BulkMemory() as memory:

        def passed(batch: ReadBatch) -> None:
            bar.update(batch)
            memory.count()

        code = _write(_watched(batches, statistics, passed), arguments)
    if code == 0 and (statistics.bad or not statistics.conserved):
        code = 1
    _report(statistics, arguments.language)
    return max(code, _write_statistics(statistics, arguments))


def _watched(
    batches: Iterable[ReadBatch], statistics: Statistics, show: Callable[[ReadBatch], None]
) -> Iterator[ReadBatch]:
    """Yield the batches; count each and show how far it is."""
    for batch in batches:
        statistics.add(batch)
        yield batch
        show(batch)


def _write(batches: Iterable[ReadBatch], arguments: argparse.Namespace) -> int:
    """Write all events; return 0, or 3 when it could not finish. A reader that went away ends it quietly."""
    output = sys.stdout.buffer
    try:
        for batch in batches:
            _write_events(output, batch.events, flat=arguments.flat)
        output.flush()
    except BrokenPipeError:
        # The other end of the pipe (head, a pager) has seen enough; nothing may be flushed at exit any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as fault:
        print(_say("output", arguments.language, reason=str(fault)), file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(_say("stopped", arguments.language), file=sys.stderr)
        return 3
    return 0


def _write_events(output: BinaryIO, events: list[Event], *, flat: bool) -> None:
    """Write one batch with one call."""
    import orjson

    from collectors.nesting import nest

    if flat:
        lines = [orjson.dumps(event, option=orjson.OPT_SORT_KEYS) for event in events]
    else:
        lines = [orjson.dumps(nest(event)) for event in events]
    if lines:
        lines.append(b"")
        output.write(b"\n".join(lines))


def _report(statistics: Statistics, language: str) -> None:
    """Write the summary and the first bad records to standard error."""
    from collectors.reasons import reason_text

    counts = statistics.counters
    lines = [
        _say(
            "summary",
            language,
            files=statistics.files,
            events=statistics.events,
            bad=statistics.bad,
        )
    ]
    if statistics.files_failed:
        lines.append(_say("failed", language, files=statistics.files_failed))
    for dataset, events in sorted(statistics.datasets.items()):
        lines.append(_say("dataset", language, dataset=dataset, events=events))
    if counts.get("packets"):
        lines.append(
            _say(
                "packets",
                language,
                packets=counts["packets"],
                flows=counts.get("packets_in_flows", 0),
                other=counts.get("packets_non_ip", 0),
                malformed=counts.get("packets_malformed", 0),
            )
        )
    if not statistics.conserved:
        lines.append(_say("unbalanced", language))
    advised: set[str] = set()
    for bad in statistics.bad_samples[:_BAD_SHOWN]:
        fault, _, advice = bad.reason.partition(" — ")
        # The same advice for a hundred foreign files is said once.
        shown = fault if advice in advised else bad.reason
        advised.add(advice)
        where = {"file": printable(bad.source), "reason": printable(reason_text(shown, language))}
        lines.append(_say("bad", language, offset=bad.position, line=bad.line, **where))
    if statistics.bad > _BAD_SHOWN:
        lines.append(_say("more", language, count=statistics.bad - _BAD_SHOWN))
    print("\n".join(lines), file=sys.stderr)


def _write_statistics(statistics: Statistics, arguments: argparse.Namespace) -> int:
    """Write ``--stats``; return 0, or 3 when the file can't be written."""
    import orjson

    if not arguments.stats:
        return 0
    try:
        Path(arguments.stats).write_bytes(
            orjson.dumps(statistics.as_json(), option=orjson.OPT_INDENT_2) + b"\n"
        )
    except OSError as fault:
        print(_say("stats", arguments.language, reason=str(fault)), file=sys.stderr)
        return 3
    return 0
