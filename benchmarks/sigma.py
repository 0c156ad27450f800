"""Measure Sigma matching: ``python -m benchmarks.sigma [--rules DIR] [--events PATH] [--rounds N]``.

Rules are SigmaHQ's for Windows, events the EVTX attack samples, both from the shared test data unless given. Prints
processor seconds to load, events a processor-second

- *first*: the first time, groups of rules being made on the way;
- *again*: the same values in new objects, as on a quiet network;
- *new values*: every text has a part never seen before, so nothing is remembered: the worst case;
- *rule by rule*: each rule's query tree judged alone (``soc_core.query.evaluate``), on a sample;

and how memory grows over the rounds with new values. Events are read before, and reading is not counted. The peer of
the goals, ``rsigma`` (crates.io), is not run here: building it takes longer than all our benchmarks.
"""

from __future__ import annotations

import argparse
import pickle
import random
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._shared import SHARED
from collectors.reading import collect, read_paths
from detectors.sigma import SigmaRule, load_rules, to_query
from detectors.sigma.matcher import Matcher
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query

SIGMA = SHARED / "sigma"
FOLDERS = ("rules/windows", "rules-emerging-threats", "rules-threat-hunting")
SAMPLE = 60


def cpu(work: Callable[[], object]) -> float:
    """Return the processor seconds of this process that ``work`` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def memory_mb() -> int:
    """Return the resident memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() >> 20


def unpacked(name: str, folder: Path) -> Path:
    """Unpack an archive of the shared data."""
    with tarfile.open(SIGMA / f"{name}.tar.xz") as archive:
        archive.extractall(folder / name, filter="data")
    return folder / name


def windows_rules(folder: Path) -> list[SigmaRule]:
    """Load the rules about Windows."""
    places = [folder / name for name in FOLDERS if (folder / name).is_dir()] or [folder]
    return [rule for rule in load_rules(places).rules if rule.logsource.product == "windows"]


def renewed(events: Sequence[Event], seed: int) -> list[Event]:
    """Return the events with a part never seen before in every text, and in every text of a list."""
    pick = random.Random(seed)

    def fresh(text: str) -> str:
        at = pick.randrange(len(text) + 1)
        return f"{text[:at]}{pick.getrandbits(48):x}{text[at:]}"

    kept = {"event.dataset", "event.code", "event.module", "event.kind"}
    return [
        {
            name: value
            if name in kept
            else fresh(value)
            if isinstance(value, str)
            else [fresh(item) if isinstance(item, str) else item for item in value]  # type: ignore[misc] # one type
            if isinstance(value, list)
            else value
            for name, value in event.items()
        }
        for event in events
    ]


def rate(matcher: Matcher[SigmaRule], events: Sequence[Event]) -> float:
    """Return events a processor-second."""
    match = matcher.match
    return len(events) / max(cpu(lambda: [match(event) for event in events]), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = arguments.rules or unpacked("sigmahq-rules", place)
        samples = arguments.events or unpacked("evtx-attack-samples", place)
        measure(folder, samples, arguments.rounds)


def measure(folder: Path, samples: Path, rounds: int) -> None:
    rules: list[SigmaRule] = []
    loading = cpu(lambda: rules.extend(windows_rules(folder)))
    events, _ = collect(read_paths([str(samples)]))
    packed = pickle.dumps(events)
    print(f"{len(rules)} rules loaded in {loading:.2f} s, {len(events)} events, {memory_mb()} MB")
    matcher = Matcher(rules)
    print(f"first          {rate(matcher, pickle.loads(packed)):10,.0f} events/s")
    warm = sorted(rate(matcher, pickle.loads(packed)) for _ in range(3))
    print(f"again          {warm[1]:10,.0f} events/s")
    before = memory_mb()
    rates = sorted(rate(matcher, renewed(events, seed)) for seed in range(rounds))
    print(f"new values     {rates[len(rates) // 2]:10,.0f} events/s")
    print(
        f"memory         {memory_mb() - before:+10,d} MB over {len(events) * rounds:,} events with new values"
    )
    sample = random.Random(3).sample(events, min(SAMPLE, len(events)))
    slow = [compile_query(to_query(rule)) for rule in rules]
    taken = cpu(lambda: [matches(event) for event in sample for matches in slow])
    print(
        f"rule by rule   {len(sample) / taken:10,.0f} events/s ({warm[1] * taken / len(sample):,.0f} times slower)"
    )


if __name__ == "__main__":
    main()
