"""Work out what is left of a rule once a few fields of an event are known.

Log sources are told apart by two fields, the *pivots*. For events that agree on every question rules ask about them,
the answers are constants: most rules fall away, the others become shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from soc_core.query.tree import (
    And,
    Cidr,
    Everything,
    Exists,
    Not,
    OneOf,
    Or,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
    TimePart,
)

PIVOTS: Final = ("event.dataset", "event.code")
Leaf: TypeAlias = Exists | OneOf | Text | Regex | Cidr | Range | SameAs | TimePart
Truth: TypeAlias = Callable[[Leaf], bool | None]
"""Tell whether a leaf is known to be true or false, ``None`` when it isn't known."""
NOTHING: Final = Or(())


def leaves(query: Query) -> Iterator[Leaf]:
    """Yield the leaves of a query in order, each as often as it stands there."""
    match query:
        case And(children) | Or(children):
            for child in children:
                yield from leaves(child)
        case Not(child):
            yield from leaves(child)
        case Everything():
            return
        case _:
            yield query


def is_pivot(leaf: Leaf) -> bool:
    """Tell whether a leaf asks about a pivot alone."""
    return leaf.field in PIVOTS and not is_slow(leaf)


def is_slow(leaf: Leaf) -> bool:
    """Tell whether a leaf is judged by itself, and only where its rule is possible."""
    return isinstance(leaf, Regex | SameAs) or (isinstance(leaf, Cidr) and not leaf.field)


def fold(query: Query, truth: Truth) -> Query:
    """Return what is left of ``query``: ``Everything``, ``NOTHING`` or a query without known leaves."""
    match query:
        case Everything():
            return query
        case Not(child):
            return _fold_not(child, truth)
        case And(children):
            return _fold_and(children, truth)
        case Or(children):
            return _fold_or(children, truth)
        case _:
            known = truth(query)
            if known is None:
                return query
            return Everything() if known else NOTHING


def _fold_not(child: Query, truth: Truth) -> Query:
    inner = fold(child, truth)
    if isinstance(inner, Everything):
        return NOTHING
    return Everything() if inner == NOTHING else Not(inner)


def _fold_and(children: Iterable[Query], truth: Truth) -> Query:
    left: list[Query] = []
    for child in children:
        part = fold(child, truth)
        if part == NOTHING:
            return NOTHING
        if not isinstance(part, Everything):
            left.append(part)
    if not left:
        return Everything()
    return left[0] if len(left) == 1 else And(tuple(left))


def _fold_or(children: Iterable[Query], truth: Truth) -> Query:
    left: list[Query] = []
    for child in children:
        part = fold(child, truth)
        if isinstance(part, Everything):
            return part
        if part != NOTHING:
            left.append(part)
    if not left:
        return NOTHING
    return left[0] if len(left) == 1 else Or(tuple(left))
