"""Convert rules for others: ``edusoc rules convert PATH… --to {elasticsearch,kibana,sql}``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, explained, say, settings_of
from edusoc.parser import add_command

if TYPE_CHECKING:
    from detectors.sigma.conversion import Converted, Options
    from detectors.sigma.model import Problem

FOLDER = "export"


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = add_command(actions, "convert", "edusoc.rules.convert")
    parser.add_argument("paths", nargs="*", metavar="PATH", help=say("edusoc.rules.paths"))
    targets = ("elasticsearch", "kibana", "sql")
    parser.add_argument("--to", choices=targets, required=True, help=say("edusoc.rules.convert.to"))
    parser.add_argument("--output", type=Path, metavar="FILE", help=say("edusoc.rules.convert.output"))
    parser.add_argument("--approximate", action="store_true", help=say("edusoc.rules.convert.approximate"))
    parser.add_argument("--folder", default=FOLDER, metavar="FOLDER", help=say("edusoc.rules.convert.folder"))
    parser.add_argument("--json", action="store_true", help=say("edusoc.rules.convert.json"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write what rules become elsewhere, name those that can't; return 1 when there are some."""
    from detectors.sigma import load_rules
    from detectors.sigma.conversion import Options, convert, write
    from edusoc.composition import rules_directory

    settings = settings_of(arguments)
    rules = load_rules([Path(path) for path in arguments.paths] or [rules_directory(settings)])
    options = Options(
        target=arguments.to,
        explain=explained,
        pattern=f"{settings.elasticsearch_prefix}-events-*",
        folder=arguments.folder,
        language=language_of(),
        approximate=arguments.approximate,
    )
    found = list(convert(rules, options))
    if arguments.output is not None:
        _save(arguments.output, write(found, options))
    elif not arguments.json:
        sys.stdout.write(write(found, options))
    fatal = [item for item in rules.problems if item.fatal]
    _report(found, fatal, options, arguments)
    return 1 if fatal or any(one.outcome == "refused" for one in found) else 0


def _save(path: Path, text: str) -> None:
    from soc_core.errors import UsageError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(
            f"the file can't be written: {fault.strerror}", where=str(path), todo="choose another --output"
        ) from fault


def _report(
    found: list[Converted], fatal: list[Problem], options: Options, arguments: argparse.Namespace
) -> None:
    """Tell what is not exact: with ``--json`` a line for each rule, else on standard error."""
    for item in fatal:
        if arguments.json:
            _row({"id": item.rule_id, "file": item.where, "outcome": "refused"}, [explained(item.reason)])
        else:
            print(f"{item.where}: {explained(item.reason)}", file=sys.stderr)
    for one in found:
        reasons = [explained(reason) for reason in one.reasons]
        if arguments.json:
            row = {"id": one.head.id, "title": one.head.title, "file": f"{one.head.file}:{one.head.line}"}
            content = {} if arguments.output or not one.text else {"converted": one.text}
            _row({**row, "to": options.target, "outcome": one.outcome, **content}, reasons)
        elif reasons:
            key = f"edusoc.rules.convert.{one.outcome}_one"
            print(say(key, title=one.head.title, reasons="; ".join(reasons)), file=sys.stderr)
    if not arguments.json:
        counts = {name: sum(one.outcome == name for one in found) for name in ("exact", "approximate")}
        refused = len(found) - sum(counts.values()) + len(fatal)
        print(say("edusoc.rules.convert.done", **counts, refused=refused), file=sys.stderr)


def _row(row: dict[str, object], reasons: list[str]) -> None:
    print(orjson.dumps({**row, "reasons": reasons}).decode())
