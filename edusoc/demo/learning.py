"""Train the demo's model of usual flows on the scenarios that are labelled normal, for the units they play at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.base import ReadContext
from collectors.reading import read_paths
from soc_core.errors import UsageError

if TYPE_CHECKING:
    from edusoc.demo.build import Batchwork, Prepared
    from soc_core.model.event import Event
    from soc_core.organisations.repository import OrganisationTree


def train_on_normal(prepared: Prepared, directory: Path) -> str:
    """Train and keep a model below ``directory`` unless there is one; return why there can't be, else nothing."""
    from detectors.anomaly.model.files import current_folder, save
    from detectors.anomaly.model.training import TrainingOptions, train_from_events

    if current_folder(directory) is not None:
        return ""
    normal = [work for scene, work in prepared.scenes if not scene.label.attack]
    units = sorted({prepared.tree.find(work.unit).id for work in normal})
    options = TrainingOptions(organizations=tuple(units))
    try:
        save(train_from_events(_events(normal, prepared.tree), prepared.tree.plan, options), directory)
    except UsageError as error:  # too few flows, with --scenario
        return str(error)
    return ""


def _events(normal: Sequence[Batchwork], tree: OrganisationTree) -> Iterator[Event]:
    for work in normal:
        unit = tree.find(work.unit).id
        paths = [str(path) for path in work.files]
        for batch in read_paths(
            paths,
            lambda source, unit=unit, zone=work.zone: ReadContext(  # type: ignore[misc] # the values of this turn
                source.modified, organization_id=unit, zone=zone, keep_original=False
            ),
        ):
            yield from batch.events
