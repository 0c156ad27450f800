"""Say what a backup holds: one canonical JSON object, sorted by name, so that equal backups have equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import Final, TypeVar

import orjson

from soc_core.errors import StoreError

FORMAT: Final = 1
T = TypeVar("T")
_JSON: Final[dict[str, type]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "Mapping": dict,
    "Sequence": list,
}
"""What the fields' types are in JSON."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Describe one file: its name inside the backup, plain size and SHA-256, and its key in hex if it is encrypted."""

    path: str
    size: int
    sha256: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Count the events of one (unit, data set)."""

    organization_id: str
    dataset: str
    events: int


@dataclass(frozen=True, slots=True)
class StateDump:
    """Describe the operational state: its schema revision, rows of each table, highest number given out by columns."""

    backend: str = ""
    revision: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventsCopy:
    """Describe the events: where they came from, how many, up to which log offset, and the head of their chain."""

    backend: str = ""
    end_offset: int = 0
    sealed: int = 0
    sources: Sequence[SourceCount] = ()
    chain_head: str = ""

    @property
    def events(self) -> int:
        """Return how many events there are."""
        return sum(source.events for source in self.sources)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Name a snapshot that Elasticsearch keeps; empty when there is none.

    ``documents`` counts those of each index that are in it at least, ``most`` at most: others may write meanwhile.
    """

    repository: str = ""
    name: str = ""
    prefix: str = ""
    documents: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Say what a backup does not hold: a word of ``edusoc.backup.left.*``, and how many."""

    what: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Hold everything a backup says of itself.

    ``damaged`` names what could not be read from the source as it should be; the rest is there.
    """

    id: str
    created: str
    program: str
    with_keys: bool
    state: StateDump
    events: EventsCopy
    snapshot: Snapshot
    files: Sequence[FileEntry]
    left_out: Sequence[LeftOut] = ()
    damaged: Sequence[str] = ()
    format: int = FORMAT

    def encode(self) -> bytes:
        """Return the canonical JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"

    @property
    def size(self) -> int:
        """Return the bytes of all files, plain."""
        return sum(entry.size for entry in self.files)

    def named(self) -> dict[str, FileEntry]:
        """Return the files by their names."""
        return {entry.path: entry for entry in self.files}


def decode(body: bytes, where: str) -> Manifest:
    """Return the manifest that ``encode`` gave; raise ``StoreError`` for any other bytes and for newer formats."""
    try:
        found = orjson.loads(body)
        if found["format"] != FORMAT:
            raise StoreError(
                f"backup format {int(found['format'])} is not known",
                where=where,
                todo="use the newer program that wrote it",
            )
        manifest = _manifest(found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError("the manifest is damaged", where=where) from error
    for entry in manifest.files:
        if not _is_inside(entry.path):
            raise StoreError("the manifest names a file outside the backup", where=where)
    return manifest


def _manifest(found: dict[str, object]) -> Manifest:
    events, state = _of(EventsCopy, found["events"]), _of(StateDump, found["state"])
    sources = [_of(SourceCount, item) for item in _list(events.sources)]
    return Manifest(
        id=str(found["id"]),
        created=str(found["created"]),
        program=str(found["program"]),
        with_keys=bool(found["with_keys"]),
        state=state,
        events=replace(events, sources=sources),
        snapshot=_of(Snapshot, found["snapshot"]),
        files=[_of(FileEntry, item) for item in _list(found["files"])],
        left_out=[_of(LeftOut, item) for item in _list(found["left_out"])],
        damaged=[str(item) for item in _list(found["damaged"])],
    )


def _of(kind: type[T], given: object) -> T:
    """Return a dataclass from the object of its values; raise ``TypeError`` when one is missing or of another type."""
    if not isinstance(given, dict):
        raise TypeError(kind.__name__)
    names = {item.name: item for item in fields(kind)}  # type: ignore[arg-type] # dataclasses only
    values = {name: value for name, value in given.items() if name in names}
    for name, value in values.items():
        if not isinstance(value, _JSON[str(names[name].type).partition("[")[0]]):
            raise TypeError(f"{kind.__name__}.{name}")
        if isinstance(value, dict) and not all(isinstance(count, int) for count in value.values()):
            raise TypeError(f"{kind.__name__}.{name}")
    return kind(**values)


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError("list")
    return given


def _is_inside(path: str) -> bool:
    """Tell whether a name is a plain relative one: a manifest is input like any other."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path
