"""Build other Sigma engines outside the tree, run them on the same events, and say why verdicts differ.

The driver in ``peers/sigma`` needs cargo and crates.io, ``peers/sigma_sqlite.py`` an environment with pySigma's SQLite
backend; whatever can't be had is left out and said. Builds stay in a folder of the caller's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks._sigma_windows import Flat, Judge, source_of, tagged

HERE: Final = Path(__file__).parent / "peers"
PACKAGES: Final = (
    "pysigma-backend-sqlite==2.0.0",
    "pysigma-pipeline-sysmon==2.0.0",
    "pysigma-pipeline-windows==2.0.1",
    "pyyaml",
)
ENGINES: Final = ("rsigma", "rsigma-tagged")
SLOW: Final = 2_000
"""Events for the peers that would take minutes over more."""
NUMBERS: Final = ("events", "rules", "refused", "loading", "parsing", "judging", "peak_mb")
Verdicts = set[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Told:
    """Hold what a peer said: processor seconds of one round, rules loaded and refused, and its verdicts."""

    name: str
    events: int
    rules: int
    refused: int
    loading: float
    parsing: float
    judging: float
    peak_mb: float
    verdicts: Verdicts

    @property
    def rate(self) -> float:
        """Return the events judged a processor second."""
        return self.events / max(self.judging, 1e-9)


class Peers:
    """Hold what could be built."""

    def __init__(self, folder: Path) -> None:
        """Build into ``folder``, or take what was built there before."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._driver = self._built_driver()
        self._python = self._built_environment()

    def _built_driver(self) -> Path | None:
        cargo = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
        if cargo is None:
            print("rsigma and sigma-rust are left out: there is no cargo")
            return None
        target = self._folder / "target"
        command = [
            cargo,
            "build",
            "--release",
            "--quiet",
            "--manifest-path",
            str(self._copied() / "Cargo.toml"),
        ]
        done = subprocess.run(command, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, check=False)
        if done.returncode:
            print("rsigma and sigma-rust are left out: they don't build here")
            return None
        return target / "release" / "sigma-peers"

    def _copied(self) -> Path:
        """Copy the driver's source, since cargo writes beside it; files that are the same keep their times."""
        place = self._folder / "driver"
        for file in (file for file in (HERE / "sigma").rglob("*") if file.is_file()):
            copy = place / file.relative_to(HERE / "sigma")
            if not copy.exists() or copy.read_bytes() != file.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        return place

    def _built_environment(self) -> Path | None:
        python = self._folder / "venv" / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self._folder / "venv")], check=True)
            done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=False)
            if done.returncode:
                print("pySigma's SQLite backend is left out: it can't be installed here")
                shutil.rmtree(self._folder / "venv")
                return None
        return python

    def run(self, rules: Path, records: Sequence[Flat], rounds: int) -> list[Told]:
        """Let all judge the records; the slow ones the first ``SLOW``."""
        told: list[Told] = []
        if self._driver is not None:
            fast = self._write(records)
            told += [self._ask(name, [self._driver, name], (rules, fast), rounds) for name in ENGINES]
        slow = self._write(records[:SLOW])
        if self._driver is not None:
            told.append(self._ask("sigma-rust", [self._driver, "sigma-rust"], (rules, slow), 1))
        if self._python is not None:
            program = [self._python, HERE / "sigma_sqlite.py"]
            for kind in ("plain", "indexed"):
                told.append(self._ask(f"SQLite, {kind}", [*program, kind], (rules, slow), None))
        return told

    def _write(self, records: Sequence[Flat]) -> Path:
        file = self._folder / f"events{len(records)}.ndjson"
        lines = [json.dumps(tagged(record), ensure_ascii=False) for record in records]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def _ask(
        self, name: str, command: Sequence[Path | str], data: Sequence[Path], rounds: int | None
    ) -> Told:
        """Run a peer; one that fails has judged nothing, and its own words are shown."""
        verdicts = self._folder / "verdicts.tsv"
        given = [*command, *data, *([] if rounds is None else [rounds]), verdicts]
        done = subprocess.run([str(part) for part in given], capture_output=True, check=False, text=True)
        if done.returncode:
            print(f"  {name} fails: {done.stderr.strip()[-300:]}")
            return Told(name, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, set())
        answer = json.loads(done.stdout)
        rows = (line.split("\t") for line in verdicts.read_text(encoding="utf-8").splitlines())
        found = {(int(number), rule_id) for number, rule_id in rows}
        numbers = {key: answer[key] for key in NUMBERS}
        return Told(name, **numbers, verdicts=found)


def reasons(ours: Verdicts, told: Told, records: Sequence[Flat], judge: Judge) -> Counter[tuple[str, str]]:
    """Count the verdicts on which a peer differs, by whose it is and why."""
    found: Counter[tuple[str, str]] = Counter()
    mine = {(number, rule_id) for number, rule_id in ours if number < told.events}
    for number, rule_id in sorted(mine ^ told.verdicts):
        whose = "ours alone" if (number, rule_id) in mine else f"{told.name} alone"
        found[whose, _reason(judge, rule_id, records[number], tagged(records[number]))] += 1
    return found


def _reason(judge: Judge, rule_id: str, record: Flat, seen: Mapping[str, object]) -> str:
    logsource = judge.rules[rule_id][0]
    source, category = source_of(record), logsource.get("category")
    if not source.fits(logsource):
        return "the event is not of the rule's log source"
    if category is not None and category != seen["_category"]:
        return "the event has two categories, the peer is told one"
    matches = judge.matches(rule_id, record)
    if matches and category is not None and source.service != "sysmon":
        return "the reference says match; not from Sysmon, so the peer may not see its category"
    return f"the reference says {'match' if matches else 'no match'}"
