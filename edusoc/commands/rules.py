"""Look after Sigma rules: ``edusoc rules lint``, ``test``, ``list``, ``blind``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, explained, say, settings_of
from edusoc.parser import add_actions, add_command

if TYPE_CHECKING:
    from detectors.sigma import RuleSet
    from detectors.sigma.model import CorrelationRule, Problem, SigmaRule
    from detectors.sigma.samples import Case
    from soc_core.model.detection import Reason


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "rules", "edusoc.rules"))
    for name, job in (("lint", lint), ("test", test), ("list", list_), ("blind", blind)):
        action = add_command(actions, name, f"edusoc.rules.{name}")
        action.add_argument("paths", nargs="*", metavar="PATH", help=say("edusoc.rules.paths"))
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)


def lint(arguments: argparse.Namespace) -> int:
    """Print everything wrong with rules; return 1 when there is something."""
    from detectors.sigma.lint import lint as check

    paths = _paths(arguments)
    rules = _load(paths)
    found = check(paths, rules)
    _print_problems(found, arguments)
    if not arguments.json:
        print(say("edusoc.rules.linted", rules=_count(rules), problems=len(found)))
    return 1 if found else 0


def test(arguments: argparse.Namespace) -> int:
    """Try rules on the samples beside them; return 1 when one is judged wrongly or a rule can't be loaded."""
    from detectors.sigma.loading import find_files
    from detectors.sigma.samples import run_cases

    paths = _paths(arguments)
    problems: list[Problem] = []
    passed = failed = without = 0
    for file in find_files(paths, problems):
        rules = _load([file])
        problems.extend(item for item in rules.problems if item.fatal)
        cases = _cases(file, problems)
        without += not cases
        for outcome in run_cases(rules, cases):
            passed, failed = passed + outcome.passed, failed + (not outcome.passed)
            if not outcome.passed or arguments.json:
                _print_outcome(outcome.case, outcome.fired, outcome.passed, arguments)
    _print_problems(problems, arguments)
    if not arguments.json:
        print(say("edusoc.rules.tested", passed=passed, failed=failed, without=without))
    return 1 if failed or problems else 0


def _cases(file: Path, problems: list[Problem]) -> list[Case]:
    from detectors.sigma.model import Problem
    from detectors.sigma.samples import read_cases, samples_of
    from detectors.sigma.words import problem
    from soc_core.errors import InputError

    path = samples_of(file)
    if not path.is_file():
        return []
    try:
        return read_cases(path)
    except InputError as fault:
        problems.append(Problem(str(path), 0, problem("samples", detail=fault.what)))
        return []


def _print_outcome(case: Case, fired: Sequence[str], passed: bool, arguments: argparse.Namespace) -> None:
    if arguments.json:
        row = {"file": case.file, "number": case.number, "positive": case.positive, "why": case.why}
        print(orjson.dumps({**row, "fired": list(fired), "passed": passed}).decode())
        return
    name = "positive" if case.positive else "negative"
    key = "edusoc.rules.silent" if case.positive else "edusoc.rules.fired"
    where = f"{case.file}: {name} {case.number}"
    print(f"{where}: {say(key, why=case.why, rules=', '.join(fired))}")


def list_(arguments: argparse.Namespace) -> int:
    """Print rules with state and log source, then the problems; return 1 when a rule could not be loaded."""
    rules = _load(_paths(arguments))
    for rule in rules.everything:
        row = _row(rule)
        if arguments.json:
            print(orjson.dumps(row).decode())
        else:
            state = say(f"edusoc.rules.state_{row['state']}")
            print(f"{row['id']}  {row['level']:<13}  {state}  {row['source']}  {_title(rule)}")
    fatal = [item for item in rules.problems if item.fatal]
    _print_problems(fatal, arguments)
    if not arguments.json:
        print(say("edusoc.rules.listed", rules=_count(rules), problems=len(fatal)))
    return 1 if fatal else 0


def blind(arguments: argparse.Namespace) -> int:
    """Print the rules that can't see: nobody collects what they ask for, or no such event is in the store."""
    rules = _load(_paths(arguments))
    unseen = set(_unseen(rules, arguments))
    count = 0
    for rule in rules.rules:
        reason = rule.blind or (_nothing(rule) if rule.id in unseen else None)
        if reason is None:
            continue
        count += 1
        if arguments.json:
            row = {
                "id": rule.id,
                "title": _title(rule),
                "reason": explained(reason),
                "collected": rule.blind is None,
            }
            print(orjson.dumps(row).decode())
        else:
            print(f"{rule.id}  {_title(rule)}: {explained(reason)}")
    if not arguments.json:
        print(say("edusoc.rules.blinded", blind=count, rules=len(rules.rules)))
    return 0


def _unseen(rules: RuleSet, arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the ids of rules whose log source has no event in the store; nothing when there is no store yet."""
    from detectors.sigma.blind import unseen_rules
    from edusoc.composition import open_events

    settings = settings_of(arguments)
    if not settings.elasticsearch_url and not (settings.state_directory / "events").is_dir():
        return
    reader = open_events(settings, writer=False)
    try:
        yield from unseen_rules(rules.rules, reader)
    finally:
        reader.close()


def _nothing(rule: SigmaRule) -> Reason:
    from detectors.sigma.words import problem

    return problem("unseen", source=str(rule.logsource))


def _row(rule: SigmaRule | CorrelationRule) -> dict[str, object]:
    from detectors.sigma.model import SigmaRule

    if isinstance(rule, SigmaRule):
        reason, source = rule.blind, str(rule.logsource)
        state = "blind" if reason else "on" if rule.alone else "feeding"
    else:
        reason, source, state = None, f"correlation={rule.type.value}", "on"
    row: dict[str, object] = {
        "id": rule.id,
        "title": _title(rule),
        "level": rule.head.severity.value,
        "status": rule.head.status,
        "state": state,
        "source": source,
        "kind": rule.head.kind,
        "file": f"{rule.head.file}:{rule.head.line}",
    }
    return row | ({"reason": explained(reason)} if reason else {})


def _title(rule: SigmaRule | CorrelationRule) -> str:
    return rule.head.words[language_of()].title


def _count(rules: RuleSet) -> int:
    return len(rules.everything)


def _paths(arguments: argparse.Namespace) -> list[Path]:
    from edusoc.composition import rules_directory

    return [Path(path) for path in arguments.paths] or [rules_directory(settings_of(arguments))]


def _load(paths: Sequence[Path]) -> RuleSet:
    from detectors.sigma import load_rules

    return load_rules(paths)


def _print_problems(problems: Sequence[Problem], arguments: argparse.Namespace) -> None:
    for item in problems:
        if arguments.json:
            row = {"file": item.file, "line": item.line, "rule": item.rule_id, "fatal": item.fatal}
            print(orjson.dumps({**row, "problem": explained(item.reason)}).decode())
        else:
            print(f"{item.where}: {explained(item.reason)}")
