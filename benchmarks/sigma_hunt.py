"""Measure retro-hunts: ``python -m benchmarks.sigma_hunt DIRECTORY [--days N] [--rules FOLDER] [--rounds N]``.

``DIRECTORY`` is a store as ``benchmarks.store --keep`` makes it (5 million events over 180 days). Hunts over the last
days, and over all of them, by one rule and by all own rules (or those in a folder), against reading everything and
giving it to the matcher, in the same run; every way must find the same detections. Prints processor seconds, events
that were judged, and memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.store import memory, spent
from detectors.sigma import RuleSet, SigmaDetector, SigmaRule, load_rules
from detectors.sigma.mapping import bundled_rules
from intake.hunting.hunt import hunt
from intake.hunting.model import Asked, Hunt, Hunted, Means
from soc_core.clock import parse_instant
from soc_core.model.detection import Detection
from soc_core.organisations.repository import OrganisationTree
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, Search

TYPICAL = "powershell_download_cradle.yml"


def hunted(reader: EventReader, rules: Sequence[SigmaRule], asked: Asked) -> tuple[Hunt, set[str], float]:
    """Hunt; return the outcome, the detections' ids and the processor seconds."""
    kept: set[str] = set()

    def take(found: Sequence[Detection]) -> None:
        kept.update(one.id for one in found)

    begin = spent()
    done = hunt(reader, Hunted(rules), asked, OrganisationTree({}), Means(take=take))
    return done, kept, spent() - begin


def scanned(reader: EventReader, rules: Sequence[SigmaRule], asked: Asked) -> tuple[int, set[str], float]:
    """Read everything and judge it; return how many events, the detections' ids and the processor seconds."""
    detector = SigmaDetector(RuleSet.of(tuple(rules)))
    begin, examined, kept = spent(), 0, set[str]()
    for events in reader.scan(Search(SYSTEM_SCOPE, asked.start, asked.end)):
        examined += len(events)
        kept.update(one.id for one in detector.detect(events))
    return examined, kept, spent() - begin


def cases(rules: Sequence[SigmaRule]) -> Iterator[tuple[str, Sequence[SigmaRule]]]:
    """Yield what is hunted by."""
    typical = [rule for rule in rules if Path(rule.head.file).name == TYPICAL]
    if typical:
        yield "one rule", typical[:1]
    yield f"{len(rules)} rules", rules


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="turns of which the quickest counts")
    parser.add_argument("--whole", action="store_true", help="also over all days")
    arguments = parser.parse_args()
    loaded = load_rules([arguments.rules or bundled_rules()])
    rules = [rule for rule in loaded.rules if rule.alone]
    reader = EmbeddedStore(arguments.directory / "events", writer=False)
    try:
        statistics = reader.statistics(SYSTEM_SCOPE)
        last = parse_instant(max(item.last for item in statistics)) + timedelta(seconds=1)
        first = parse_instant(min(item.first for item in statistics))
        spans = [last - timedelta(days=arguments.days), *([first] if arguments.whole else [])]
        return max(measure(reader, rules, (start, last), arguments.rounds) for start in spans)
    finally:
        reader.close()


def measure(
    reader: EventReader, rules: Sequence[SigmaRule], span: tuple[datetime, datetime], rounds: int
) -> int:
    """Print a table for a span; return 1 when answers differ."""
    asked = Asked(SYSTEM_SCOPE, *span)
    examined, expected, whole = scanned(reader, rules, asked)
    days = (asked.end - asked.start).days
    print(f"{days} days, reading everything: {examined:,} events, {whole:.1f} s, {len(expected)} detections")
    code = 0
    for name, chosen in cases(rules):
        turns = [hunted(reader, chosen, asked) for _ in range(rounds)]
        done, found, _ = turns[0]
        wanted = expected if len(chosen) == len(rules) else expected & found
        times = sorted(turn[2] for turn in turns)
        same = found == wanted
        code = max(code, 0 if same else 1)
        print(
            f"{days} days, {name:10} {done.examined:>10,} events judged, first {turns[0][2]:6.2f} s, "
            f"best {times[0]:6.2f} s ({whole / times[0]:5.1f} times less), {len(found)} detections, "
            f"{'the same' if same else 'DIFFERENT'}, {memory('VmRSS')} MB",
            flush=True,
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
