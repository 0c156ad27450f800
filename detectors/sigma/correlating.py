"""Build our correlation from a parsed one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sigma.correlations import (
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaCorrelationType,
)
from sigma.exceptions import SigmaError

from detectors.sigma.building import Complain, Source, build_head
from detectors.sigma.mapping import Mappings
from detectors.sigma.model import CorrelationRule, CorrelationType, SigmaRule, Threshold

MAX_TIMESPAN: Final = timedelta(days=7)
"""Judging a window reads its events from the store: longer ones belong to statistics."""
_SUPPORTED: Final = {
    SigmaCorrelationType.EVENT_COUNT: CorrelationType.EVENT_COUNT,
    SigmaCorrelationType.VALUE_COUNT: CorrelationType.VALUE_COUNT,
    SigmaCorrelationType.TEMPORAL: CorrelationType.TEMPORAL,
    SigmaCorrelationType.TEMPORAL_ORDERED: CorrelationType.TEMPORAL_ORDERED,
}


def build_correlation(
    document: Source,
    parsed: SigmaCorrelationRule,
    rules: Mapping[str, SigmaRule],
    mappings: Mappings,
    complain: Complain,
) -> CorrelationRule:
    """Return the correlation; raise ``SigmaError`` when it refers to a rule that isn't there or asks too much."""
    kind = _SUPPORTED.get(parsed.type)
    if kind is None:
        raise SigmaError(f"correlations of type {parsed.type.name.lower()} are not supported")
    if not isinstance(parsed.condition, SigmaCorrelationCondition):
        raise SigmaError("correlation conditions that name rules are not supported")
    span = timedelta(seconds=parsed.timespan.seconds)
    if span > MAX_TIMESPAN:
        raise SigmaError(f"a timespan longer than {MAX_TIMESPAN.days} days is not supported")
    threshold = Threshold(parsed.condition.op.name.lower(), parsed.condition.count)
    if threshold.holds(0):
        raise SigmaError("a condition that holds without any event can't be judged")
    base = tuple(_find(reference.reference, rules) for reference in parsed.rules or ())
    if not base:
        raise SigmaError("the correlation names no rules")
    places = _Places(parsed, mappings)
    counted = parsed.condition.fieldref
    if isinstance(counted, list) and len(counted) > 1:
        raise SigmaError("counting the values of several fields together is not supported")
    wanted = counted[0] if isinstance(counted, list) else counted
    return CorrelationRule(
        head=build_head(document, parsed, complain),
        type=kind,
        rules=base,
        timespan=span,
        group_by=tuple(places.of(name, base) for name in parsed.group_by or ()),
        threshold=threshold,
        counted=tuple(sorted({field for fields in places.of(wanted, base).values() for field in fields}))
        if wanted
        else (),
        generate=bool(parsed.generate),
    )


def _find(reference: str, rules: Mapping[str, SigmaRule]) -> SigmaRule:
    rule = rules.get(reference) or rules.get(reference.lower())  # ids may be written in capitals
    if rule is None:
        raise SigmaError(f"the rule '{reference}' it refers to is not there")
    return rule


class _Places:
    """Find the event fields of a name: by alias for each rule, else as the rule's own log source has it."""

    def __init__(self, parsed: SigmaCorrelationRule, mappings: Mappings) -> None:
        self._mappings = mappings
        self._aliases = {
            alias.alias: {
                name: field
                for reference, field in alias.mapping.items()
                for name in (reference.reference.lower(), reference.reference)
            }
            for alias in parsed.aliases
        }

    def of(self, name: str, rules: tuple[SigmaRule, ...]) -> dict[str, tuple[str, ...]]:
        """Return rule id → event fields."""
        alias = self._aliases.get(name, {})
        return {
            rule.id: self._mappings.route(rule.logsource)
            .field(alias.get(rule.id) or alias.get(rule.head.name) or name)
            .fields
            for rule in rules
        }
