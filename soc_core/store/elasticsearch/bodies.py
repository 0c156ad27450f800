"""Put conditions of Elasticsearch's query language together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from soc_core.model.event import Scalar

Body: TypeAlias = dict[str, Any]
MAX_TERMS: Final = 50_000
ALL: Final[Body] = {"match_all": {}}
NONE: Final[Body] = {"match_none": {}}


def all_of(parts: Iterable[Body]) -> Body:
    """Return what matches all the parts."""
    found = [part for part in parts if part != ALL]
    if any(part == NONE for part in found):
        return NONE
    if len(found) < 2:
        return found[0] if found else ALL
    return {"bool": {"filter": found}}


def any_of(parts: Iterable[Body]) -> Body:
    """Return what matches any of the parts."""
    found = [part for part in parts if part != NONE]
    if any(part == ALL for part in found):
        return ALL
    if len(found) < 2:
        return found[0] if found else NONE
    return {"bool": {"should": found, "minimum_should_match": 1}}


def negated(body: Body) -> Body:
    """Return what matches all else."""
    if body in (ALL, NONE):
        return NONE if body == ALL else ALL
    return {"bool": {"must_not": [body]}}


def leaves(body: Body) -> int:
    """Count the clauses of a body that is not nested deeply."""
    inner = body.get("bool")
    if inner is None:
        return 1
    return sum(leaves(part) for parts in inner.values() if isinstance(parts, list) for part in parts)


def terms(field: str, values: Sequence[Scalar]) -> Body:
    """Return what has one of some values (at least one)."""
    return {"term": {field: values[0]}} if len(values) == 1 else {"terms": {field: list(values)}}


def terms_or_none(field: str, values: Sequence[Scalar]) -> Body:
    """Return what has one of some values, of which there may be none."""
    return terms(field, values) if values else NONE
