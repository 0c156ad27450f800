"""Every bundled scenario has one place in the world, and plays wholly before the anchor, moved by whole days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edusoc.demo.scenes import captures_directory, load_scenes
from edusoc.demo.world import load_world
from pcaps.labels import load_labels
from soc_core.clock import Clock
from soc_core.errors import UsageError
from soc_core.state.database import Database

DAY = timedelta(days=1)


def test_every_scenario_is_placed_once() -> None:
    placed = Counter(scene.label.scenario for scene in load_scenes(captures_directory()))
    assert set(placed.values()) == {1}
    assert set(placed) == {label.scenario for label in load_labels(captures_directory())}


def test_places_exist_in_the_world(database: Database, clock: Clock) -> None:
    with database.write() as connection:
        tree = load_world(connection, "zh", now=clock())
    for scene in load_scenes(captures_directory()):
        assert scene.zone in tree.find(scene.unit).zones, scene.label.scenario


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_scenes_end_before_the_anchor_and_keep_their_time_of_day(hour: int) -> None:
    anchor = datetime(2027, 3, 1, hour, tzinfo=UTC)
    for scene in load_scenes(captures_directory()):
        end = scene.label.end + scene.days(anchor) * DAY
        assert end <= anchor < end + (scene.days_ago + 1) * DAY
        assert end.time() == scene.label.end.time()


def test_only_the_scenarios_asked_for(tmp_path: Path) -> None:
    (scene,) = load_scenes(captures_directory(), ["beacon"])
    assert scene.label.scenario == "beacon"
    with pytest.raises(UsageError, match="no scenario 'nope'"):
        load_scenes(captures_directory(), ["beacon", "nope"])


def test_written_copies_are_unpacked_and_the_same_again(tmp_path: Path) -> None:
    anchor = datetime(2027, 3, 1, 6, tzinfo=UTC)
    (scene,) = load_scenes(captures_directory(), ["dns_tunnel"])
    first = {path: path.read_bytes() for path in scene.write(tmp_path, anchor)}
    again = {path: path.read_bytes() for path in scene.write(tmp_path, anchor)}
    assert first == again
    assert all(path.suffix in {".pcap", ".pcapng"} for path in first)
