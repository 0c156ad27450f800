"""Name what keeps a query from being said exactly in another language."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detectors.sigma.words import problem
from soc_core.fields import FIELDS
from soc_core.model.detection import Reason
from soc_core.query.tree import And, Cidr, Not, Or, Query, Range, Regex, SameAs, Text, TimePart

MAX_REASONS = 5
_LONGEST = 120


def obstacles(query: Query, is_exact: Callable[[Query], bool]) -> tuple[Reason, ...]:
    """Return why ``query`` is not exact in a language, by those of its parts that ``is_exact`` denies; five at most."""
    found: list[Reason] = []
    for leaf in _leaves(query):
        if len(found) == MAX_REASONS:
            break
        if not is_exact(leaf) and (reason := _reason(leaf)) not in found:
            found.append(reason)
    # Where each part can be said alone, there are too many of them, or they stand too deep.
    return tuple(found) or (problem("convert_size"),)


def _leaves(query: Query) -> Iterator[Query]:
    if isinstance(query, And | Or):
        for child in query.children:
            yield from _leaves(child)
    elif isinstance(query, Not):
        yield from _leaves(query.child)
    else:
        yield query


def _reason(leaf: Query) -> Reason:
    match leaf:
        case SameAs(field, other):
            return problem("convert_same_as", field=field, other=other)
        case TimePart(field, part):
            return problem("convert_time_part", field=field, part=part)
        case Regex(field, pattern):
            return problem("convert_regex", field=field or "*", pattern=pattern[:_LONGEST])
        case Cidr(field, network):
            return problem("convert_network", field=field or "*", network=network)
        case Range(field):
            return problem("convert_number", field=field)
        case Text(field, value=value) if field in FIELDS and FIELDS[field].type not in {"keyword", "text"}:
            return problem("convert_typed", field=field, value=value[:_LONGEST])
        case _:
            return problem("convert_part", field=getattr(leaf, "field", "") or "*")
