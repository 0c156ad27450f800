"""Find the number of a column's type that bounds the same values as any other number does.

Python compares whole numbers with floats exactly; databases compare them as floats or refuse them. Between a bound
and the next number of the column's type lies no value, so that number can take the bound's place.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from soc_core.model.event import Scalar

Bound = int | float | Literal["all", "none"]
_LONG: Final = 2**63
_LARGEST: Final = math.nextafter(math.inf, 0)


def bound_of(kind: str, sign: str, bound: Scalar) -> Bound:
    """Return what stands for ``value sign bound`` among values of ``kind`` (``long`` or ``double``).

    ``all`` or ``none`` where the bound decides alone; values are finite. ``sign`` is ``>=``, ``>``, ``<=`` or ``<``.
    """
    if isinstance(bound, str) or (isinstance(bound, float) and math.isnan(bound)):
        return "none"
    above = sign in {
        ">=",
        "<",
    }  # the least number that is not below the bound, else the greatest not above it
    if kind == "long":
        found: int | float = _whole(bound, above=above)
        outside = not -_LONG <= found < _LONG
    else:
        found = _double(bound, above=above)
        outside = math.isinf(found)
    if not outside:
        return found
    return "all" if (found > 0) == (sign[0] == "<") else "none"


def _whole(bound: float, *, above: bool) -> int:
    if bound in {math.inf, -math.inf}:
        return _LONG if bound > 0 else -_LONG - 1
    return math.ceil(bound) if above else math.floor(bound)


def _double(bound: float, *, above: bool) -> float:
    try:
        near = float(bound)
    except OverflowError:
        return (math.inf if above else _LARGEST) if bound > 0 else (-_LARGEST if above else -math.inf)
    if near < bound and above:
        return math.nextafter(near, math.inf)
    if near > bound and not above:
        return math.nextafter(near, -math.inf)
    return near
