"""Tell which stored fields a query looks at, so that no more than those need to be read."""

from __future__ import annotations

from soc_core.fields import FIELDS
from soc_core.model.event import EXTRA
from soc_core.query.tree import And, Cidr, Not, Or, Query
from soc_core.query.values import ADDRESSES, SEARCHED


def fields_of(query: Query) -> set[str]:
    """Return the dictionary's fields that ``query`` looks at.

    Full-text search looks at every field of text, a search for a network anywhere at every address, a field that the
    dictionary lacks at ``edusoc.extra``.
    """
    if isinstance(query, And | Or):
        return set[str]().union(*(fields_of(child) for child in query.children))
    if isinstance(query, Not):
        return fields_of(query.child)
    name = getattr(query, "field", None)
    if name == "":
        return set(ADDRESSES if isinstance(query, Cidr) else SEARCHED)
    names = (name, getattr(query, "other", None))
    return {known if known in FIELDS else EXTRA for known in names if isinstance(known, str)}


def searches_anywhere(query: Query) -> bool:
    """Tell whether ``query`` looks for text in no field in particular."""
    if isinstance(query, And | Or):
        return any(map(searches_anywhere, query.children))
    if isinstance(query, Not):
        return searches_anywhere(query.child)
    return getattr(query, "field", None) == "" and not isinstance(query, Cidr)
