"""Say in words how an embedded store is."""

from __future__ import annotations

import os
from pathlib import Path

from soc_core.errors import StoreError
from soc_core.log.files import DAMAGED
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.damage import said_of
from soc_core.store.interface import Health


def health_of(directory: Path, catalogue: Catalogue, *, reserve: int, sealing_fault: str = "") -> Health:
    """Return the state of the store in ``directory``; never raises. ``reserve`` is in bytes."""
    try:
        snapshot = catalogue.snapshot()
        there = {entry.name for entry in os.scandir(directory / "segments")}
    except (StoreError, OSError) as error:
        return Health("down", (f"the catalogue or its segments can't be read: {error}",))
    refusing = [reason for reason in (_without_room(directory, reserve), _without_right(directory)) if reason]
    missing = [segment.name for segment in snapshot.segments if segment.name not in there]
    wrong = [f"sealing failed, the log grows: {sealing_fault}"] if sealing_fault else []
    if missing:
        wrong.append(f"{missing[0]}: {len(missing)} segments are missing — run: edusoc store verify")
    filling = "" if refusing else _filling(directory, reserve)
    wrong += [filling] if filling else []
    if snapshot.damaged:
        wrong.append(f"{said_of(snapshot.damaged)} — restore them from a backup if there is one")
    if _set_aside(directory / "log" / DAMAGED):
        wrong.append("damaged parts of the log were set aside — run: edusoc store repair")
    if refusing:
        return Health("read_only", (*refusing, *wrong))
    return Health("degraded" if wrong else "ok", tuple(wrong))


def _without_room(directory: Path, reserve: int) -> str:
    try:
        state = os.statvfs(directory)
    except OSError as error:
        return f"the disk can't be asked for its room: {error.strerror}"
    free = state.f_bavail * state.f_frsize
    if free >= reserve:
        return ""
    return (
        f"new events are refused: only {free // 2**20} MB are free on the disk"
        f" — free at least {reserve // 2**20 + 1} MB; nothing was lost"
    )


def _filling(directory: Path, reserve: int) -> str:
    state = os.statvfs(directory)
    left = state.f_bavail * state.f_frsize - reserve
    if left >= reserve // 2:
        return ""
    return f"the disk fills: {left // 2**20} MB until new events are refused — free room on the disk; detail goes early"


def _without_right(directory: Path) -> str:
    return "" if os.access(directory, os.W_OK) else "the directory of the store can't be written to"


def _set_aside(directory: Path) -> bool:
    try:
        return any(os.scandir(directory))
    except OSError:
        return False
