"""Hold what a pack is made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from soc_core.errors import UsageError

EVENTS: Final = "events"
"""What follows the prefix in the names of the indices of events."""
ROLLUPS: Final = "rollup.*"
"""Data sets of ``soc_core.store.rollup``."""


@dataclass(frozen=True, slots=True)
class PackOptions:
    """Say for which indices (``prefix``), readers (``language``) and console (its address) a pack is.

    ``unit_names`` maps ids of units to what to show instead; without it an id leads to the unit's page.
    """

    prefix: str = "edusoc"
    language: str = "zh"
    console: str = "http://127.0.0.1:8600"
    unit_names: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> PackOptions:
        """Return it; raise ``UsageError`` for an address or a prefix that can't be one."""
        if not self.console.startswith(("http://", "https://")) or "{" in self.console:
            raise UsageError(
                f"'{self.console}' is no address of a console", todo="write it like https://soc.example.cn"
            )
        if not self.prefix or self.prefix != self.prefix.lower() or set(self.prefix) & set(' ,"*\\<|>/?#:'):
            raise UsageError(
                f"'{self.prefix}' can't begin the name of an index", todo="use small letters, digits and -"
            )
        return self

    @property
    def all_indices(self) -> str:
        """Return the pattern of all indices of events."""
        return f"{self.prefix}-{EVENTS}-*"

    def index_pattern(self, datasets: tuple[str, ...] = ()) -> str:
        """Return which indices hold events of the data sets; none means all but roll-ups, which count events again."""
        if not datasets:
            return f"{self.all_indices},-{self.prefix}-{EVENTS}-{ROLLUPS}"
        return ",".join(
            f"{self.prefix}-{EVENTS}-{name}" if name.endswith("*") else f"{self.prefix}-{EVENTS}-{name}-*"
            for name in datasets
        )
