"""Say which bundled scenario plays at which unit and zone, and how many days ago."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edusoc.demo.shifting import copy_moved
from soc_core.errors import UsageError

if TYPE_CHECKING:
    from pcaps.labels import Label

_PACKED: Final = (".gz", ".zst", ".xz")


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold one scenario with its place: a unit's code, a network zone, and on which day it plays.

    ``days_ago`` 0 is the latest day on which the whole scenario lies before the anchor.
    """

    label: Label
    unit: str
    zone: str
    days_ago: int

    def days(self, anchor: datetime) -> int:
        """Return by how many days the scenario is moved."""
        return (anchor - self.label.end) // timedelta(days=1) - self.days_ago

    def write(self, directory: Path, anchor: datetime) -> list[Path]:
        """Write the moved copies of the scenario's files and return their paths, in the label's order."""
        targets = []
        for source in self.label.paths:
            target = directory / self.unit / self.label.scenario / _plain(source.name)
            copy_moved(source, target, self.days(anchor), self.label.end)
            targets.append(target)
        return targets


def _plain(name: str) -> str:
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return name


def captures_directory() -> Path:
    """Return where the bundled captures are; raise ``UsageError`` where only the wheel is installed."""
    found = Path(__file__).resolve().parent.parent.parent / "pcaps"
    if not found.is_dir():
        raise UsageError(
            "the bundled captures are not there",
            where=str(found),
            todo="run the demo in a clone of the project",
        )
    return found


def load_scenes(directory: Path, only: Collection[str] = ()) -> list[Scene]:
    """Return the scenes in the order in which they are played; ``only`` keeps the scenarios of these names.

    Raises ``UsageError`` for a scenario without a place or a place without its scenario, ``InputError`` for a bad
    label.
    """
    from pcaps.labels import load_labels

    labels = {label.scenario: label for label in load_labels(directory)}
    text = resources.files("edusoc.demo").joinpath("world", "scenes.toml").read_text(encoding="utf-8")
    scenes: list[Scene] = []
    for place in tomllib.loads(text).get("scene", []):
        label = labels.get(place["scenario"])
        if label is None:
            raise UsageError(f"scenes.toml names the scenario '{place['scenario']}', which is not in pcaps/")
        scenes.append(Scene(label, place["unit"], place["zone"], place["days_ago"]))
    _check_all_placed(labels, scenes)
    unknown = sorted(set(only) - set(labels))
    if unknown:
        raise UsageError(
            f"there is no scenario '{unknown[0]}'", todo=f"known are: {', '.join(sorted(labels))}"
        )
    return [scene for scene in scenes if not only or scene.label.scenario in only]


def _check_all_placed(labels: Collection[str], scenes: Sequence[Scene]) -> None:
    homeless = sorted(set(labels) - {scene.label.scenario for scene in scenes})
    if homeless:
        raise UsageError(f"scenes.toml gives these scenarios no place: {', '.join(homeless)}")
