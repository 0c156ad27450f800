r"""Write a query of Elasticsearch's query language as one line of Lucene's, as Kibana's rules take it.

Only what ``soc_core.store.elasticsearch.dsl`` makes is known: each part says the same in both languages. Every operator
has its parentheses, since those of ``query_string`` have no precedence to rely on (Elasticsearch reference 8.19,
"Query string query").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from soc_core.model.event import Scalar
from soc_core.store.elasticsearch.bodies import ALL, NONE, Body

_SPECIAL: Final = re.compile(r'([+\-=&|><!(){}\[\]^"~*?:\\/\s])')
_QUOTED: Final = re.compile(r'(["\\])')


def to_lucene(body: Body) -> str:
    """Return the line; raise ``ValueError`` for a part that Lucene's language lacks."""
    if body == ALL:
        return "*:*"
    if body == NONE:
        return "(NOT *:*)"
    ((kind, inner),) = body.items()
    if kind == "bool":
        return _bool(inner)
    if kind == "exists":
        return f"_exists_:{_name(inner['field'])}"
    ((field, asked),) = inner.items()
    return f"{_name(field)}:{_asked(kind, asked)}"


def _bool(inner: dict[str, Any]) -> str:
    match inner:
        case {"filter": parts}:
            return _joined(" AND ", parts)
        case {"should": parts, "minimum_should_match": 1}:
            return _joined(" OR ", parts)
        case {"must_not": [part]}:
            return f"(*:* NOT {to_lucene(part)})"
    raise ValueError(f"no way to say {sorted(inner)} in Lucene's language")


def _joined(word: str, parts: Iterable[Body]) -> str:
    return f"({word.join(map(to_lucene, parts))})"


def _asked(kind: str, asked: Any) -> str:
    match kind:
        case "term":
            return _value(asked)
        case "terms":
            return f"({' OR '.join(map(_value, asked))})"
        case "prefix":
            return _escaped(asked) + "*"
        case "regexp":
            return _expression(asked["value"])
        case "range":
            return _range(asked)
    raise ValueError(f"no way to say {kind} in Lucene's language")


def _expression(pattern: str) -> str:
    r"""Return a regular expression between slashes; a backslash before the last would make that a letter."""
    ends = re.search(r"\\*$", pattern)
    if ends is not None and ends.group():
        pattern = pattern[:-2] + r"[\\]"
    return f"/{pattern}/"


def _range(bounds: dict[str, Scalar]) -> str:
    low, high = bounds.get("gte", bounds.get("gt")), bounds.get("lte", bounds.get("lt"))
    opening, closing = "{" if "gt" in bounds else "[", "}" if "lt" in bounds else "]"
    return f"{opening}{_bound(low)} TO {_bound(high)}{closing}"


def _bound(value: Scalar | None) -> str:
    return "*" if value is None else _value(value)


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '"' + _QUOTED.sub(r"\\\1", str(value)) + '"'


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _name(field: str) -> str:
    return _escaped(field)
