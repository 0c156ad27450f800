"""Group events by the values of fields, for stores and conditions where the store itself can't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import Event, Scalar
from soc_core.store.interface import Group, Grouping

BATCH: Final = 10_000
"""Groups handed over at a time."""
MOST_HELD: Final = 100_000
"""Groups counted in Python at a time; when there are more, the events are read again for the others."""

_Key = tuple[Scalar | None, ...]
_Events = Callable[[], Iterable[Event]]


def check_grouping(asked: Grouping) -> None:
    """Raise ``UsageError`` for a field that is unknown, a list, or no number where sums are asked for."""
    for name in (*asked.keys, *asked.sums):
        if name not in FIELDS:
            raise UsageError(f"there is no field '{name}'")
        if FIELDS[name].multi:
            raise UsageError(f"field '{name}' has lists of values: events can't be grouped by it")
    for name in asked.sums:
        if FIELDS[name].type not in {"long", "double"}:
            raise UsageError(f"field '{name}' is no number")


def groups_over(asked: Grouping, events: _Events, most: int = MOST_HELD) -> Iterator[list[Group]]:
    """Yield the groups of events, holding at most ``most`` at a time; ``events`` may be asked for more than once.

    When there are too many groups, those of every second hash are put off to a reading of their own.
    """
    waiting = [(1, 0)]
    while waiting:
        parts, part = waiting.pop()
        held: dict[_Key, list[int | float]] = {}
        for event in events():
            key = tuple(_scalar(event, name) for name in asked.keys)
            if hash(key) % parts != part:
                continue
            _add(held.setdefault(key, [0] * (1 + len(asked.sums))), event, asked.sums)
            while len(held) > most:
                waiting.append((2 * parts, part + parts))
                parts *= 2
                held = {known: counts for known, counts in held.items() if hash(known) % parts == part}
        groups = [Group(key, int(counts[0]), tuple(counts[1:])) for key, counts in held.items()]
        yield from (groups[start : start + BATCH] for start in range(0, len(groups), BATCH))


def _add(counts: list[int | float], event: Event, sums: tuple[str, ...]) -> None:
    counts[0] += 1
    for at, name in enumerate(sums, 1):
        value = event.get(name, 0)
        counts[at] += value if isinstance(value, int | float) else 0


def _scalar(event: Event, name: str) -> Scalar | None:
    value = event.get(name)
    return None if isinstance(value, list) else value
