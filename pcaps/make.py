"""Make the bundled captures and logs with their labels: ``python -m pcaps.make [--check] [NAME…]``.

Everything follows from the scenarios' names and one fixed Monday, so the same commands always give the same contents.
``--check`` makes them anew and compares with what is there: contents, not packed bytes, since compressors differ
between versions. It changes nothing and exits with 1 if something differs.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from tqdm import tqdm

from pcaps.labels import SUFFIX
from pcaps.scenarios.registry import log_scenarios, scenarios
from pcaps.scenarios.scenario import LogScenario, Scenario, Told
from pcaps.wire.capture import Capture, pack, pcap_bytes, pcapng_bytes, unpack

ROOT: Final = Path(__file__).resolve().parent
HEADER: Final = "# Written by pcaps/make.py; change the scenario, not this file.\n"


@dataclass(frozen=True, slots=True)
class Made:
    """Hold one made file: its place below the root and its content, not packed."""

    path: str
    content: bytes

    def write(self, root: Path) -> None:
        """Write the file, packed as its name says."""
        target = root / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pack(self.content, self.path))

    def differs(self, root: Path) -> bool:
        """Tell whether the file below ``root`` is absent, damaged or has another content."""
        try:
            return unpack((root / self.path).read_bytes(), self.path) != self.content
        except Exception:  # noqa: BLE001 - each compressor has its own errors; all mean that the file is not ours
            return True


def make(scenario: Scenario) -> list[Made]:
    """Return the capture of ``scenario`` and its label."""
    capture = Capture(scenario.name, scenario.start)
    scenario.build(capture)
    frames = capture.frames()
    content = pcapng_bytes(frames) if ".pcapng" in scenario.ending else pcap_bytes(frames)
    counts = {
        "files": [scenario.file],
        "start": datetime.fromtimestamp(frames[0].time_us // 1_000_000, UTC),
        "end": datetime.fromtimestamp(frames[-1].time_us // 1_000_000 + 1, UTC),
        "packets": len(frames),
    }
    return [Made(scenario.file, content), Made(scenario.name + SUFFIX, _label(scenario, counts))]


def make_logs(scenario: LogScenario) -> list[Made]:
    """Return the logs of ``scenario`` and their label."""
    logs = scenario.build(random.Random(f"edusoc:{scenario.name}"), scenario.start)
    counts = {
        "files": [log.name for log in logs],
        "start": scenario.start,
        "end": scenario.start + timedelta(hours=scenario.hours),
        "records": sum(log.records for log in logs),
    }
    folder = f"logs/{scenario.name}/"
    made = [Made(folder + log.name, log.content) for log in logs]
    return [*made, Made(f"{folder}{scenario.name}{SUFFIX}", _label(scenario, counts))]


def _label(scenario: Told, counts: dict[str, object]) -> bytes:
    expected = [
        dict(zip(("kind", "entity", "min_severity", "peer"), wanted, strict=False))
        for wanted in scenario.must_find
    ]
    document = {
        "scenario": scenario.name,
        "title": {"zh": scenario.zh, "en": scenario.en},
        "attack": bool(expected),
        **counts,
        "addresses": {key: {"zh": zh, "en": en} for key, (zh, en) in scenario.addresses.items()},
        "must_find": expected,
        "must_not": [dict(ban) for ban in scenario.must_not],
    }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
    return (HEADER + text).encode()


def make_all(names: Sequence[str] = ()) -> Iterator[list[Made]]:
    """Yield the files of each scenario, of all or of those named."""
    for scenario in scenarios():
        if not names or scenario.name in names:
            yield make(scenario)
    for logs in log_scenarios():
        if not names or logs.name in names:
            yield make_logs(logs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make or check the files; return 0, 1 when something differs, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m pcaps.make", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all when none is named")
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    parsed = parser.parse_args(arguments)
    known = [*(capture.name for capture in scenarios()), *(logs.name for logs in log_scenarios())]
    unknown = sorted(set(parsed.names) - set(known))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    different: list[str] = []
    for files in tqdm(
        make_all(parsed.names), total=len(parsed.names or known), unit="scenario", disable=None
    ):
        for made in files:
            if parsed.check:
                different += [made.path] if made.differs(ROOT) else []
            else:
                made.write(ROOT)
    for path in different:
        print(f"differs: {path}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
