"""Kill retention at random moments and repeat it: totals are exact, and no detail goes without its roll-up."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.interface import SYSTEM_SCOPE
from soc_core.store.keeping import apply_retention
from soc_core.store.rollup import EVENTS
from tests.soc_core.store.test_keeping import NOW, POLICY, flow, rollups, total

ROOT = Path(__file__).resolve().parents[3]
EVENTS_A_DAY = 60
UNITS = 4
DAYS = [f"202609{day:02d}" for day in range(1, 13)]
RUN = """
import sys
from pathlib import Path
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.keeping import apply_retention
from tests.soc_core.store.test_keeping import NOW, POLICY
store = EmbeddedStore(Path(sys.argv[1]), writer=True, limits=Limits(reserve=0))
print("open", flush=True)
apply_retention(store, POLICY, NOW)
store.close()
"""


def fill(directory: Path) -> None:
    store = EmbeddedStore(directory, writer=True, limits=Limits(reserve=0))
    for place, day in enumerate(DAYS):
        numbers = range(place * 1_000, place * 1_000 + EVENTS_A_DAY)
        store.append([flow(n, day=day, unit=f"o{n % UNITS}", host=n % 7) for n in numbers])
        log = {"event.dataset": "syslog.auth"}
        store.append([flow(500 + n, day=day, unit="o0", **log) for n in list(numbers)[:5]])
    store.seal()
    store.close()


@pytest.mark.slow
def test_killed_at_any_moment_and_repeated_ends_the_same(tmp_path: Path) -> None:
    fill(tmp_path / "events")
    chance = random.Random(11)
    killed = 0
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path / "events")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        timer = threading.Timer(chance.uniform(0.0, 0.03 * 2**turn), process.kill)
        timer.start()
        killed += process.wait() != 0
        timer.cancel()
        process.stdout.close()
        store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
        here = {row.day for row in store.days(SYSTEM_SCOPE) if row.dataset == "packets.flow"}
        gone = [row for row in rollups(store) if str(row["event.id"])[:8] not in here]
        assert total(gone, EVENTS) == EVENTS_A_DAY * (len(DAYS) - len(here))
        assert store.verify() == []
        store.close()
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    apply_retention(store, POLICY, NOW)
    assert total(rollups(store), EVENTS) == EVENTS_A_DAY * len(DAYS)
    counts = {row.dataset: 0 for row in store.days(SYSTEM_SCOPE)}
    for row in store.days(SYSTEM_SCOPE):
        counts[row.dataset] += row.events
    assert counts == {"rollup.flow": counts["rollup.flow"], "syslog.auth": 5 * len(DAYS)}
    assert killed
    store.close()
