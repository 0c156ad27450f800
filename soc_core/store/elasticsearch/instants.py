"""Turn bounds on the text of instants into spans of time.

Canonical text has the order of time (``soc_core.clock``), so for any text there is a first instant that is written no
lower: bounds need not be canonical themselves (``2026-11`` bounds as well as ``2026-11-01T00:00:00.000000Z``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from soc_core.clock import EPOCH, epoch_us, format_epoch_us

_FIRST: Final = epoch_us(datetime.min.replace(tzinfo=UTC))
_AFTER: Final = epoch_us(datetime.max.replace(tzinfo=UTC)) + 1
_NANOS_AFTER: Final = epoch_us(datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC))
"""``date_nanos`` counts in 64 bits from 1970: later instants are not indexed."""
_EARLIEST: Final = epoch_us(EPOCH)


@dataclass(frozen=True, slots=True)
class Span:
    """Hold a span in microseconds since 1970 UTC, from ``start`` inclusive to ``end`` exclusive."""

    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        """Tell whether no instant lies inside."""
        return self.start >= self.end

    def microseconds(self) -> dict[str, int]:
        """Return the bounds of a range over microseconds; none where the calendar bounds already."""
        lower = {"gte": self.start} if self.start > _FIRST else {}
        return lower | ({"lt": self.end} if self.end < _AFTER else {})

    def texts(self) -> dict[str, str]:
        """Return the bounds of a range over ``date_nanos``, which takes no bounds outside its years."""
        start, end = max(self.start, _EARLIEST), min(self.end, _NANOS_AFTER)
        if end <= start:  # outside: nothing that is indexed lies there
            return {"lt": format_epoch_us(_EARLIEST)}
        lower = {"gte": format_epoch_us(start)} if start > _EARLIEST else {}
        return lower | ({"lt": format_epoch_us(end)} if end < _NANOS_AFTER else {})


def span_of(bounds: Sequence[tuple[str, str]]) -> Span:
    """Return the span of the instants that lie within all bounds, each a sign and a text."""
    start, end = _FIRST, _AFTER
    for sign, bound in bounds:
        after = sign in {">", "<="}
        at = _first_where(lambda text, bound=bound, after=after: text > bound if after else text >= bound)  # type: ignore[misc] # a lambda's defaults
        if sign[0] == ">":
            start = max(start, at)
        else:
            end = min(end, at)
    return Span(start, end)


def with_prefix(beginning: str) -> Span:
    """Return the span of the instants whose canonical text begins so."""
    return Span(
        _first_where(lambda text: text >= beginning),
        _first_where(lambda text: text[: len(beginning)] > beginning),
    )


def _first_where(reached: Callable[[str], bool]) -> int:
    """Return the first instant whose text fulfils a condition that stays fulfilled, or the end of the calendar."""
    low, high = _FIRST, _AFTER
    while low < high:
        middle = (low + high) // 2
        if reached(format_epoch_us(middle)):
            high = middle
        else:
            low = middle + 1
    return low
