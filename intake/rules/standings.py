"""Decide what becomes of detections, from what was set: pure functions of settings, suppressions and the unit tree.

The nearest setting wins: the unit's own, else that of the unit above it, up to the whole installation. Units are
resolved by their ids in the tree as it is when asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from intake.rules.model import (
    ALL_RULES,
    EVERYWHERE,
    Defaults,
    Outcome,
    RuleState,
    Ruling,
    Setting,
    Suppression,
)
from soc_core.errors import UsageError
from soc_core.model.detection import Detection, Severity
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.query.evaluate import compile_query
from soc_core.query.language import parse_query

Evidence = Callable[[Detection], Sequence[Event]]
"""Return the events a detection stands on, as far as they are there."""
Test = Callable[[Event], bool]
_MOST_CACHED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Say how a rule stands in a unit, and from which unit each part comes (``None``: nobody set it)."""

    state: RuleState
    severity: Severity | None
    budget: int
    state_from: str | None = None
    severity_from: str | None = None
    budget_from: str | None = None


class Standings:
    """Answer how rules stand in units and what is suppressed; a snapshot, immutable but for its memory."""

    def __init__(
        self,
        settings: Iterable[Setting],
        suppressions: Iterable[Suppression],
        tree: OrganisationTree,
        defaults: Defaults,
    ) -> None:
        """Take everything that was set; a suppression whose query can't be read any more suppresses nothing."""
        self._tree, self._defaults = tree, defaults
        self._settings: dict[str, dict[str, Setting]] = {}
        for setting in settings:
            self._settings.setdefault(setting.rule_id, {})[setting.organization_id] = setting
        self._suppressions: dict[str, list[tuple[Suppression, Test | None]]] = {}
        for suppression in suppressions:
            try:
                test = test_of(suppression.query)
            except UsageError:
                continue
            self._suppressions.setdefault(suppression.rule_id, []).append((suppression, test))
        self._chains: dict[str, tuple[str, ...]] = {}
        self._standings: dict[tuple[str, str], Standing] = {}

    def chain(self, organization_id: str) -> tuple[str, ...]:
        """Return the ids whose settings hold in a unit, nearest first; the whole installation is last."""
        found = self._chains.get(organization_id)
        if found is None:
            above = [unit.id for unit in reversed(self._tree.path(organization_id))] or [organization_id]
            found = self._chains[organization_id] = tuple(dict.fromkeys((*above, EVERYWHERE)))
        return found

    def standing(self, rule_id: str, organization_id: str) -> Standing:
        """Return how a rule stands in a unit."""
        key = (rule_id, organization_id)
        found = self._standings.get(key)
        if found is None:
            if len(self._standings) >= _MOST_CACHED:
                self._standings.clear()
            found = self._standings[key] = self._resolve(rule_id, organization_id)
        return found

    def _resolve(self, rule_id: str, organization_id: str) -> Standing:
        held = self._settings.get(rule_id, {})
        near = [held[id_] for id_ in self.chain(organization_id) if id_ in held]
        state = next((item for item in near if item.state is not None), None)
        severity = next((item for item in near if item.severity is not None), None)
        budget = next((item for item in near if item.budget is not None), None)
        usual = self._defaults
        amount = usual.unit_budget if rule_id == ALL_RULES else usual.budget
        return Standing(
            (state.state if state else None) or usual.states.get(rule_id, RuleState.ON),
            severity.severity if severity else None,
            amount if budget is None or budget.budget is None else budget.budget,
            state.organization_id if state else None,
            severity.organization_id if severity else None,
            budget.organization_id if budget else None,
        )

    def is_off_everywhere(self, rule_id: str) -> bool:
        """Tell whether a rule needs not even be evaluated: it is off and no unit has it otherwise."""
        others = (item.state for item in self._settings.get(rule_id, {}).values() if item.state is not None)
        general = self.standing(rule_id, EVERYWHERE).state
        return general is RuleState.OFF and all(state is RuleState.OFF for state in others)

    def decide(self, detection: Detection, evidence: Evidence, now: str) -> Ruling:
        """Return what is to become of a detection; ``now`` (canonical) is when it was found: suppressions expire."""
        standing = self.standing(detection.rule_id, detection.organization_id)
        if standing.severity is not None and standing.severity is not detection.severity:
            detection = replace(detection, severity=standing.severity)
        if standing.state is RuleState.OFF:
            return Ruling(detection, Outcome.OFF)
        suppression = self._suppressed(detection, evidence, now)
        if suppression:
            return Ruling(detection, Outcome.SUPPRESSED, suppression)
        return Ruling(detection, Outcome.SILENT if standing.state is RuleState.SILENT else Outcome.FIRED)

    def _suppressed(self, detection: Detection, evidence: Evidence, now: str) -> str:
        """Return the id of the suppression that holds, empty where none does."""
        units: Sequence[str] | None = None
        for rule_id in (detection.rule_id, ALL_RULES):
            for suppression, test in self._suppressions.get(rule_id, ()):
                if suppression.expires_at <= now:
                    continue
                units = units or self.chain(detection.organization_id)
                if suppression.organization_id in units and _concerns(suppression, test, detection, evidence):
                    return suppression.id
        return ""


def _concerns(suppression: Suppression, test: Test | None, detection: Detection, evidence: Evidence) -> bool:
    """Tell whether entity and query fit: a query must fit every event known of the detection, and one at least."""
    kind, value = suppression.entity_kind, suppression.entity_value
    if value and (value.lower() != detection.entity.value.lower() or kind not in {"", detection.entity.kind}):
        return False
    if test is None:
        return True
    events = evidence(detection)
    return bool(events) and all(map(test, events))


def test_of(query: str) -> Test | None:
    """Return the test of a suppression's query, ``None`` for an empty one; raise ``UsageError`` naming the column."""
    return compile_query(parse_query(query)) if query.strip() else None


def states_at_start(found: Mapping[str, tuple[Severity, str]], *, foreign: bool) -> dict[str, RuleState]:
    """Return how rules start, from their level and status: ours are on, imported ones only if tested and high."""
    tested = {"test", "stable"}
    return {
        rule_id: RuleState.ON
        if not foreign or (status in tested and severity.rank >= Severity.HIGH.rank)
        else RuleState.SILENT
        for rule_id, (severity, status) in found.items()
    }
