"""Find rules that can't fire because the store holds no event they could look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from detectors.sigma.model import SigmaRule
from soc_core.query.tree import Query
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, Scope, Search

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)


def unseen_rules(
    rules: Iterable[SigmaRule], reader: EventReader, scope: Scope = SYSTEM_SCOPE
) -> Iterator[str]:
    """Yield the ids of rules of whose log source ``reader`` holds no event of the scope's units.

    Each log source is asked for once.
    """
    seen: dict[Query, bool] = {}
    for rule in rules:
        if rule.source not in seen:
            page = reader.search(Search(scope, _START, _END, rule.source, limit=1, fields=("event.id",)))
            seen[rule.source] = bool(page.events)
        if not seen[rule.source]:
            yield rule.id
