"""Say what goes to the parent: ``alerts``, ``statistics``, and which data sets' events."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from soc_core.errors import UsageError

ALERTS: Final = "alerts"
STATISTICS: Final = "statistics"
EVERYTHING: Final = "*"
_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}\*?|\*")


@dataclass(frozen=True, slots=True)
class ForwardPolicy:
    """Hold what is forwarded; ``datasets`` are exact names, ``prefixes`` those that end with a star."""

    alerts: bool
    statistics: bool
    datasets: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ForwardPolicy:
        """Return the policy of the setting ``parent_forward``: names with commas between. Raises ``UsageError``."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"setting 'parent_forward': '{name}' is no data set",
                    todo="write alerts, statistics, and data sets such as windows.* or edusoc.health",
                )
        sets = [name for name in names if name not in {ALERTS, STATISTICS}]
        return cls(
            ALERTS in names,
            STATISTICS in names,
            frozenset(name for name in sets if not name.endswith("*")),
            tuple(sorted(name[:-1] for name in sets if name.endswith("*"))),
        )

    @property
    def events(self) -> bool:
        """Tell whether any events go."""
        return bool(self.datasets or self.prefixes)

    def wants(self, dataset: str) -> bool:
        """Tell whether events of a data set go."""
        return dataset in self.datasets or dataset.startswith(self.prefixes or ("\0",))

    @property
    def digest(self) -> str:
        """Return what tells this policy from others: with another one offsets mean something else."""
        text = repr((self.alerts, self.statistics, sorted(self.datasets), self.prefixes))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
