"""Kill imports and fill the disk under them: nothing acknowledged is lost, and repeating ends as one quiet run does."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.durability import ROOT, Outcome, command, edusoc, import_words, kill_after, outcome, prepare

INPUTS = [
    str(ROOT / "pcaps" / name)
    for name in (
        "port_scan.pcap.gz",
        "dns_tunnel.pcap.zst",
        "logs/linux_server/auth.log",
        "logs/school_website/access.log",
    )
]
WORDS = import_words(INPUTS)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Return a state directory with units only, and what one quiet import makes of a copy of it."""
    directory = tmp_path_factory.mktemp("quiet")
    prepare(directory / "units")
    shutil.copytree(directory / "units", directory / "done")
    assert edusoc(WORDS, directory / "done").returncode == 0
    found = outcome(directory / "done")
    assert len(found.events) > 2_000
    assert len(found.alerts) >= 3
    return directory / "units", found


@pytest.mark.slow
def test_killed_at_any_moment_and_repeated_is_the_same_as_once(
    quiet: tuple[Path, Outcome], tmp_path: Path
) -> None:
    units, expected = quiet
    state, chance = tmp_path / "state", random.Random(7)
    shutil.copytree(units, state)
    killed = sum(kill_after(INPUTS, state, chance.uniform(0.8, 2.5)) for _ in range(4))
    assert edusoc(WORDS, state).returncode == 0
    assert killed
    assert outcome(state).differences(expected) == {}


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_full_disk_is_said_loses_nothing_and_is_got_over(
    quiet: tuple[Path, Outcome], tmp_path: Path
) -> None:
    units, expected = quiet
    state = tmp_path / "state"
    shutil.copytree(units, state)
    full = subprocess.run(
        command(WORDS, state),
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
        preexec_fn=limited(300_000),
    )
    assert full.returncode == 3
    said = full.stderr.decode()
    assert str(state) in said
    assert "Traceback" not in said
    kept = outcome(state).events
    assert kept
    assert kept.items() <= expected.events.items()
    assert edusoc(WORDS, state).returncode == 0
    assert outcome(state).differences(expected) == {}
