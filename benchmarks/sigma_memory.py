"""Measure loading and memory of Sigma: ``python -m benchmarks.sigma_memory [--events N]``.

Three processes load all of SigmaHQ's rules from the shared test data: one that has to parse them, one that finds them
in the cache, and one that then judges N events (1,000,000) in which every text is new. Prints processor seconds from
the start of the interpreter, imports included, and resident memory, now and at its peak, in MB.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sigma import memory_mb, unpacked
from collectors.reading import collect, read_paths
from detectors.sigma.cached import load_rules_cached
from detectors.sigma.matcher import Matcher
from soc_core.model.event import Event

FOLDERS = ("rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance", "rules-placeholder")
KEPT = {"event.dataset", "event.code", "event.module", "event.kind"}
EVENTS = 1_000_000
TOLD = 10


def peak_mb() -> int:
    """Return the greatest resident memory so far, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def fresh(event: Event, part: str) -> Event:
    """Return an event with a part never seen before at the end of every text that doesn't tell its kind."""
    return {
        name: value
        if name in KEPT
        else value + part
        if isinstance(value, str)
        else [item + part if isinstance(item, str) else item for item in value]  # type: ignore[misc] # one type
        if isinstance(value, list)
        else value
        for name, value in event.items()
    }


def child(rules: Path, cache: Path, samples: Path, count: int) -> None:
    """Load, and judge ``count`` events."""
    loaded = load_rules_cached([rules / name for name in FOLDERS if (rules / name).is_dir()], cache)
    print(
        f"{len(loaded.rules):,} rules in {time.process_time():.2f} s, {memory_mb()} MB, peak {peak_mb()} MB",
        flush=True,
    )
    if not count:
        return
    matcher, events, pick = Matcher(loaded.rules), collect(read_paths([str(samples)]))[0], random.Random(1)
    print(f"  with {len(events):,} events to renew: {memory_mb()} MB, peak {peak_mb()} MB", flush=True)
    step = max(1, count // TOLD)
    for number in range(1, count + 1):
        matcher.match(fresh(pick.choice(events), f"{number * 2654435761 % 2**48:x}"))
        if number % step == 0:
            print(f"  after {number:9,} events: {memory_mb()} MB, peak {peak_mb()} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        rules, cache, samples = arguments.child
        child(rules, cache, samples, arguments.events)
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        paths = [
            unpacked("sigmahq-rules", place),
            place / "cache",
            unpacked("evtx-attack-samples", place),
        ]
        for name, count in (("parsed", 0), ("from the cache", 0), ("new values", arguments.events)):
            print(name, flush=True)
            command = [sys.executable, "-m", "benchmarks.sigma_memory", "--events", str(count), "--child"]
            subprocess.run([*command, *map(str, paths)], check=True)


if __name__ == "__main__":
    main()
