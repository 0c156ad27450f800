"""Make the demo: world, history and scenes into the store, through detection, to alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edusoc.demo.handling import close_old_alerts
from edusoc.demo.history import load_pasts, write_history
from edusoc.demo.world import load_world
from intake.importing import Place

if TYPE_CHECKING:
    from collectors.reading import ReadBatch
    from edusoc.composition import Writer
    from edusoc.demo.scenes import Scene
    from edusoc.demo.stages import Stages
    from edusoc.demo.state import Ground
    from intake.importing import ImportReport
    from soc_core.organisations.repository import OrganisationTree
    from soc_core.state.database import Database


@dataclass(slots=True)
class Counts:
    """Add up what was read, how much of it was new, and which files failed."""

    files: int = 0
    events: int = 0
    accepted: int = 0
    duplicates: int = 0
    bad: int = 0
    packets: int = 0
    detections: int = 0
    windows: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, report: ImportReport) -> None:
        """Add one import."""
        self.files += report.read.files
        self.events += report.read.events
        self.accepted += report.accepted
        self.duplicates += report.duplicates
        self.bad += report.read.bad + report.rejected
        self.packets += report.read.counters.get("packets", 0)

    def watch(self, batch: ReadBatch) -> None:
        """Keep why a file could not be read to its end."""
        if batch.failed:
            self.failures.extend(f"{bad.source}: {bad.reason}" for bad in batch.bad)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say what to make: on which ground, with which scenes, for readers of which language, at what time."""

    ground: Ground
    scenes: Sequence[Scene]
    language: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Batchwork:
    """Name files of one place that are imported together."""

    files: Sequence[Path]
    unit: str
    zone: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Hold what lies ready before detection: the units, the files of the past months, and those of each scene."""

    tree: OrganisationTree
    history: Sequence[Batchwork]
    scenes: Sequence[tuple[Scene, Batchwork]]

    @property
    def scenario_of_path(self) -> dict[str, str]:
        """Return which scenario each file on disk belongs to."""
        return {str(path): scene.label.scenario for scene, work in self.scenes for path in work.files}


def prepare(database: Database, wanted: Wanted, stages: Stages) -> Prepared:
    """Load the world and write the files; what is there already stays as it is."""
    ground = wanted.ground
    with stages.stage("world"), database.write() as connection:
        tree = load_world(connection, wanted.language, now=wanted.now)
    with stages.stage("files", len(wanted.scenes)) as bar:
        history = [
            Batchwork(write_history(past, ground.directory / "history", ground.anchor), past.unit, past.zone)
            for past in load_pasts()
        ]
        scenes = []
        for scene in wanted.scenes:
            files = scene.write(ground.directory / "scenes", ground.anchor)
            scenes.append((scene, Batchwork(files, scene.unit, scene.zone)))
            bar.update()
    return Prepared(tree, history, scenes)


def build(writer: Writer, wanted: Wanted, prepared: Prepared, stages: Stages) -> Counts:
    """Import and detect; a second run finds it all there, a killed one goes on."""
    counts = Counts()
    work = [batch for _, batch in prepared.scenes]
    for name, batches in (("history", prepared.history), ("captures", work)):
        size = sum(path.stat().st_size for batch in batches for path in batch.files)
        with stages.stage(name, size, "B") as bar:
            for batch in batches:
                counts.add(_import(writer, batch, prepared.tree, _follow(counts, bar.update)))
    with stages.stage("detect"):
        writer.pipeline.settle()
        with writer.database.write() as connection:
            close_old_alerts(connection, wanted.ground.anchor, wanted.language, now=wanted.now)
    with stages.stage("seal"):
        writer.store.seal()
    counts.detections = writer.pipeline.progress.detections
    counts.windows = writer.pipeline.progress.windows
    return counts


def _import(
    writer: Writer, batch: Batchwork, tree: OrganisationTree, report: Callable[[ReadBatch], None]
) -> ImportReport:
    place = Place(tree.find(batch.unit).id, batch.zone, demo=True)
    return writer.importer.import_paths([str(path) for path in batch.files], place, report)


def _follow(counts: Counts, update: Callable[[float], object]) -> Callable[[ReadBatch], None]:
    """Return a report that notes failures and moves a bar of bytes on to what each batch reached."""
    reached: dict[str, int] = {}

    def report(batch: ReadBatch) -> None:
        counts.watch(batch)
        before = reached.get(batch.file, 0)
        if batch.done > before:
            reached[batch.file] = batch.done
            update(batch.done - before)

    return report
