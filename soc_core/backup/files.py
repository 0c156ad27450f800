"""Copy what else lies in a state directory: models, the demo's files, what was kept aside, keys if wanted; settings.

A file that turns out to be a SQLite database is copied by its online backup, whatever its name: a plain copy of one
that is written to would be torn.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from soc_core.backup.events import DIRECTORY as EVENTS
from soc_core.backup.events import OWN, read_blocks
from soc_core.backup.meter import Meter, metered
from soc_core.backup.package import PackageWriter
from soc_core.config import Settings

DIRECTORY: Final = "files"
SETTINGS: Final = "configuration/configuration.toml"
RULES: Final = "configuration/rules"
KEYS: Final = "keys"
PACKETS: Final = "cut"
RULE_CACHE: Final = "cache"
"""Compiled rules are made again from the rules themselves."""
RESTORED: Final = "restored"
"""Where settings and rules lie after a restore: they belong to another place, whose choice is the user's."""
_STATE: Final = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm", "state.sqlite-journal")
_PASSING: Final = (".lock", ".tmp", ".partial", "-wal", "-shm", "-journal")
_SQLITE: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Found:
    """Name a file of the state directory: its path there, and its size in bytes."""

    name: str
    path: Path
    size: int


def list_files(state: Path, *, with_keys: bool) -> list[Found]:
    """Return the files that belong into a backup besides operational state and events, by name."""
    skipped = {*_STATE, PACKETS, RESTORED, RULE_CACHE} | (set() if with_keys else {KEYS})
    skipped |= {f"{EVENTS}/{name}" for name in OWN}
    found = list(_walk(state, "", skipped)) + list(
        _walk(state / EVENTS / "log" / "damaged", f"{EVENTS}/log/damaged/", set())
    )
    return sorted(found, key=lambda item: item.name)


def _walk(directory: Path, prefix: str, skipped: set[str]) -> Iterator[Found]:
    """Yield regular files; links are not followed, and what passes (locks, files half written) is left out."""
    try:
        items = sorted(os.scandir(directory), key=lambda item: item.name)
    except OSError:
        return
    for item in items:
        name = prefix + item.name
        if name in skipped or item.name == "lock" or item.name.endswith(_PASSING):
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _walk(directory / item.name, f"{name}/", skipped)
        elif item.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):  # it was passing
                yield Found(name, directory / item.name, item.stat().st_size)


def copy_files(found: list[Found], package: PackageWriter, meter: Meter, damaged: list[str]) -> None:
    """Add files; one that is gone since it was listed was passing, one that can't be read is named in ``damaged``."""
    for item in found:
        try:
            copy_file(item.path, f"{DIRECTORY}/{item.name}", package, meter)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            damaged.append(f"{item.name}: {error.strerror}")


def copy_file(path: Path, name: str, package: PackageWriter, meter: Meter) -> None:
    """Add one file."""
    with path.open("rb") as stream:
        is_database = stream.read(len(_SQLITE)) == _SQLITE
    if not is_database:
        package.add(name, metered(read_blocks(path), meter))
        return
    with tempfile.TemporaryDirectory(prefix="edusoc-backup-") as made:
        copy = Path(made) / "copy.sqlite"
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as live,
            closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target)
        package.add(name, metered(read_blocks(copy), meter))


def copy_settings(settings: Settings, package: PackageWriter, *, with_secrets: bool) -> None:
    """Add the settings that differ from the usual ones, and the rules where they are the user's own."""
    package.add(SETTINGS, [settings_text(settings, with_secrets=with_secrets)])
    if settings.rules:
        rules = Path(settings.rules).expanduser()
        for item in _walk(rules, "", set()):
            package.add(f"{RULES}/{item.name}", read_blocks(item.path))


def settings_text(settings: Settings, *, with_secrets: bool) -> bytes:
    """Return the settings as TOML; passwords and keys only if wanted."""
    usual = Settings()
    lines = [
        f"{item.name} = {json.dumps(getattr(settings, item.name), ensure_ascii=False)}"
        for item in fields(Settings)
        if getattr(settings, item.name) != getattr(usual, item.name) and (item.repr or with_secrets)
    ]
    return "".join(f"{line}\n" for line in lines).encode()
