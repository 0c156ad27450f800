"""Build our correlations from parsed ones, those that others refer to first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias

from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionItem,
    CorrelationConditionNOT,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError

from detectors.sigma.building import Complain, Source, build_head, name_of
from detectors.sigma.hits import MAX_COUNT, most_wanted
from detectors.sigma.mapping import Mappings
from detectors.sigma.model import CorrelationRule, CorrelationType, SigmaRule, Threshold
from soc_core.query.tree import And, Exists, Not, Or, Query

MAX_TIMESPAN: Final = timedelta(days=7)
"""Judging a window reads its events from the store: longer ones belong to statistics. A chain is taken as a whole."""
MAX_PARTS: Final = 100
MAX_DEPTH: Final = 5
MAX_BELOW: Final = 300
"""Parts of parts all together: each is judged for each window."""
Part: TypeAlias = SigmaRule | CorrelationRule
Fields: TypeAlias = dict[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Draft:
    """Hold a parsed correlation, its true type, which the parser may lack, and the bounds of its condition.

    Without ``bounds`` all parts are needed.
    """

    document: Source
    parsed: SigmaCorrelationRule
    type: CorrelationType
    bounds: tuple[tuple[str, float], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return what others may call it, ids in small letters."""
        return tuple(filter(None, (str(self.parsed.id).lower(), name_of(self.parsed))))

    @property
    def references(self) -> list[str]:
        """Return the names of what it refers to, in order, each once."""
        condition = self.parsed.condition
        if self.parsed.rules is None and isinstance(condition, SigmaExtendedCorrelationCondition):
            return condition.get_referenced_rules()
        return list(dict.fromkeys(str(one.reference) for one in self.parsed.rules or ()))


class Correlations:
    """Build all correlations of a rule set."""

    def __init__(
        self, drafts: Sequence[Draft], rules: Mapping[str, SigmaRule], mappings: Mappings, complain: Complain
    ) -> None:
        """Take the parsed correlations, and the rules by id and by name."""
        self._drafts = drafts
        self._by_name = {name: draft for draft in drafts for name in draft.names}
        self._rules = rules
        self._mappings = mappings
        self._complain = complain
        self._built: dict[int, CorrelationRule | SigmaError] = {}
        self._places: dict[str, _Places] = {}

    def build(self) -> list[tuple[Draft, CorrelationRule | SigmaError]]:
        """Return for each correlation, in their order, what it is or why it can't be."""
        found = [(draft, self._build(draft, ())) for draft in self._drafts]
        fed = [one for _, one in found if isinstance(one, CorrelationRule)]
        silent = silent_parts(fed)
        return [
            (draft, replace(one, alone=one.id not in silent) if isinstance(one, CorrelationRule) else one)
            for draft, one in found
        ]

    def _build(self, draft: Draft, above: tuple[Draft, ...]) -> CorrelationRule | SigmaError:
        """Return the correlation; ``above`` are those whose building asks for it."""
        if any(draft is one for one in above):
            names = " → ".join(one.names[-1] for one in (*above[above.index(draft) :], draft))
            return SigmaError(f"correlations refer to each other in a circle: {names}")
        known = self._built.get(id(draft))
        if known is not None:
            return known
        if len(above) >= MAX_DEPTH:
            return SigmaError(f"correlations refer to each other more than {MAX_DEPTH} deep")
        try:
            built: CorrelationRule | SigmaError = self._correlation(draft, (*above, draft))
        except SigmaError as fault:
            built = fault
        if isinstance(built, CorrelationRule) or not above:
            self._built[id(draft)] = built
        return built

    def _correlation(self, draft: Draft, above: tuple[Draft, ...]) -> CorrelationRule:
        parsed = draft.parsed
        references = draft.references
        if not references:
            raise SigmaError("the correlation names no rules")
        if len(references) > MAX_PARTS:
            raise SigmaError(f"the correlation names more than {MAX_PARTS} rules")
        parts = {reference: self._part(reference, above) for reference in references}
        places = _Places(parsed, self._mappings, self._places)
        unique = tuple({part.id: part for part in parts.values()}.values())
        condition = parsed.condition
        rule = CorrelationRule(
            head=build_head(draft.document, parsed, self._complain),
            type=draft.type,
            parts=unique,
            timespan=_span(parsed),
            group_by=tuple(places.of(name, unique) for name in parsed.group_by or ()),
            threshold=Threshold(draft.bounds or (("gte", len(unique)),)),
            counted=tuple(places.of(name, unique) for name in _counted(condition)),
            percentile=_percentile(draft),
            needs=_needs(condition, parts),
            generate=bool(parsed.generate),
        )
        _check(rule)
        self._places[rule.id] = places
        return rule

    def _part(self, reference: str, above: tuple[Draft, ...]) -> Part:
        name = reference if reference in self._by_name else reference.lower()  # ids may be in capitals
        if name in self._by_name:
            built = self._build(self._by_name[name], above)
            if isinstance(built, CorrelationRule):
                return built
            raise SigmaError(_because(reference, built))
        rule = self._rules.get(reference) or self._rules.get(name)
        if rule is None:
            raise SigmaError(f"the rule '{reference}' it refers to is not there")
        return rule


