"""Train the demo's model of usual flows on the scenarios that are labelled normal, for the units they play at.

It learns from the scenarios as they are bundled and names units by their codes, so the model is the same on every day
and in every installation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.base import ReadContext
from collectors.reading import read_paths
from soc_core.errors import UsageError

if TYPE_CHECKING:
    from edusoc.demo.scenes import Scene
    from soc_core.model.event import Event
    from soc_core.model.organisation import AddressPlan
    from soc_core.organisations.repository import OrganisationTree


def train_on_normal(scenes: Sequence[Scene], tree: OrganisationTree, directory: Path) -> bool:
    """Train and keep a model below ``directory`` unless there is one; return whether there is one then."""
    from detectors.anomaly.model.files import current_folder, save
    from detectors.anomaly.model.training import TrainingOptions, train_from_events

    def plan(code: str, zone: str) -> AddressPlan:
        return tree.plan(tree.find(code).id, zone)

    if current_folder(directory) is not None:
        return True
    normal = [scene for scene in scenes if not scene.label.attack]
    units = sorted({tree.find(scene.unit).id for scene in normal})
    options = TrainingOptions(organizations=tuple(units))
    try:
        save(train_from_events(_events(normal), plan, options), directory)
    except UsageError:  # too few flows to learn from: only some scenarios were asked for
        return False
    return True


def _events(normal: Sequence[Scene]) -> Iterator[Event]:
    for scene in normal:
        context = ReadContext(
            scene.label.end, organization_id=scene.unit, zone=scene.zone, keep_original=False
        )
        for path in scene.label.paths:
            for batch in read_paths([str(path)], lambda _source, context=context: context):  # type: ignore[misc] # this turn's
                yield from batch.events
