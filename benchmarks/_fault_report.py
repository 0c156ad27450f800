"""Check a store after it was broken, and gather what was seen."""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks._fault_work import LIMITS, number_of
from soc_core.clock import EPOCH
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, Search

EVER: Final = timedelta(days=80_000)
SLOWEST_SECONDS: Final = 5.0


@dataclass(slots=True)
class Row:
    """Add up what one kind of fault did: how often, events acknowledged, lost, doubled, strange; slowest opening."""

    name: str
    times: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    strange: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Tell whether everything was as promised."""
        clean = not (self.lost or self.doubled or self.strange or self.wrong)
        return clean and self.slowest <= SLOWEST_SECONDS

    def compare(self, found: list[int], must: Set[int], may: Set[int]) -> None:
        """Count what of ``must`` is not there, what is there twice, and what is neither of ``must`` nor of ``may``."""
        there = set(found)
        self.lost += len(must - there)
        self.doubled += len(found) - len(there)
        self.strange += len(there - must - may)


class Report:
    """Gather rows."""

    def __init__(self) -> None:
        """Begin without any."""
        self.rows: list[Row] = []

    def row(self, name: str) -> Row:
        """Begin a row."""
        self.rows.append(Row(name))
        return self.rows[-1]

    @property
    def held(self) -> bool:
        """Tell whether every row held."""
        return all(row.held for row in self.rows)

    def print(self) -> None:
        """Print the table and what went wrong."""
        print(
            f"\n{'fault':<44}{'times':>6}{'acknowledged':>14}{'lost':>6}{'doubled':>9}{'strange':>9}{'opens s':>9}"
        )
        for row in self.rows:
            print(
                f"{row.name:<44}{row.times:>6}{row.acknowledged:>14}{row.lost:>6}{row.doubled:>9}"
                f"{row.strange:>9}{row.slowest:>9.2f}{'' if row.held else '  NOT HELD'}"
            )
            for what in row.wrong[:10]:
                print(f"    {what}")
        print("everything held" if self.held else "SOMETHING DID NOT HOLD")


def open_timed(directory: Path, row: Row) -> EmbeddedStore:
    """Open a store for writing and note how long it took."""
    started = time.monotonic()
    store = EmbeddedStore(directory, writer=True, limits=LIMITS)
    row.slowest = max(row.slowest, time.monotonic() - started)
    return store


def numbers_in(store: EventReader) -> list[int]:
    """Return the numbers of all events, as often as they are there."""
    request = Search(SYSTEM_SCOPE, EPOCH, EPOCH + EVER, fields=("event.id",))
    return [number_of(str(event["event.id"])) for batch in store.scan(request) for event in batch]