def silent_parts(correlations: Sequence[CorrelationRule]) -> set[str]:
    """Return the ids of what only feeds correlations: none that it feeds lets it speak for itself."""
    feeding = {part.id for one in correlations if not one.generate for part in one.parts}
    return feeding - {part.id for one in correlations if one.generate for part in one.parts}


def _because(reference: str, fault: SigmaError) -> str:
    """Return why a part can't be: a circle is told from each correlation in it."""
    text = str(fault.args[0]) if fault.args else ""
    if "circle" in text or "deep" in text:
        return text
    return f"the correlation '{reference}' it refers to can't be used"


def _check(rule: CorrelationRule) -> None:
    """Raise ``SigmaError`` for a correlation that can't be judged. Those below it were checked before."""
    if _depth(rule) > MAX_DEPTH:
        raise SigmaError(f"correlations refer to each other more than {MAX_DEPTH} deep")
    if _size(rule) > MAX_BELOW:
        raise SigmaError(f"the correlation has more than {MAX_BELOW} parts with all below it")
    if rule.chain > MAX_TIMESPAN:
        raise SigmaError(f"timespans of more than {MAX_TIMESPAN.days} days along a chain are not supported")
    if not rule.type.measures and rule.needs is None and rule.threshold.holds(0):
        raise SigmaError("a condition that holds without any event can't be judged")
    if rule.type.measures and any(isinstance(part, CorrelationRule) for part in rule.parts):
        raise SigmaError("values are measured of rules, not of correlations")
    counts = rule.type in {CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT}
    if counts and most_wanted(rule) > MAX_COUNT + 1:
        raise SigmaError(f"a count above {MAX_COUNT} is not supported")
    temporal = rule.type in {CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED}
    if rule.counted and temporal:
        raise SigmaError("only values are counted by field")
    if temporal and rule.needs is None and not any(map(rule.threshold.holds, range(len(rule.parts) + 1))):
        raise SigmaError("the condition asks for more rules than the correlation names")
    if rule.type is CorrelationType.TEMPORAL_ORDERED:
        _check_order(rule)


def _depth(rule: CorrelationRule) -> int:
    return 1 + max((_depth(part) for part in rule.parts if isinstance(part, CorrelationRule)), default=0)


def _size(rule: CorrelationRule) -> int:
    below = sum(_size(part) for part in rule.parts if isinstance(part, CorrelationRule))
    return len(rule.parts) + below


def _check_order(rule: CorrelationRule) -> None:
    every = And(tuple(Exists(part.id) for part in rule.parts))
    if rule.needs is not None and rule.needs not in {every, *every.children[: len(every.children) == 1]}:
        raise SigmaError("an order takes a condition that joins all its rules by 'and', in their order")
    most = len(rule.parts)
    if not rule.threshold.holds(most if rule.needs is None else 1):
        raise SigmaError("an order needs all its rules")
    if rule.needs is None and most > 1 and rule.threshold.holds(most - 1):
        raise SigmaError("an order needs all its rules")


