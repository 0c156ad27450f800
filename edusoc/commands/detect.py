"""Run rules over events or files: ``edusoc detect --rules PATH… EVENTS…`` writes detections as NDJSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edusoc.cli_language import language_of
from edusoc.options import add_settings, explained, say, settings_of
from edusoc.parser import add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from collectors.reading import Statistics
    from detectors.sigma import RuleSet
    from soc_core.model.detection import Detection
    from soc_core.model.event import Event

MAX_KEPT: Final = 200_000
"""Events kept for correlations, which look at a time in order; what is left out is counted and said."""
ALWAYS: Final = ("@timestamp", "event.id", "organization.id", "edusoc.zone")
_SHOWN: Final = 20


@dataclass(slots=True)
class Outcome:
    """Count what was found."""

    detections: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    left_out: int = 0

    def add(self, found: Sequence[Detection]) -> None:
        """Count detections."""
        self.detections += len(found)
        for detection in found:
            self.by_rule[detection.rule_id] = self.by_rule.get(detection.rule_id, 0) + 1


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(subparsers, "detect", "edusoc.detect")
    parser.add_argument("events", nargs="+", metavar="EVENTS", help=say("edusoc.detect.events"))
    parser.add_argument("--rules", action="append", metavar="PATH", help=say("edusoc.detect.rules"))
    parser.add_argument("--stats", metavar="FILE", help=say("edusoc.detect.stats"))
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Detect; return 0, 1 with bad records or rules that can't be used, 3 if it could not finish."""
    from collectors.reading import Statistics
    from detectors.sigma import load_rules
    from edusoc.composition import rules_directory

    paths = arguments.rules or [str(rules_directory(settings_of(arguments)))]
    rules = load_rules(paths)
    statistics, outcome = Statistics(), Outcome()
    code = _write(_detected(arguments.events, rules, statistics, outcome))
    unusable = [item for item in rules.problems if item.fatal]
    _report(statistics, outcome, rules)
    code = max(code, _write_statistics(arguments.stats, _as_json(statistics, outcome, rules)))
    return max(code, 1 if statistics.bad or unusable else 0)


def _detected(
    paths: Sequence[str], rules: RuleSet, statistics: Statistics, outcome: Outcome
) -> Iterator[Sequence[Detection]]:
    """Yield detections batch by batch: those of single events as they are read, those of correlations at the end."""
    from collectors.opening import find_inputs
    from collectors.reading import read_paths
    from detectors.sigma import CorrelationDetector, SigmaDetector
    from detectors.sigma.samples import judge_history
    from edusoc.progress import ReadingBar
    from soc_core.query.evaluate import compile_query

    detector = SigmaDetector(rules)
    correlations = [CorrelationDetector(rule) for rule in rules.correlations if rule.alone]
    wanted = [compile_query(one.query) for one in correlations]
    needed = {*ALWAYS, *(name for one in correlations for name in one.fields)}
    kept: list[Event] = []
    inputs = find_inputs(paths)
    with ReadingBar([item.path for item in inputs]) as bar:
        for batch in read_paths(inputs):
            statistics.add(batch)
            found = detector.detect(batch.events)
            outcome.add(found)
            yield found
            for event in batch.events:
                if any(wants(event) for wants in wanted):
                    if len(kept) < MAX_KEPT:
                        kept.append({name: event[name] for name in needed & event.keys()})
                    else:
                        outcome.left_out += 1
            bar.update(batch)
    for correlation in correlations:
        found = judge_history(correlation, kept)
        outcome.add(found)
        yield found


def _write(batches: Iterable[Sequence[Detection]]) -> int:
    """Write all detections; return 0, or 3 when it could not finish. A reader that went away ends it quietly."""
    output = sys.stdout.buffer
    try:
        for batch in batches:
            for detection in batch:
                output.write(_line(detection))
        output.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as fault:
        print(say("edusoc.detect.output", reason=str(fault)), file=sys.stderr)
        return 3
    return 0


def _line(detection: Detection) -> bytes:
    """Return a detection as one JSON line; reasons come as words in the reader's language."""
    import orjson

    body: dict[str, object] = {
        "id": detection.id,
        "rule_id": detection.rule_id,
        "kind": detection.kind,
        "severity": detection.severity.value,
        "first_seen": detection.first_seen,
        "last_seen": detection.last_seen,
        "organization_id": detection.organization_id,
        "entity": {
            "kind": detection.entity.kind,
            "value": detection.entity.value,
            "zone": detection.entity.zone,
        },
        "peer": detection.peer,
        "count": detection.count,
        "techniques": detection.techniques,
        "reasons": [explained(reason) for reason in detection.reasons],
        "evidence": detection.evidence,
    }
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def _as_json(statistics: Statistics, outcome: Outcome, rules: RuleSet) -> dict[str, object]:
    return {
        "rules": len(rules.rules),
        "correlations": len(rules.correlations),
        "detections": outcome.detections,
        "by_rule": dict(sorted(outcome.by_rule.items())),
        "left_out": outcome.left_out,
        "rule_problems": [
            {"file": item.file, "line": item.line, "fatal": item.fatal, "problem": explained(item.reason)}
            for item in rules.problems
        ],
        "reading": statistics.as_json(),
    }


def _report(statistics: Statistics, outcome: Outcome, rules: RuleSet) -> None:
    """Write the summary, the rules that can't be used and the first bad records to standard error."""
    from collectors.reasons import reason_text

    lines = [
        say(
            "edusoc.detect.summary",
            files=statistics.files,
            events=statistics.events,
            rules=len(rules.everything),
            detections=outcome.detections,
        )
    ]
    fatal = [item for item in rules.problems if item.fatal]
    lines += [f"{item.where}: {explained(item.reason)}" for item in fatal[:_SHOWN]]
    if len(fatal) > _SHOWN:
        lines.append(say("edusoc.detect.more", count=len(fatal) - _SHOWN))
    if outcome.left_out:
        lines.append(say("edusoc.detect.left_out", count=outcome.left_out))
    language = language_of()
    lines += [
        printable(f"{bad.source}:{bad.position}: {reason_text(bad.reason, language)}")
        for bad in statistics.bad_samples[:_SHOWN]
    ]
    print("\n".join(lines), file=sys.stderr)


def _write_statistics(path: str | None, body: dict[str, object]) -> int:
    """Write ``--stats``; return 0, or 3 when the file can't be written."""
    import orjson

    if not path:
        return 0
    try:
        Path(path).write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as fault:
        print(say("edusoc.detect.output", reason=str(fault)), file=sys.stderr)
        return 3
    return 0
