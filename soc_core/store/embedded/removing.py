"""Remove events for good: segments whose events all go are retired, the others are written anew without them.

Each day is one change of the catalogue, so that a removal that is killed has removed whole days, and doing it again
removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soc_core.audit.chain import Plain
from soc_core.clock import Clock
from soc_core.errors import StoreError
from soc_core.model.event import DATASET
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.cells import text_column
from soc_core.store.embedded.salvage import condition_of, write_rows
from soc_core.store.embedded.sealing import Sealed
from soc_core.store.embedded.segments import Change, Segment
from soc_core.store.embedded.sidecars import unlink_segment
from soc_core.store.interface import Removal
from soc_core.system import sync_directory

_NOTHING = Removal(0, 0)


def remove_days(directory: Path, catalogue: Catalogue, cuts: Mapping[str, str], clock: Clock) -> Removal:
    """Remove of each data set the sealed events of days before its cut from the segments in ``directory``.

    Files of what was removed stay until no reader can need them. Raises ``StoreError`` when the disk refuses.
    """
    total = _NOTHING
    snapshot = catalogue.snapshot()
    concerned = catalogue.holding(cuts)
    affected = [segment for segment in snapshot.segments if segment.name in concerned]
    for day, segments in groupby(affected, key=lambda segment: segment.day):
        gone = frozenset(dataset for dataset, cut in cuts.items() if day < cut)
        removed = _remove_day(directory, catalogue, list(segments), gone, clock)
        total = Removal(
            total.events + removed.events, total.bytes + removed.bytes, (*total.kept, *removed.kept)
        )
    return total


def _remove_day(
    directory: Path, catalogue: Catalogue, segments: Sequence[Segment], gone: frozenset[str], clock: Clock
) -> Removal:
    """Remove the events of some data sets from the segments of one day; what can't be read stays and is named."""
    written: list[Sealed] = []
    retired: list[Segment] = []
    try:
        for segment in segments:
            try:
                rest = _rest(directory, catalogue, segment, gone)
            except (OSError, pa.ArrowException):
                if not condition_of(directory, segment).parquet:
                    raise
                continue  # damaged: it is left to a repair
            retired.append(segment)
            written.extend([rest] if rest is not None else [])
        sync_directory(directory)
        if retired:
            about: dict[str, Plain] = {"datasets": sorted(gone), "sources": _counts(catalogue, retired, gone)}
            added = [(item.segment, item.statistics) for item in written]
            names = [segment.name for segment in retired]
            change = Change(added, names, catalogue.snapshot().sealed, kind="removed", about=about)
            catalogue.apply(change, clock().timestamp())
    except (OSError, StoreError, pa.ArrowException) as error:
        for item in written:
            unlink_segment(directory / item.segment.name)
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"removing failed: {error}",
            where=str(directory),
            todo="run: edusoc store verify; free room on the disk if it is full",
        ) from error
    events, size = (
        sum(getattr(s, name) for s in retired) - sum(getattr(item.segment, name) for item in written)
        for name in ("events", "bytes")
    )
    kept = tuple(f"{s.name}: a damaged segment stays" for s in segments if s not in retired)
    return Removal(events, max(0, size), kept)


def _rest(directory: Path, catalogue: Catalogue, segment: Segment, gone: frozenset[str]) -> Sealed | None:
    """Write the events of a segment that stay as another, if there are any."""
    if all(row.dataset in gone for row in catalogue.statistics_of([segment.name])):
        return None
    return write_rows(directory, (segment.day, segment.columns), _without(directory / segment.name, gone))


def _counts(catalogue: Catalogue, segments: Sequence[Segment], gone: frozenset[str]) -> list[Plain]:
    """Return what of which source goes, for the chain."""
    names = {segment.name for segment in segments}
    return [
        {"organization.id": row.organization_id, "event.dataset": row.dataset, "events": row.events}
        for row in catalogue.statistics_of(names)
        if row.dataset in gone
    ]


def _without(path: Path, gone: frozenset[str]) -> Iterator[pa.Table]:
    """Yield the rows of a segment whose data set is not ``gone``, a row group at a time."""
    values = pa.array(sorted(gone), pa.string())
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            mask = pc.is_in(text_column(table, DATASET), value_set=values)
            yield table.filter(pc.invert(mask))
