"""Bring foreign rule sets in and look after them: ``edusoc rules import PATH``, ``edusoc rules sets``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.options import explained, say, shown_time
from edusoc.rule_asking import actor, add_action, opened
from soc_core.printing import printable

if TYPE_CHECKING:
    from datetime import datetime

    from detectors.sigma.model import Problem, RuleSet
    from intake.rules.library import RuleLibrary
    from intake.rules.sets import RuleSetInfo
    from soc_core.state.database import Database

SHOWN: Final = 20
"""Problems printed; ``rules lint`` on the set's folder prints all."""


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions."""
    parser = add_action(actions, "edusoc.rules.import", import_)
    parser.add_argument("path", type=Path, metavar="PATH", help=say("edusoc.rules.import_path"))
    parser.add_argument("--name", default="", metavar="NAME", help=say("edusoc.rules.set_name"))
    parser.add_argument("--reason", default="", metavar="TEXT", help=say("edusoc.rules.reason"))
    listing = add_action(actions, "edusoc.rules.sets", sets)
    what = listing.add_mutually_exclusive_group()
    what.add_argument("--remove", metavar="NAME", help=say("edusoc.rules.set_remove"))
    what.add_argument("--back", metavar="NAME", help=say("edusoc.rules.set_back"))
    listing.add_argument("--reason", default="", metavar="TEXT", help=say("edusoc.rules.reason"))


def import_(arguments: argparse.Namespace) -> int:
    """Check a set, let it run and say what is in it; return 1 when some of its rules can't run here."""
    from detectors.sigma import load_rules
    from detectors.sigma.lint import lint_foreign
    from intake.rules.archives import RULES, collect
    from intake.rules.library import RuleLibrary
    from intake.rules.sets import RuleSetInfo, check_name, name_for
    from soc_core.clock import format_instant
    from soc_core.errors import InputError

    name = check_name(arguments.name) if arguments.name else name_for(arguments.path)
    collected = collect(arguments.path)
    with opened(arguments) as (settings, database, now):
        library = RuleLibrary(settings)
        digest, folder = library.sets.stage(name, collected)
        rules = load_rules([folder])
        if not rules.everything:
            library.sets.discard(name, digest)
            _print_problems(rules.problems[:SHOWN], folder, arguments)
            raise InputError("no rule of this set can run here", where=str(arguments.path))
        info = RuleSetInfo(
            name=name,
            kind=collected.kind,
            origin=str(arguments.path.resolve()),
            digest=digest,
            imported_at=format_instant(now),
            actor=actor(),
            commit=collected.commit,
            files=len(collected.files),
            texts=tuple(sorted(path for path in collected.files if not path.lower().endswith(RULES))),
            left_out=collected.left_out,
        )
        info = library.sets.put(info)
        _note(database, "rules.import", info, arguments.reason, now)
        doubled = _doubled(library, name, rules)
    found = lint_foreign([folder], rules)
    _report(info, rules, found, doubled, arguments)
    return 1 if any(item.fatal for item in found) else 0


def _doubled(library: RuleLibrary, name: str, rules: RuleSet) -> list[tuple[str, str]]:
    """Return the rules whose id another rule has that wins, with that rule's set (empty: our own)."""
    shelf = library.load()
    ids = {rule.id for rule in rules.everything}
    running = {rule.id for rule in shelf.rules.everything}
    return sorted(
        (id_, shelf.origins.get(id_, "")) for id_ in ids & running if shelf.origins.get(id_, "") != name
    )


def _report(
    info: RuleSetInfo,
    rules: RuleSet,
    found: list[Problem],
    doubled: list[tuple[str, str]],
    arguments: argparse.Namespace,
) -> None:
    from detectors.sigma.model import SigmaRule
    from intake.rules.model import RuleState
    from intake.rules.standings import states_at_start

    heads = {rule.id: (rule.head.severity, rule.head.status) for rule in rules.everything}
    states = list(states_at_start(heads, foreign=True).values())
    blind = sum(isinstance(rule, SigmaRule) and rule.blind is not None for rule in rules.everything)
    fatal = [item for item in found if item.fatal]
    row = {
        **_row(info),
        "rules": len(heads),
        "on": states.count(RuleState.ON),
        "silent": states.count(RuleState.SILENT),
        "blind": blind,
        "unusable": len(fatal),
        "remarks": len(found) - len(fatal),
        "doubled": [{"rule": id_, "wins": place or "own"} for id_, place in doubled],
    }
    if arguments.json:
        print(orjson.dumps(row).decode())
        return
    folder = Path(info.name)
    _print_problems(fatal[:SHOWN], folder, arguments)
    if len(fatal) > SHOWN:
        print(say("edusoc.rules.more_problems", number=len(fatal) - SHOWN))
    for id_, place in doubled[:SHOWN]:
        print(say("edusoc.rules.doubled", rule=id_, place=place or say("edusoc.rules.own")))
    print(printable(say("edusoc.rules.imported", **{**_words(info), **{k: row[k] for k in _COUNTS}})))  # type: ignore[arg-type]
    if info.texts:
        print(printable(say("edusoc.rules.licences", files=", ".join(info.texts[:5]))))


_COUNTS: Final = ("rules", "on", "silent", "blind", "unusable", "remarks")


def sets(arguments: argparse.Namespace) -> int:
    """List imported sets, remove one or set one back to its earlier version."""
    from intake.rules.sets import RuleSets

    with opened(arguments) as (settings, database, now):
        kept = RuleSets(settings.state_directory)
        if arguments.remove:
            info = kept.remove(arguments.remove)
            _note(database, "rules.remove", info, arguments.reason, now)
        elif arguments.back:
            info = kept.back(arguments.back)
            _note(database, "rules.back", info, arguments.reason, now)
        found = kept.all()
    for item in found:
        if arguments.json:
            print(orjson.dumps(_row(item)).decode())
        else:
            print(printable(say("edusoc.rules.set_line", **_words(item))))
    if not arguments.json:
        print(say("edusoc.rules.sets_count", number=len(found)))
    return 0


def _note(database: Database, kind: str, info: RuleSetInfo, reason: str, now: datetime) -> None:
    from intake.rules.model import STREAM
    from soc_core.audit.journal import record

    body = {"set": info.name, "origin": info.origin, "digest": info.digest, "commit": info.commit}
    with database.write() as connection:
        record(connection, STREAM, kind, {**body, "actor": actor(), "reason": reason[:500]}, now=now)


def _row(info: RuleSetInfo) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(info)


def _words(info: RuleSetInfo) -> dict[str, str | int]:
    left = ", ".join(f"{cause} {number}" for cause, number in sorted(info.left_out.items()))
    return {
        "name": info.name,
        "origin": info.origin,
        "commit": f" @ {info.commit[:12]}" if info.commit else "",
        "at": shown_time(info.imported_at),
        "files": info.files,
        "digest": info.digest[:12],
        "earlier": say("edusoc.rules.set_earlier") if info.previous else "",
        "left": say("edusoc.rules.left_out", causes=left) if left else "",
    }


def _print_problems(
    problems: list[Problem] | tuple[Problem, ...], folder: Path, arguments: argparse.Namespace
) -> None:
    for item in problems:
        inside = item.where.partition("/versions/")[2].partition("/")[2] or item.where
        text = f"{folder.name}/{inside}: {explained(item.reason)}"
        if not arguments.json:
            print(printable(text))
