"""Say which fields a search without a field looks at, and read their values.

Words are looked for in fields of text; times, addresses and the id of an event are not text that somebody wrote:
``2026`` would be found in every event. Networks are looked for in addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, Event, Scalar, values_of

_UNSEARCHED: Final = frozenset(
    {EVENT_ID}.union(name for name, f in FIELDS.items() if f.type in {"date", "ip"})
)
SEARCHED: Final = tuple(
    name for name, field in FIELDS.items() if field.type in {"keyword", "text"} and name not in _UNSEARCHED
)
ADDRESSES: Final = tuple(name for name, field in FIELDS.items() if field.type == "ip")


def all_text(event: Event) -> list[str]:
    """Return every text an event holds: what full-text search looks at."""
    found: list[str] = []
    for name, value in event.items():
        if isinstance(value, str):
            if name not in _UNSEARCHED:
                found.append(value)
        elif isinstance(value, list) and name not in _UNSEARCHED:
            found += [item for item in value if isinstance(item, str)]
    return found


def all_addresses(event: Event) -> Iterator[Scalar]:
    """Yield every address an event holds."""
    for name in ADDRESSES:
        yield from values_of(event, name)
