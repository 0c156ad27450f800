"""Define the one query tree.

Semantics, the same in every store: a field matches when *any* of its values matches. A predicate on an absent field
is false, and ``Not`` is plain negation (so ``Not(Equal("user.name", "a"))`` matches events without a user). Text
compares without regard to case unless ``cased``. A store may return a superset and let ``soc_core.query.evaluate``
decide. A field that the dictionary does not hold is looked for in ``edusoc.extra``, where collectors keep such values
as ``name=value`` (``soc_core.model.event.extra_values``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from soc_core.model.event import Scalar


@dataclass(frozen=True, slots=True)
class Everything:
    """Match every event."""


@dataclass(frozen=True, slots=True)
class Exists:
    """Match events that have a value in ``field``."""

    field: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Match when a value of ``field`` equals one of ``values``; numbers and their decimal text are equal."""

    field: str
    values: tuple[Scalar, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Match text in ``field``: ``how`` is ``contains``, ``startswith``, ``endswith`` or ``wildcard`` (``*`` and ``?``).

    In a ``wildcard`` pattern a backslash makes the next ``*``, ``?`` or backslash literal. An empty ``field`` means
    any field of text (``soc_core.query.values``).
    """

    field: str
    how: str
    value: str
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    r"""Match when ``pattern`` (Python ``re`` syntax) is found anywhere in a value, unless it anchors itself.

    A word boundary is one of ASCII words where ``soc_core.query.regex`` can say so.
    """

    field: str
    pattern: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Cidr:
    """Match when a value of ``field`` is an address inside ``network``; an empty ``field`` means any address."""

    field: str
    network: str


@dataclass(frozen=True, slots=True)
class Range:
    """Match numbers numerically and dates (canonical text) as text; a bound that is ``None`` is open.

    ``numeric`` reads text that is a decimal number as that number: sources often write numbers as text.
    """

    field: str
    gte: Scalar | None = None
    gt: Scalar | None = None
    lte: Scalar | None = None
    lt: Scalar | None = None
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class SameAs:
    """Match when a value of ``field`` equals (or ``how``: contains, startswith, endswith) a value of ``other``."""

    field: str
    other: str
    how: str = "equals"


@dataclass(frozen=True, slots=True)
class TimePart:
    """Match when a part of a date in ``field`` lies in ``low`` to ``high``, both inclusive, in UTC.

    ``part`` is ``minute``, ``hour``, ``day`` (of the month), ``week`` (ISO 8601), ``month`` or ``year``.
    """

    field: str
    part: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Not:
    """Match what ``child`` does not match."""

    child: Query


@dataclass(frozen=True, slots=True)
class And:
    """Match when all children match; no children match everything."""

    children: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Match when one child matches; no children match nothing."""

    children: tuple[Query, ...]


Query: TypeAlias = (
    Everything | Exists | OneOf | Text | Regex | Cidr | Range | SameAs | TimePart | Not | And | Or
)


def equal(field: str, value: Scalar) -> OneOf:
    """Return the query that ``field`` equals ``value``."""
    return OneOf(field, (value,))
