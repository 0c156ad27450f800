"""Find what is damaged in a store, say what that costs, and mend what can be mended.

Damaged files are never deleted: they are set aside in ``damaged``. Of a damaged segment everything that its pages'
checksums still prove is kept, in a new segment; what is lost is recorded in the catalogue, so that answers say so, and
in the chain. Sidecars and, if need be, the whole catalogue are made anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from soc_core.audit.chain import Plain
from soc_core.clock import Clock
from soc_core.errors import StoreError
from soc_core.log import LogReader, WriterLock
from soc_core.log.files import DAMAGED, read_mark
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.chain import sealed_by_chain
from soc_core.store.embedded.orphans import put_aside, read_offsets, unknown_files
from soc_core.store.embedded.rebuilding import NAMES, describe, rebuild_catalogue
from soc_core.store.embedded.salvage import Salvaged, condition_of, look_at, sound_groups, write_rows
from soc_core.store.embedded.sealing import write_sidecar
from soc_core.store.embedded.segments import Change, Damaged, Segment
from soc_core.store.embedded.sidecars import old_sidecar, sidecar, sidecar_of
from soc_core.store.embedded.verifying import describes, verify_chain
from soc_core.system import sync_directory

LOST: Final = "the file is missing"


@dataclass(frozen=True, slots=True)
class Fault:
    """Name one damaged file: what is wrong, how many events are lost, of which day and units, and what mends it.

    ``events`` of -1: nobody can tell. ``remedy`` is a reason in words like ``what``.
    """

    where: str
    what: str
    remedy: str
    events: int = 0
    day: str = ""
    units: tuple[str, ...] = ()


def repair(directory: Path, clock: Clock, *, apply: bool = False) -> list[Fault]:
    """Return what is damaged in the store in ``directory``; with ``apply`` mend it.

    Raises ``StoreBusyError`` when another process writes, ``StoreError`` when the disk refuses.
    """
    lock = None
    try:
        if apply and (directory / "log").is_dir():
            lock = WriterLock(directory / "log" / "lock")
        return list(_Repair(directory, clock, apply).faults())
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"the repair failed: {error}", where=str(directory), todo="free room on the disk"
        ) from error
    finally:
        if lock is not None:
            lock.release()


class _Repair:
    """Go through a store, part by part; each step is safe to repeat."""

    def __init__(self, directory: Path, clock: Clock, apply: bool) -> None:
        self._directory, self._clock, self._apply = directory, clock, apply
        self._segments = directory / "segments"
        self._log = LogReader(directory / "log")

    def faults(self) -> Iterator[Fault]:
        """Yield every fault, mended already where that is asked for."""
        yield from self._log_faults()
        wrong = self._catalogue_fault()
        if wrong:
            yield self._rebuilt(wrong)
            if not self._apply:
                return
        catalogue = Catalogue(self._directory / NAMES[0])
        for segment in catalogue.live():
            yield from self._segment(catalogue, segment)
        yield from self._unknown(catalogue)
        for finding in verify_chain(catalogue):
            yield Fault(finding.where, finding.what, "compare with an anchor: edusoc audit verify")

    def _log_faults(self) -> Iterator[Fault]:
        if not (self._directory / "log").is_dir():
            return
        aside = self._directory / "log" / DAMAGED
        for path in sorted(aside.iterdir()) if aside.is_dir() else ():
            if self._apply:
                put_aside(path, self._directory)
            yield Fault(
                f"log/{DAMAGED}/{path.name}", "damaged parts of the log were set aside", "it is set aside"
            )
        if read_mark(self._directory / "log") is None:
            yield Fault(
                "log/committed",
                "the mark of committed records is damaged",
                "it is made anew when opened for writing",
            )
        start, end = self._log.start_offset(), self._log.end_offset()
        damage = self._log.damage()
        lost = max(0, end - start - sum(record.count for record in self._log.records(start))) if damage else 0
        for at, hurt in enumerate(damage):
            what = (
                f"{hurt.length} bytes can't be read"
                if hurt.length
                else "records are missing before this file"
            )
            yield Fault(
                f"log/{hurt.path.name}:{hurt.position}",
                f"the log is damaged: {what}",
                "the rest is read; the file is kept in log/damaged",
                0 if at else lost,
            )

    def _catalogue_fault(self) -> str:
        """Return what is wrong with the catalogue as a whole, empty if nothing is."""
        path = self._directory / NAMES[0]
        there = self._segments.is_dir() and any(self._segments.glob("*.parquet"))
        if not path.exists() or not path.stat().st_size:
            return LOST if there else ""
        try:
            catalogue = Catalogue(path)
            fault = catalogue.fault()
            catalogue.snapshot()
            catalogue.names()
            sum(1 for _ in catalogue.links())
            segments = catalogue.live()
            for segment in segments:
                catalogue.statistics_of([segment.name])
        except StoreError as error:
            return error.what
        if not fault and any(self._says_otherwise(catalogue, segment) for segment in segments):
            return "it says otherwise of a segment than the segment's file"
        if not fault and sealed_by_chain(catalogue.links()) not in (None, catalogue.snapshot().sealed):
            return "it says otherwise of the sealed offset than the chain"
        if not fault and there and not segments and any(self._only_here(catalogue)):
            return "it knows none of the segments that are there"
        return f"the catalogue is damaged: {fault}" if fault else ""

    def _says_otherwise(self, catalogue: Catalogue, segment: Segment) -> bool:
        """Tell whether the catalogue is wrong about a segment whose file is sound."""
        counted = sum(row.events for row in catalogue.statistics_of([segment.name]))
        if counted != segment.events:
            return True
        sound = not condition_of(self._segments, segment).parquet
        return sound and not describes(self._segments / segment.name, segment)

    def _only_here(self, catalogue: Catalogue) -> list[Path]:
        return unknown_files(self._segments, catalogue, self._log)[1]

    def _rebuilt(self, what: str) -> Fault:
        if self._apply:
            rebuild_catalogue(self._directory, self._log, self._clock)
        return Fault(NAMES[0], what, "the catalogue is made anew from segments and log")

    def _segment(self, catalogue: Catalogue, segment: Segment) -> Iterator[Fault]:
        condition = condition_of(self._segments, segment)
        if condition.parquet:
            yield self._damaged(catalogue, segment, condition.parquet)
        elif condition.sidecar:
            if self._apply:
                put_aside(sidecar_of(self._segments, segment), self._directory)
                checksum = write_sidecar(self._segments / segment.name)
                if checksum != segment.ids_sha256:
                    catalogue.set_sidecar(segment.name, checksum)
                sync_directory(self._segments)
            where = f"segments/{sidecar_of(self._segments, segment).name}"
            yield Fault(where, condition.sidecar, "it is made anew from its segment", 0, segment.day)

    def _damaged(self, catalogue: Catalogue, segment: Segment, what: str) -> Fault:
        saved = look_at(self._segments / segment.name, segment.events)
        units = tuple(sorted({row.organization_id for row in catalogue.statistics_of([segment.name])}))
        if self._apply:
            self._replace(catalogue, segment, saved, what)
        remedy = f"{saved.events} events are saved"
        if saved.fields:
            remedy = f"{remedy}, some without {', '.join(saved.fields)}"
        return Fault(f"segments/{segment.name}", what, remedy, saved.lost, segment.day, units)

    def _replace(self, catalogue: Catalogue, segment: Segment, saved: Salvaged, what: str) -> None:
        """Put what was saved in the place of a damaged segment, in one change of the catalogue."""
        path = self._segments / segment.name
        for file in (path, sidecar_of(self._segments, segment)):
            _keep(file, self._directory)
        added = []
        mark = f"-r{segment.sha256[:8]}"
        made = write_rows(self._segments, (segment.day, segment.columns), sound_groups(path, set()), mark)
        if made is not None:
            added.append((made.segment, made.statistics))
            sync_directory(self._segments)
        if saved.lost:
            lost = Damaged(segment.name, segment.day, saved.lost, segment.first, segment.last, what)
            catalogue.quarantine([lost])
        about: dict[str, Plain] = {"why": what, "lost": saved.lost, "fields": list(saved.fields)}
        change = Change(added, [segment.name], catalogue.snapshot().sealed, kind="repaired", about=about)
        catalogue.apply(change, self._clock().timestamp())

    def _unknown(self, catalogue: Catalogue) -> Iterator[Fault]:
        """Take in segments that only the catalogue forgot; set aside what can't be read."""
        for path in self._only_here(catalogue):
            if read_offsets(path) is None or not self._adopted(catalogue, path):
                if self._apply:
                    put_aside(path, self._directory)
                    for beside in (sidecar, old_sidecar):
                        put_aside(beside(path), self._directory)
                yield Fault(
                    f"segments/{path.name}", "the catalogue does not know this file", "it is set aside", -1
                )
            else:
                yield Fault(
                    f"segments/{path.name}", "the catalogue does not know this file", "it is entered again"
                )

    def _adopted(self, catalogue: Catalogue, path: Path) -> bool:
        """Enter a sound segment, all of whose events are nowhere else; return whether it can be entered."""
        offsets = read_offsets(path)
        snapshot = catalogue.snapshot()
        if offsets is None or not len(offsets) or int(offsets.max()) >= snapshot.sealed:
            return False
        for segment in snapshot.segments:
            if segment.low <= int(offsets.max()) and int(offsets.min()) <= segment.high:
                there = read_offsets(self._segments / segment.name)
                if there is None or len(set(there.tolist()) & set(offsets.tolist())):
                    return False
        if self._apply:
            found = describe(path)
            if found is None:
                return False
            change = Change([(found.segment, found.statistics)], [], snapshot.sealed, kind="repaired")
            catalogue.apply(change, self._clock().timestamp())
        return True


def _keep(path: Path, store: Path) -> None:
    """Give a file a second name among the damaged ones: it stays there when the first name goes."""
    folder = store / DAMAGED
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if not path.exists() or target.exists():
        return
    try:
        os.link(path, target)
    except OSError:  # a file system without second names
        shutil.copy2(path, target)
