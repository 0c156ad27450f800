"""Keep the demo's directory and database: whose they are, the instant all is dated against, one demo at a time.

The anchor is kept in the directory, so a second run on the same day dates everything alike and adds nothing. On another
day, or when what the demo is made of has changed, everything is made anew. Only a directory that the demo made itself
is ever emptied.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from soc_core.access.tables import users
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import UsageError
from soc_core.log.lock import WriterLock
from soc_core.organisations.repository import today
from soc_core.organisations.tables import organisations
from soc_core.state.database import Database, metadata

MARKER: Final = "demo.json"
LOCK: Final = "demo.lock"
_OURS: Final = frozenset({LOCK, f".{MARKER}.partial"})


@dataclass(frozen=True, slots=True)
class Ground:
    """Hold what the demo stands on: its directory, the anchor (aware UTC, a full hour), and whether it is new."""

    directory: Path
    anchor: datetime
    new: bool


@contextmanager
def take_ground(directory: Path, now: datetime, made_from: str, *, fresh: bool = False) -> Iterator[Ground]:
    """Take a state directory for the demo while the block runs.

    Raises ``UsageError`` when the directory holds something that no demo made, ``StoreBusyError`` when another demo
    uses it.
    """
    marker = directory / MARKER
    if (
        directory.is_dir()
        and not marker.exists()
        and any(path.name not in _OURS for path in directory.iterdir())
    ):
        raise UsageError(
            "this directory holds data that is not the demo's",
            where=str(directory),
            todo="choose another with --state",
        )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = WriterLock(directory / LOCK)
    try:
        anchor = None if fresh else _kept_anchor(marker, now, made_from)
        if anchor is not None:
            yield Ground(directory, anchor, new=False)
            return
        _empty(directory)
        anchor = now.replace(minute=0, second=0, microsecond=0)
        _write(marker, {"anchor": format_instant(anchor), "made_from": made_from})
        yield Ground(directory, anchor, new=True)
    finally:
        lock.release()


def _kept_anchor(marker: Path, now: datetime, made_from: str) -> datetime | None:
    """Return the anchor of an earlier run that still holds: the same local day, made from the same things."""
    try:
        kept = json.loads(marker.read_text(encoding="utf-8"))
        anchor = parse_instant(str(kept["anchor"]))
        same = kept["made_from"] == made_from
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return anchor if same and today(anchor) == today(now) and anchor <= now else None


def _empty(directory: Path) -> None:
    """Remove everything but lock and marker; the marker goes last, so an interrupted removal is taken up again."""
    for path in sorted(directory.iterdir(), key=lambda path: path.name == MARKER):
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(path: Path, values: dict[str, str]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, indent=2), encoding="utf-8")
    partial.replace(path)


def take_database(database: Database, *, new: bool) -> None:
    """Empty a PostgreSQL database for a new demo; the one in the state directory was emptied with that.

    Raises ``UsageError`` when it holds units or accounts that no demo made: the demo's passwords are known to all.
    """
    if not database.is_postgresql:
        return
    with database.write() as connection:
        real = select(users.c.name).where(users.c.demo.is_(False)).limit(1)
        made = connection.scalar(select(users.c.name).limit(1))
        held = connection.scalar(select(organisations.c.id).limit(1))
        if connection.scalar(real) is not None or (held is not None and made is None):
            raise UsageError(
                "this database holds data that is not the demo's",
                where=database.name,
                todo="name an empty database for the demo, or none",
            )
        for table in reversed(metadata.sorted_tables) if new else ():
            connection.execute(table.delete())


def fingerprint(paths: Sequence[Path]) -> str:
    """Return 32 hex digits that change when a file in one of these directories (or files) changes."""
    digest = hashlib.blake2b(digest_size=16)
    for root in paths:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0")
                digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()
