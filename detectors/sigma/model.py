"""Define what a loaded Sigma rule is: its texts, its question to events, and what a detection of it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

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
    """Name what a correlation counts."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Compare a count: ``operator`` is ``gt``, ``gte``, ``lt``, ``lte``, ``eq`` or ``neq``."""

    operator: str
    count: float

    def holds(self, count: int) -> bool:
        """Tell whether ``count`` satisfies the condition."""
        match self.operator:
            case "gt":
                return count > self.count
            case "gte":
                return count >= self.count
            case "lt":
                return count < self.count
            case "lte":
                return count <= self.count
            case "eq":
                return count == self.count
            case _:
                return count != self.count


@dataclass(frozen=True, slots=True)
class CorrelationRule:
    """Hold one correlation over ``rules`` within ``timespan``.

    ``group_by`` holds one tuple of fields a key: the same field for every rule, or by alias one for each rule id.
    ``counted`` are the fields whose distinct values a ``value_count`` counts.
    """

    head: Head
    type: CorrelationType
    rules: tuple[SigmaRule, ...]
    timespan: timedelta
    group_by: tuple[Mapping[str, tuple[str, ...]], ...]
    threshold: Threshold
    counted: tuple[str, ...] = ()
    generate: bool = False

    @property
    def id(self) -> str:
        """Return the correlation's id."""
        return self.head.id


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Hold loaded rules and correlations, and every problem found on the way. It is the book of their texts."""

    rules: tuple[SigmaRule, ...] = ()
    correlations: tuple[CorrelationRule, ...] = ()
    problems: tuple[Problem, ...] = ()
    _words: Mapping[str, Mapping[str, Words]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        rules: tuple[SigmaRule, ...],
        correlations: tuple[CorrelationRule, ...] = (),
        problems: tuple[Problem, ...] = (),
    ) -> RuleSet:
        """Return the set of these rules."""
        heads = [rule.head for rule in rules] + [correlation.head for correlation in correlations]
        return cls(rules, correlations, problems, {head.id: head.words for head in heads})

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
