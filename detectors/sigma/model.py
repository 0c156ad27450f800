"""Define what a loaded Sigma rule is: its texts, its question to events, and what a detection of it says."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from soc_core.model.detection import Reason, Severity
from soc_core.query.tree import And, Query

DEFAULT_ENTITY = ("source.ip", "host.ip", "host.name", "user.name")
"""Fields that name the device when a rule doesn't say: the first that an event has."""


@dataclass(frozen=True, slots=True)
class Words:
    """Hold a rule's texts in one language (``cases.alerts.card.RuleWords``)."""

    title: str
    description: str = ""
    falsepositives: tuple[str, ...] = ()
    triage: str = ""
    steps: tuple[str, ...] = ()
    graded_protection: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what is wrong with a rule file and where. ``fatal`` problems keep the rule from running.

    ``line`` counts from 1 and is 0 when it concerns the whole file; ``reason`` is shown in the reader's language.
    """

    file: str
    line: int
    reason: Reason
    rule_id: str = ""
    fatal: bool = True

    @property
    def where(self) -> str:
        """Return ``file:line``."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class LogSource:
    """Name the log source of a rule; empty parts are not asked for."""

    product: str = ""
    category: str = ""
    service: str = ""

    def __str__(self) -> str:
        parts = zip(
            ("product", "category", "service"), (self.product, self.category, self.service), strict=True
        )
        return " ".join(f"{name}={value}" for name, value in parts if value)


@dataclass(frozen=True, slots=True)
class FieldUse:
    """Say by which event fields a rule's field name is answered; ``delivered`` tells whether a collector writes one."""

    name: str
    fields: tuple[str, ...]
    delivered: bool


@dataclass(frozen=True, slots=True)
class Head:
    """Hold what rules and correlations have in common.

    ``kind`` groups detections into one alert; ``entity`` and ``peer`` are the fields that name the device and the
    other side, the first that an event has counts.
    """

    id: str
    name: str
    file: str
    line: int
    severity: Severity
    status: str
    words: Mapping[str, Words]
    techniques: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    kind: str = ""
    entity: tuple[str, ...] = DEFAULT_ENTITY
    peer: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return the rule's English title, its name everywhere in the Sigma world."""
        return self.words["en"].title


@dataclass(frozen=True, slots=True)
class SigmaRule:
    """Hold one rule: ``source`` selects the events of its log source, ``detection`` says what it looks for in them.

    ``blind`` says why no collector here delivers what it asks for (``None``: one does). ``alone`` is false for rules
    that only feed a correlation.
    """

    head: Head
    logsource: LogSource
    source: Query
    detection: Query
    uses: tuple[FieldUse, ...] = ()
    blind: Reason | None = None
    alone: bool = True

    @property
    def id(self) -> str:
        """Return the rule's id."""
        return self.head.id


def to_query(rule: SigmaRule) -> Query:
    """Return the whole question of a rule, for a store to ask of history; the matcher judges what it returns."""
    return And((rule.source, rule.detection))


class CorrelationType(StrEnum):
    """Name what a correlation counts or measures."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_MIN = "value_min"
    VALUE_MAX = "value_max"
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"

    @property
    def measures(self) -> bool:
        """Tell whether it computes with numbers of a field rather than counts."""
        return self.value.startswith("value_") and self is not CorrelationType.VALUE_COUNT


_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le, "eq": operator.eq,
    "neq": operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """Compare a count or measure with ``bounds``, all of which must hold.

    A bound is an operator (``gt``, ``gte``, ``lt``, ``lte``, ``eq`` or ``neq``) and a number.
    """

    bounds: tuple[tuple[str, float], ...]

    def holds(self, count: float) -> bool:
        """Tell whether ``count`` satisfies the condition."""
        return all(_COMPARE[name](count, bound) for name, bound in self.bounds)

    @property
    def growing(self) -> bool:
        """Tell whether what satisfies it keeps satisfying it when it grows."""
        return all(name in {"gt", "gte"} for name, _ in self.bounds)


@dataclass(frozen=True, slots=True)
class CorrelationRule:
    """Hold one correlation over ``parts``, rules or other correlations, within ``timespan``.

    ``group_by`` holds one mapping a key: the event fields, the first with a value counts, by (id of the part, id of
    the rule below it that the event matches). ``counted`` holds the like for the fields whose values are counted or
    measured. ``percentile`` is that of ``value_percentile``. ``needs`` says which parts must be there where the
    condition names them: a tree of ``Exists`` of their ids. ``alone`` is false for those that only feed others.
    """

    head: Head
    type: CorrelationType
    parts: tuple[SigmaRule | CorrelationRule, ...]
    timespan: timedelta
    group_by: tuple[Mapping[tuple[str, str], tuple[str, ...]], ...]
    threshold: Threshold
    counted: tuple[Mapping[tuple[str, str], tuple[str, ...]], ...] = ()
    percentile: float = 50.0
    needs: Query | None = None
    generate: bool = False
    alone: bool = True

    @property
    def id(self) -> str:
        """Return the correlation's id."""
        return self.head.id

    @property
    def rules(self) -> tuple[SigmaRule, ...]:
        """Return the rules at the bottom, each once, in the order of the parts."""
        found: dict[str, SigmaRule] = {}
        for part in self.parts:
            for rule in (part,) if isinstance(part, SigmaRule) else part.rules:
                found.setdefault(rule.id, rule)
        return tuple(found.values())

    @property
    def chain(self) -> timedelta:
        """Return the sum of the timespans along the longest chain of correlations."""
        below = [part.chain for part in self.parts if isinstance(part, CorrelationRule)]
        return self.timespan + max(below, default=timedelta())


@dataclass(frozen=True, slots=True)
class FilterRule:
    """Hold one filter: which rules it narrows, and in which units (ids; ``None``: everywhere)."""

    id: str
    title: str
    file: str
    line: int
    rules: tuple[str, ...]
    units: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Hold loaded rules, correlations and filters, and every problem found. It is the book of their texts."""

    rules: tuple[SigmaRule, ...] = ()
    correlations: tuple[CorrelationRule, ...] = ()
    problems: tuple[Problem, ...] = ()
    _words: Mapping[str, Mapping[str, Words]] = field(default_factory=dict, repr=False)
    filters: tuple[FilterRule, ...] = ()

    @classmethod
    def of(
        cls,
        rules: tuple[SigmaRule, ...],
        correlations: tuple[CorrelationRule, ...] = (),
        problems: tuple[Problem, ...] = (),
        filters: tuple[FilterRule, ...] = (),
    ) -> RuleSet:
        """Return the set of these rules."""
        heads = [rule.head for rule in rules] + [correlation.head for correlation in correlations]
        return cls(rules, correlations, problems, {head.id: head.words for head in heads}, filters)

    @property
    def everything(self) -> tuple[SigmaRule | CorrelationRule, ...]:
        """Return rules, then correlations."""
        return (*self.rules, *self.correlations)

    def describe(self, rule_id: str, language: str) -> Words | None:
        """Return a rule's texts; where a language lacks, the English ones every Sigma rule has."""
        words = self._words.get(rule_id)
        if words is None:
            return None
        return words.get(language, words["en"])
