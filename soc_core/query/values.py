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


def all_text(event: Event) -> Iterator[str]:
    """Yield every text an event holds: what full-text search looks at."""
    for name, value in event.items():
        if name in _UNSEARCHED:
            continue
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, str))


def all_addresses(event: Event) -> Iterator[Scalar]:
    """Yield every address an event holds."""
    for name in ADDRESSES:
        yield from values_of(event, name)
