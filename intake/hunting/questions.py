"""Put rules together into questions that a store can narrow.

A question is a pass over the store, so rules that look at the same log source share one. What comes back may hold more
than matches (``Search.superset``): the matcher decides, as it does in the stream. Rules about sources of which the
store holds nothing are not asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.sigma.detector import make_detection
from detectors.sigma.folding import leaves
from detectors.sigma.matcher import Matcher
from detectors.sigma.model import DEFAULT_ENTITY, SigmaRule
from soc_core.fields import FIELDS
from soc_core.model.detection import Detection
from soc_core.model.event import DATASET, EVENT_ID, EXTRA, ORGANIZATION_ID, TIMESTAMP, ZONE, Event
from soc_core.query.evaluate import value_test
from soc_core.query.fields import fields_of, searches_anywhere
from soc_core.query.tree import And, Not, OneOf, Or, Query, Text

TOGETHER: Final = 40
"""Rules in one question: more make a condition that a store plans and refuses rather than answers."""
MOST_VALUES: Final = 150
"""Values in one question: Elasticsearch makes an automaton of 0.2 MB of each text, in each index, several at once."""
ALWAYS: Final = (TIMESTAMP, EVENT_ID, ORGANIZATION_ID, ZONE, DATASET)


@dataclass(frozen=True, slots=True)
class RuleQuestion:
    """Hold rules that are asked together: the query for the store, the fields to read (``None``: all), the judge."""

    rules: tuple[SigmaRule, ...]
    query: Query
    fields: tuple[str, ...] | None
    matcher: Matcher[SigmaRule]

    def judge(self, events: Sequence[Event]) -> list[Detection]:
        """Return the detections in events, the same as the stream's."""
        match = self.matcher.match
        return [make_detection(rule, event) for event in events for rule in match(event)]


def rule_questions(rules: Sequence[SigmaRule], datasets: Collection[str]) -> list[RuleQuestion]:
    """Return the questions for rules that can match events of these data sets (empty: of none), in stable order."""
    by_source: dict[Query, list[SigmaRule]] = {}
    for rule in rules:
        by_source.setdefault(rule.source, []).append(rule)
    return [
        _question(part)
        for source, chosen in by_source.items()
        if any(_may_hold(source, dataset) for dataset in datasets)
        for part in _parts(chosen)
    ]


def _parts(rules: Sequence[SigmaRule]) -> Iterator[tuple[SigmaRule, ...]]:
    part: list[SigmaRule] = []
    values = 0
    for rule in rules:
        more = sum(len(leaf.values) if isinstance(leaf, OneOf) else 1 for leaf in leaves(rule.detection))
        if part and (len(part) == TOGETHER or values + more > MOST_VALUES):
            yield tuple(part)
            part, values = [], 0
        part.append(rule)
        values += more
    if part:
        yield tuple(part)


def _question(rules: tuple[SigmaRule, ...]) -> RuleQuestion:
    wholes = [rule.detection for rule in rules]
    query = And((rules[0].source, wholes[0] if len(wholes) == 1 else Or(tuple(wholes))))
    return RuleQuestion(rules, query, _fields(rules, query), Matcher(rules))


def _fields(rules: Sequence[SigmaRule], query: Query) -> tuple[str, ...] | None:
    """Return what the rules, and the detections made of them, look at; keywords look at everything."""
    if searches_anywhere(query):
        return None
    named = {name for rule in rules for name in (*rule.head.entity, *rule.head.peer)}
    wanted = {*named, *DEFAULT_ENTITY, *ALWAYS}
    known = {name if name in FIELDS else EXTRA for name in wanted}
    return tuple(sorted(known | fields_of(query)))


def _may_hold(query: Query, dataset: str) -> bool:
    """Tell whether a query can hold for an event of a data set, whatever else the event has."""
    match query:
        case And(children):
            return all(_may_hold(child, dataset) for child in children)
        case Or(children):
            return any(_may_hold(child, dataset) for child in children)
        case Not(OneOf(field=name) | Text(field=name) as child) if name == DATASET:
            return not value_test(child)(dataset)
        case OneOf(field=name) | Text(field=name) if name == DATASET:
            return value_test(query)(dataset)
        case _:
            return True
