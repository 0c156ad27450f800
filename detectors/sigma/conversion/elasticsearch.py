"""Convert rules to Elasticsearch's query language and to Lucene's, for our indices and fields."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.sigma.conversion.lucene import to_lucene
from detectors.sigma.conversion.obstacles import obstacles
from soc_core.model.detection import Reason
from soc_core.query.tree import Query
from soc_core.store.elasticsearch.bodies import Body
from soc_core.store.elasticsearch.dsl import compile_clause


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold a question in both languages, and why it finds more than was asked (empty: it doesn't)."""

    body: Body
    lucene: str
    reasons: tuple[Reason, ...]


def to_elasticsearch(query: Query) -> Asked:
    """Return what finds the events of a query; raise ``ValueError`` for a bad network."""
    clause = compile_clause(query)
    body = _plain(clause.body)
    reasons = () if clause.exact else obstacles(query, _is_exact)
    return Asked(body, to_lucene(body), reasons)


def _is_exact(query: Query) -> bool:
    return compile_clause(query).exact


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
