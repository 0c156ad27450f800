"""Say which ATT&CK techniques and which graded-protection clauses rules cover, and which of them can see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from detectors.sigma.model import CorrelationRule, SigmaRule
from intake.rules.model import RuleState

Rule = SigmaRule | CorrelationRule


class Sight(StrEnum):
    """Order what covers a technique, best first: a rule that alerts, counts only, can't see, is off."""

    ON = "on"
    SILENT = "silent"
    BLIND = "blind"
    OFF = "off"


_ORDER: Final = {sight: number for number, sight in enumerate(Sight)}
_COLOURS: Final = {Sight.ON: "#1a7f5a", Sight.SILENT: "#c9a227", Sight.BLIND: "#b04a3a", Sight.OFF: "#9aa0a6"}
_SCORES: Final = {Sight.ON: 3, Sight.SILENT: 2, Sight.BLIND: 1, Sight.OFF: 0}


@dataclass(frozen=True, slots=True)
class Covered:
    """Hold the rules that cover a technique or clause, and the best of them."""

    name: str
    best: Sight
    rules: tuple[tuple[Rule, Sight], ...]

    def count(self, sight: Sight) -> int:
        """Return how many of its rules stand so."""
        return sum(found is sight for _rule, found in self.rules)


def sight_of(rule: Rule, state: RuleState, unseen: Callable[[str], bool]) -> Sight:
    """Return how a rule stands; ``unseen`` tells of a rule's id whether the store holds nothing it could look at."""
    if state is RuleState.OFF:
        return Sight.OFF
    parts = rule.rules if isinstance(rule, CorrelationRule) else (rule,)
    if any(part.blind is not None or unseen(part.id) for part in parts):
        return Sight.BLIND
    return Sight.ON if state is RuleState.ON else Sight.SILENT


def by_technique(rules: Iterable[tuple[Rule, Sight]]) -> list[Covered]:
    """Return the techniques by their numbers; rules that only feed correlations say nothing themselves."""
    return _grouped(rules, lambda rule: rule.head.techniques)


def by_clause(rules: Iterable[tuple[Rule, Sight]]) -> list[Covered]:
    """Return the clauses of GB/T 22239-2019 in their order."""
    found = _grouped(rules, lambda rule: rule.head.words["zh"].graded_protection)
    return sorted(found, key=lambda item: [int(part) for part in item.name.split(".") if part.isdigit()])


def _grouped(rules: Iterable[tuple[Rule, Sight]], names: Callable[[Rule], Iterable[str]]) -> list[Covered]:
    groups: dict[str, list[tuple[Rule, Sight]]] = {}
    for rule, sight in rules:
        if not rule.alone:
            continue
        for name in dict.fromkeys(names(rule)):
            groups.setdefault(name, []).append((rule, sight))
    return [
        Covered(name, min((sight for _rule, sight in found), key=_ORDER.__getitem__), tuple(found))
        for name, found in sorted(groups.items())
    ]


def navigator_layer(covered: Iterable[Covered], name: str, words: Mapping[Sight, str]) -> dict[str, object]:
    """Return a layer for the ATT&CK Navigator (layer format 4.5): one colour for each way a technique is covered.

    ``words`` name these ways in the reader's language.
    """
    return {
        "name": name,
        "versions": {"attack": "19", "navigator": "5.2.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": name,
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True, "expandedSubtechniques": "annotated"},
        "techniques": [_technique(item, words) for item in covered],
        "gradient": {"colors": ["#ffffff", _COLOURS[Sight.ON]], "minValue": 0, "maxValue": 3},
        "legendItems": [{"label": words[sight], "color": _COLOURS[sight]} for sight in Sight],
        "showTacticRowBackground": False,
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
    }


def _technique(item: Covered, words: Mapping[Sight, str]) -> dict[str, object]:
    metadata = [
        {"name": words[sight], "value": str(item.count(sight))} for sight in Sight if item.count(sight)
    ]
    return {
        "techniqueID": item.name,
        "color": _COLOURS[item.best],
        "score": _SCORES[item.best],
        "comment": "; ".join(rule.head.title for rule, _sight in item.rules)[:1_000],
        "enabled": True,
        "metadata": metadata,
    }
