"""Say how important events are to keep when there is little room: bulk goes first, security logs go last.

Bulk is what ``soc_core/store/retention_classes.tsv`` calls *detail*; everything else is guaranteed six months. Of that,
alerts and logs of log-ins, accounts, intrusions, malware and settings are most important.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from soc_core.model.event import DATASET, Event, values_of
from soc_core.store.retention import class_of

BULK: Final = 0
USUAL: Final = 1
URGENT: Final = 2
OWN: Final = 3
"""What the agent says of itself: gaps, answers to orders."""
_URGENT_CATEGORIES: Final = frozenset(
    {"authentication", "configuration", "iam", "intrusion_detection", "malware", "threat", "vulnerability"}
)


@lru_cache(maxsize=1_024)
def _is_bulk(dataset: str) -> bool:
    return class_of(dataset).kind == "detail"


def priority_of(event: Event) -> int:
    """Return an event's priority, ``BULK`` to ``URGENT``."""
    if event.get("event.kind") == "alert" or not _URGENT_CATEGORIES.isdisjoint(
        values_of(event, "event.category")
    ):
        return URGENT
    return BULK if _is_bulk(str(event.get(DATASET, ""))) else USUAL
