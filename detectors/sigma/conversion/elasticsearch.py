"""Convert rules to Elasticsearch's query language and to Lucene's, for our indices and fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from detectors.sigma.conversion.lucene import to_lucene
from detectors.sigma.conversion.obstacles import obstacles
from soc_core.model.detection import Reason
from soc_core.query.tree import Query
from soc_core.store.elasticsearch.bodies import Body
from soc_core.store.elasticsearch.dsl import compile_clause

MOST_REPEATS: Final = 12
_LONG: Final = 300
_REPEATS: Final = re.compile(r"(?<!\\)[*+]")


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold a question in both languages, and why it finds more than was asked (empty: it doesn't)."""

    body: Body
    lucene: str
    reasons: tuple[Reason, ...]


def to_elasticsearch(query: Query) -> Asked:
    """Return what finds the events of a query; raise ``ValueError`` for a bad network."""
    clause = compile_clause(query)
    if any(map(_takes_many_states, _expressions(clause.body))):
        clause = compile_clause(query, expressions="plain")
    body = _plain(clause.body)
    reasons = () if clause.exact else obstacles(query, _is_exact)
    return Asked(body, to_lucene(body), reasons)


def _is_exact(query: Query) -> bool:
    clause = compile_clause(query)
    return clause.exact and not any(map(_takes_many_states, _expressions(clause.body)))


def _expressions(body: Body) -> Iterator[str]:
    """Yield the regular expressions of a body."""
    ((kind, inner),) = body.items()
    if kind == "regexp":
        yield from (asked["value"] for asked in inner.values())
    elif kind == "bool":
        for parts in inner.values():
            for part in parts if isinstance(parts, list) else ():
                yield from _expressions(part)


def _takes_many_states(pattern: str) -> bool:
    """Tell whether Elasticsearch may refuse an expression: long, and with many repeats (measured on 3,861 rules)."""
    return len(pattern) > _LONG and len(_REPEATS.findall(pattern)) > MOST_REPEATS


def _plain(body: Body) -> Body:
    """Return a body without our own bound of an expression's states: Elasticsearch's counts for others."""
    ((kind, inner),) = body.items()
    if kind == "bool":
        return {
            "bool": {
                name: list(map(_plain, parts)) if isinstance(parts, list) else parts
                for name, parts in inner.items()
            }
        }
    if kind == "regexp":
        ((field, asked),) = inner.items()
        return {"regexp": {field: {"value": asked["value"], "flags": "NONE"}}}
    return body
