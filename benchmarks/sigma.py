"""Measure Sigma matching: ``python -m benchmarks.sigma [--rules DIR] [--events PATH] [--rounds N] [--peers DIR]``.

Rules are SigmaHQ's for Windows, events the EVTX attack samples, both from the shared test data unless given. Prints
processor seconds to load, events a processor-second

- *first*: the first time, groups of rules being made on the way;
- *again*: the same values in new objects, as on a quiet network;
- *new values*: every text has a part never seen before, so nothing is remembered: the worst case;
- *rule by rule*: each rule's query tree judged alone (``soc_core.query.evaluate``), on a sample;

and how memory grows over the rounds with new values. Then, on the attack samples, on SigmaHQ's regression events and
on everyday events made anew (``_sigma_events``: none of their values was there when the matcher was made), the rate in
steady state and, with ``--peers`` (a folder to build in), that of ``rsigma`` and ``sigma-rust`` from crates.io and of
pySigma's queries to SQLite, one a rule, as Zircolite does it. Verdicts are compared with the plain reference's on a
sample and with the peers', differences are listed by reason. Audit records of Linux and Zeek logs are judged by us
alone. Reading is not counted. Processor time within one run, so ratios hold on a busy machine too. Memory and loading
are measured by ``benchmarks.sigma_memory``.
"""

from __future__ import annotations

import argparse
import gc
import pickle
import random
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._shared import SHARED
from benchmarks._sigma_events import Maker, audit_lines
from benchmarks._sigma_peers import Peers, Told, Verdicts, reasons
from benchmarks._sigma_windows import Flat, Judge, flat_events, source_of
from collectors.reading import collect, read_paths
from detectors.sigma import SigmaRule, load_rules, to_query
from detectors.sigma.matcher import Matcher
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query

SIGMA = SHARED / "sigma"
FOLDERS = ("rules/windows", "rules-emerging-threats", "rules-threat-hunting")
SAMPLE = 60
JUDGED = 150
"""Events of each kind on which the reference is asked for every rule."""
FRESH = 20_000


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
    """Return events a processor-second; what is held for the measurement itself isn't searched for garbage."""
    match = matcher.match
    gc.collect()
    gc.freeze()
    return len(events) / max(cpu(lambda: [match(event) for event in events]), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--fresh", type=int, default=FRESH, help="everyday events to make")
    parser.add_argument("--peers", type=Path, help="where peers are built; without it only we are measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = arguments.rules or unpacked("sigmahq-rules", place)
        samples = arguments.events or unpacked("evtx-attack-samples", place)
        measure(folder, samples, arguments.rounds)
        peers = Peers(arguments.peers) if arguments.peers else None
        comparison = Comparison(folder, peers)
        comparison.compare("attack samples", windows_events(samples), arguments.rounds)
        comparison.compare(
            "regression events", windows_events(unpacked("regression", place)), arguments.rounds
        )
        comparison.compare(
            "everyday events", made(place, arguments.fresh, 2), 1, made(place, arguments.fresh, 1)
        )
        others(folder, place)
    sys.exit(bool(comparison.wrong))


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


def windows_events(folder: Path) -> list[Event]:
    """Return the events of a folder whose raw records are kept, so that peers can read them."""
    events, _ = collect(read_paths([str(folder)]))
    return [event for event in events if str(event.get("event.original", "")).startswith('{"Event":')]


def made(place: Path, count: int, seed: int) -> list[Event]:
    """Return everyday events, read by our collectors."""
    file = place / f"everyday{seed}.json"
    file.write_text("\n".join(Maker(seed).records(count)) + "\n", encoding="utf-8")
    return collect(read_paths([str(file)]))[0]


class Comparison:
    """Compare rates and verdicts; ``wrong`` counts where we and the reference differ."""

    def __init__(self, folder: Path, peers: Peers | None) -> None:
        """Take the rules, and the peers if any."""
        self.wrong = 0
        self._peers = peers
        self._rules = folder / FOLDERS[0] if (folder / FOLDERS[0]).is_dir() else folder
        self._loaded = windows_rules(self._rules)
        self._judge = Judge.read([self._rules])

    def compare(self, name: str, events: Sequence[Event], rounds: int, before: Sequence[Event] = ()) -> None:
        """Judge events that we have seen before, or after ``before`` if that is given; let the others judge them."""
        matcher, records = Matcher(self._loaded), flat_events(events)
        first = cpu(lambda: [matcher.match(event) for event in before or events])
        packed = pickle.dumps(events)
        taken = sorted(len(events) / rate(matcher, pickle.loads(packed)) for _ in range(rounds))[rounds // 2]
        ours = {(number, rule.id) for number, event in enumerate(events) for rule in matcher.match(event)}
        print(f"\n{name}: {len(events):,} events, {len(self._loaded):,} rules, {len(ours):,} matches")
        print(
            f"  {'edusoc':18s} {len(events) / taken:10,.0f} events/s ({len(before or events) / first:,.0f} at first)"
        )
        for told in self._peers.run(self._rules, records, rounds) if self._peers else ():
            self._show(told, len(events) / taken, ours, records)
        self._hold_against_reference(records, ours)

    def _show(self, told: Told, rate: float, ours: Verdicts, records: Sequence[Flat]) -> None:
        print(
            f"  {told.name:18s} {told.rate:10,.0f} events/s, we are {rate / told.rate:.2f} times as fast;"
            f" {told.rules:,} rules loaded in {told.loading:.1f} s, {told.refused} refused, {told.peak_mb:.0f} MB"
        )
        for (whose, why), count in reasons(ours, told, records, self._judge).most_common():
            print(f"      {count:6,} {whose}: {why}")

    def _hold_against_reference(self, records: Sequence[Flat], ours: Verdicts) -> None:
        """Ask the reference for every rule on a sample of events."""
        known = {rule.id for rule in self._loaded}
        cases = matches = 0
        for number in random.Random(5).sample(range(len(records)), min(JUDGED, len(records))):
            record = records[number]
            for rule_id in self._judge.about(source_of(record)):
                said = self._judge.matches(rule_id, record) if rule_id in known else False
                cases, matches = cases + 1, matches + said
                if said is not ((number, rule_id) in ours):
                    self.wrong += 1
                    print(
                        f"      the reference says {'match' if said else 'no match'}: {rule_id} on {record}"[
                            :400
                        ]
                    )
        print(f"  reference: {cases:,} cases, {matches:,} matches, {self.wrong} differences so far")


def others(folder: Path, place: Path) -> None:
    """Judge what is not from Windows by all rules."""
    rules = load_rules([folder]).rules
    log = place / "audit.log"
    log.write_text("\n".join(audit_lines(FRESH // 2, 1)) + "\n", encoding="utf-8")
    zeek = SHARED / "anomaly" / "zeek"
    for name, path in (("audit records of Linux", log), ("Zeek logs", zeek)):
        events = collect(read_paths([str(path)]))[0][: FRESH * 2] if path.exists() else []
        if events:
            matcher, half = Matcher(rules), len(events) // 2
            before = rate(matcher, events[:half])
            print(f"\n{name}: {len(events):,} events, {len(rules):,} rules")
            print(f"  {'edusoc':18s} {rate(matcher, events[half:]):10,.0f} events/s ({before:,.0f} at first)")


if __name__ == "__main__":
    main()