def _span(parsed: SigmaCorrelationRule) -> timedelta:
    if parsed.timespan.seconds > MAX_TIMESPAN.total_seconds():
        raise SigmaError(f"timespans of more than {MAX_TIMESPAN.days} days along a chain are not supported")
    return timedelta(seconds=parsed.timespan.seconds)


def _counted(condition: object) -> list[str]:
    wanted = condition.fieldref if isinstance(condition, SigmaCorrelationCondition) else None
    found = wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
    return list(dict.fromkeys(str(name) for name in found))


def _percentile(draft: Draft) -> float:
    condition = draft.parsed.condition
    given = condition.percentile if isinstance(condition, SigmaCorrelationCondition) else None
    if draft.type is not CorrelationType.VALUE_PERCENTILE:
        return 50.0
    if given is None or not 0 <= given <= 100:
        raise SigmaError("a percentile from 0 to 100 must be given")
    return float(given)


def _needs(condition: object, parts: Mapping[str, Part]) -> Query | None:
    """Return the tree of the parts that a condition in words asks for, ``None`` where it compares a count."""
    if not isinstance(condition, SigmaExtendedCorrelationCondition):
        return None
    needs = _tree(condition.parsed, parts)
    if _holds_without(needs):
        raise SigmaError("a condition that holds without any event can't be judged")
    return needs


def _tree(node: CorrelationConditionItem | SigmaRuleReference, parts: Mapping[str, Part]) -> Query:
    if isinstance(node, SigmaRuleReference):
        return Exists(parts[node.reference].id)
    children = tuple(_tree(child, parts) for child in node.args)
    if isinstance(node, CorrelationConditionNOT):
        return Not(children[0])
    return And(children) if isinstance(node, CorrelationConditionAND) else Or(children)


def _holds_without(needs: Query) -> bool:
    if isinstance(needs, And):
        return all(map(_holds_without, needs.children))
    if isinstance(needs, Or):
        return any(map(_holds_without, needs.children))
    return isinstance(needs, Not) and not _holds_without(needs.child)


class _Places:
    """Find the event fields of a name: by alias for each part, else as the rule's own log source has it."""

    def __init__(
        self, parsed: SigmaCorrelationRule, mappings: Mappings, known: Mapping[str, _Places]
    ) -> None:
        self._mappings = mappings
        self._known = known
        self._aliases: dict[str, dict[str, str]] = {
            str(alias.alias): {
                name: str(field)
                for reference, field in alias.mapping.items()
                for name in (str(reference.reference).lower(), str(reference.reference))
            }
            for alias in parsed.aliases
        }

    def of(self, name: str, parts: Sequence[Part]) -> Fields:
        """Return the fields by part and rule below it."""
        return {
            (part.id, rule.id): self._fields(name, part, rule)
            for part in parts
            for rule in ((part,) if isinstance(part, SigmaRule) else part.rules)
        }

    def _fields(self, name: str, part: Part, rule: SigmaRule) -> tuple[str, ...]:
        alias = self._aliases.get(name, {})
        for one in (part, rule):
            for key in (one.id, one.head.name):
                if key and key in alias:
                    return self._resolved(alias[key], part, rule)
        return self._resolved(name, part, rule)

    def _resolved(self, name: str, part: Part, rule: SigmaRule) -> tuple[str, ...]:
        """Return the fields of a name as the part knows it: a correlation by its own aliases first."""
        if isinstance(part, CorrelationRule):
            inner = next(
                one
                for one in part.parts
                if one.id == rule.id or (isinstance(one, CorrelationRule) and rule in one.rules)
            )
            return self._known[part.id]._fields(name, inner, rule)  # of the same class
        return self._mappings.route(rule.logsource).field(name).fields
