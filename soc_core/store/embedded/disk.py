"""Keep room on the disk: how much stays free, and what goes first when it fills.

Below the *reserve* appends are refused, so that whoever sends keeps its spool and nothing is lost here; the reserve is
what sealing, merging and removing need to work on a disk that counts as full. Before that, below the *pressure* level,
detail is rolled up and dropped early, oldest day first, down to a floor. Guaranteed logs never go for room.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from soc_core.log.writer import MAX_FILE, RESERVE
from soc_core.store.embedded.store import EmbeddedStore
from soc_core.store.interface import Removal
from soc_core.store.keeping import relieve
from soc_core.store.retention import Policy

MOST_RESERVE: Final = 10 * 2**30
"""Of a large disk a few per cent are more than anything here ever needs."""
EMERGENCY: Final = 8 * 2**20
"""What stays free even while room is being made: roll-ups are written from the reserve."""


def reserve_of(directory: Path, percent: int) -> int:
    """Return the bytes to keep free for the store in ``directory``: a share of its disk, and what it needs to recover.

    Recovering takes a log file, and the largest segment twice: what merges or removes writes before it deletes.
    """
    state = os.statvfs(directory if directory.exists() else directory.parent)
    share = state.f_blocks * state.f_frsize * min(max(percent, 0), 50) // 100
    return max(RESERVE + MAX_FILE + 2 * _largest(directory / "segments"), min(share, MOST_RESERVE))


def _largest(directory: Path) -> int:
    try:
        return max((entry.stat().st_size for entry in os.scandir(directory)), default=0)
    except OSError:
        return 0


def pressure_of(reserve: int) -> int:
    """Return the free bytes below which detail is dropped early."""
    return reserve + reserve // 2


def free_bytes(directory: Path) -> int:
    """Return the bytes of the disk that are free for us."""
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def relieve_disk(store: EmbeddedStore, policy: Policy, now: datetime) -> Removal:
    """Drop detail early while the disk fills; does nothing where there is room."""
    wanted = pressure_of(store.limits.reserve)

    def enough(gone: Removal) -> bool:
        # Files of removed segments are deleted a little later, when no reader needs them any more.
        return free_bytes(store.directory) + gone.bytes >= wanted

    if enough(Removal(0, 0)):
        return Removal(0, 0)
    with store.using_reserve(min(EMERGENCY, store.limits.reserve)):
        return relieve(store, policy, now, enough)
