"""Read files of any supported kind and write their events as NDJSON in ECS to standard output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collectors.reading import ReadBatch, Statistics
    from soc_core.model.event import Event

_BAD_SHOWN: Final = 20
_EXAMPLE: Final = """examples · 示例:
  edusoc read capture.pcapng eve.json.gz > events.ndjson
  edusoc read --only zeek.dns --flat /var/log/zeek | jq .
  zcat old.log.gz | edusoc read --stats stats.json -
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``read`` command to the command line."""
    parser = subparsers.add_parser(
        "read",
        help="读取抓包与日志文件，输出 ECS 日志记录 · read files, write ECS events",
        description="读取任意受支持的文件（按内容识别），以 NDJSON 输出 ECS 日志记录；统计与坏记录写到标准错误。 · "
        "Read files of any supported kind (recognised by content) and write ECS events as NDJSON; statistics and "
        "bad records go to standard error.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="文件、目录或 -（标准输入） · files, directories or -"
    )
    parser.add_argument(
        "--flat",
        action="store_true",
        help="字段名用点号连接，不嵌套 · dotted names instead of nested objects",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="DATASET",
        help="只输出此数据集，可重复 · only this data set (repeatable)",
    )
    parser.add_argument("--stats", metavar="FILE", help="统计写入 JSON 文件 · write statistics as JSON")
    parser.add_argument(
        "--zone-info",
        default="Asia/Shanghai",
        metavar="ZONE",
        help="来源未注明时区时采用 · time zone of sources without one",
    )
    parser.add_argument("--no-original", action="store_true", help="不带原始记录 · leave out event.original")
    parser.add_argument(
        "--language", choices=("zh", "en"), default=_language(), help="提示语言 · language of messages"
    )
    parser.set_defaults(run=run)


def _language() -> str:
    """Return the language of messages: ``EDUSOC_LANGUAGE``, else Chinese."""
    language = os.environ.get("EDUSOC_LANGUAGE", "zh")
    return language if language in ("zh", "en") else "zh"


def run(arguments: argparse.Namespace) -> int:
    """Read the files and return the exit code: 0, 1 with bad records, 2 for wrong use, 3 if it could not finish."""
    from zoneinfo import ZoneInfo

    from collectors.base import ReadContext
    from collectors.opening import OpenSource, find_inputs
    from collectors.reading import Statistics, read_paths
    from soc_core import i18n

    i18n.load("collectors")
    try:
        zone = ZoneInfo(arguments.zone_info)
    except (OSError, ValueError):
        print(
            i18n.text("collectors.read.zone", arguments.language, zone=arguments.zone_info), file=sys.stderr
        )
        return 2

    def context_for(source: OpenSource) -> ReadContext:
        return ReadContext(source.modified, zone_info=zone, keep_original=not arguments.no_original)

    inputs = find_inputs(arguments.paths)
    statistics = Statistics()
    batches = read_paths(inputs, context_for, only=arguments.only)
    code = _write(batches, statistics, arguments, total=sum(item.size for item in inputs))
    if code == 0 and statistics.bad:
        code = 1
    _report(statistics, arguments.language)
    return max(code, _write_statistics(statistics, arguments))


def _write(
    batches: Iterable[ReadBatch], statistics: Statistics, arguments: argparse.Namespace, *, total: int
) -> int:
    """Write all events; return 0, or 3 when it could not finish. A reader that went away ends it quietly."""
    from soc_core import i18n

    output = sys.stdout.buffer
    try:
        with _Progress(total) as progress:
            for batch in batches:
                statistics.add(batch)
                _write_events(output, batch.events, flat=arguments.flat)
                progress.show(batch)
        output.flush()
    except BrokenPipeError:
        # The other end of the pipe (head, a pager) has seen enough; nothing may be flushed at exit any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as fault:
        print(i18n.text("collectors.read.output", arguments.language, reason=str(fault)), file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(i18n.text("collectors.read.stopped", arguments.language), file=sys.stderr)
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


class _Progress:
    """Show a progress bar in bytes on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._bar = None
        if sys.stderr.isatty() and total > 0:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, file=sys.stderr)
        self._file = ""
        self._done = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, batch: ReadBatch) -> None:
        """Move the bar to where ``batch`` ends."""
        if self._bar is None:
            return
        if batch.file != self._file:
            self._file, self._done = batch.file, 0
        self._bar.update(max(0, batch.done - self._done))
        self._done = max(self._done, batch.done)


def _report(statistics: Statistics, language: str) -> None:
    """Write the summary and the first bad records to standard error."""
    from soc_core.i18n import text

    counts = statistics.counters
    lines = [
        text(
            "collectors.read.summary",
            language,
            files=statistics.files,
            events=statistics.events,
            bad=statistics.bad,
        )
    ]
    if statistics.files_failed:
        lines.append(text("collectors.read.failed", language, files=statistics.files_failed))
    for dataset, events in sorted(statistics.datasets.items()):
        lines.append(text("collectors.read.dataset", language, dataset=dataset, events=events))
    if counts.get("packets"):
        lines.append(
            text(
                "collectors.read.packets",
                language,
                packets=counts["packets"],
                flows=counts.get("packets_in_flows", 0),
                other=counts.get("packets_non_ip", 0),
                malformed=counts.get("packets_malformed", 0),
            )
        )
    if not statistics.conserved:
        lines.append(text("collectors.read.unbalanced", language))
    for bad in statistics.bad_samples[:_BAD_SHOWN]:
        where = {"file": bad.source, "offset": bad.position, "line": bad.line, "reason": bad.reason}
        lines.append(text("collectors.read.bad", language, **where))
    if statistics.bad > _BAD_SHOWN:
        lines.append(text("collectors.read.more", language, count=statistics.bad - _BAD_SHOWN))
    print("\n".join(lines), file=sys.stderr)


def _write_statistics(statistics: Statistics, arguments: argparse.Namespace) -> int:
    """Write ``--stats``; return 0, or 3 when the file can't be written."""
    import orjson

    from soc_core.i18n import text

    if not arguments.stats:
        return 0
    try:
        Path(arguments.stats).write_bytes(
            orjson.dumps(statistics.as_json(), option=orjson.OPT_INDENT_2) + b"\n"
        )
    except OSError as fault:
        print(text("collectors.read.stats", arguments.language, reason=str(fault)), file=sys.stderr)
        return 3
    return 0
