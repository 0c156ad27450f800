"""Judge events by many rules at once."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.sigma.model import SigmaRule, to_query
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query


class Matcher:
    """Find the rules that match an event."""

    def __init__(self, rules: Sequence[SigmaRule]) -> None:
        """Compile the rules."""
        self._rows = [(rule, compile_query(to_query(rule))) for rule in rules]

    def match(self, event: Event) -> list[SigmaRule]:
        """Return the rules that match, in the order they were given."""
        return [rule for rule, matches in self._rows if matches(event)]
