"""Narrow rules by filters (Sigma's ``filter`` documents): a rule fires only where its filters' conditions hold too.

A filter belongs to rules by id or name, or to ``any`` rule of its log source. Ours may hold for units only
(``edusoc: {organisations: [code or id]}``): that unit and all below it. Filters of an imported set stay inside of
it: else a stranger's set could silence our rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter

from detectors.sigma.building import (
    Complain,
    Knowledge,
    RuleNames,
    Source,
    check_size,
    logsource_of,
    question_of,
)
from detectors.sigma.model import FilterRule, LogSource, SigmaRule
from detectors.sigma.placeholders import units_with
from detectors.sigma.translate import holds_on_nothing
from detectors.sigma.units import Units
from detectors.sigma.words import BLOCK, problem
from soc_core.model.event import ORGANIZATION_ID
from soc_core.query.tree import And, Not, OneOf, Or, Query

ORGANISATIONS: Final = "organisations"
_ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class FilterDraft:
    """Hold a parsed filter with its document."""

    document: Source
    parsed: SigmaFilter


class Filters:
    """Apply the filters of a rule set to its rules."""

    def __init__(
        self,
        drafts: Sequence[FilterDraft],
        knowledge: Knowledge,
        complain: Complain,
        walled: Sequence[Path] = (),
    ) -> None:
        """Take the parsed filters; what is wrong with them is complained about.

        Those of a ``walled`` folder hold for the rules of that folder only.
        """
        self._knowledge = knowledge
        self._complain = complain
        self._filters = [
            _Filter.of(draft, knowledge.placeholders.units, complain, _wall(draft.document.file, walled))
            for draft in drafts
        ]

    def apply(self, rules: Mapping[str, SigmaRule]) -> dict[str, SigmaRule]:
        """Return the rules (by id), each narrowed by its filters."""
        narrowed = dict(rules)
        for one in self._filters:
            if one.units == ():
                continue
            for rule in list(narrowed.values()):
                if one.fits(rule):
                    self._narrow(one, rule, narrowed)
        return narrowed

    def notes(self, rules: Mapping[str, SigmaRule], correlations: frozenset[str]) -> tuple[FilterRule, ...]:
        """Return what each filter does; one that refers to nothing is complained about."""
        return tuple(self._note(one, rules, correlations) for one in self._filters)

    def _narrow(self, one: _Filter, rule: SigmaRule, narrowed: dict[str, SigmaRule]) -> None:
        try:
            names = RuleNames(self._knowledge.mappings.route(rule.logsource), self._knowledge.placeholders)
            condition = question_of(one.draft.parsed.filter, names)
            # Where a placeholder has no values the filter can't be judged: there it leaves the rule as it is.
            allowed = _limited(one.units, _limited(units_with(names.used), condition))
            detection = And((rule.detection, allowed))
            check_size(detection)
            narrowed[rule.id] = replace(rule, detection=detection)
            if not one.told and not holds_on_nothing(condition):
                one.told = True  # once: most filters were meant to leave something out
                self._say(one, "filter_keeps")
        except (SigmaError, ValueError, TypeError, RecursionError) as fault:
            detail = " ".join(str(fault.args[0] if fault.args else fault).split())[:300]
            self._say(one, "filter_fault", rule=rule.id, detail=detail)

    def _note(self, one: _Filter, rules: Mapping[str, SigmaRule], correlations: frozenset[str]) -> FilterRule:
        document, parsed = one.draft.document, one.draft.parsed
        found = tuple(rule.id for rule in rules.values() if one.fits(rule))
        named = {name for rule in rules.values() for name in (rule.id, rule.head.name)}
        for reference in one.references or ():
            if reference in correlations or reference.lower() in correlations:
                self._say(one, "filter_correlation", name=reference)
            elif not {reference, reference.lower()} & named:
                self._say(one, "filter_reference", name=reference)
        if not found:
            self._say(one, "filter_nothing")
        identity = str(parsed.id) if parsed.id else ""
        return FilterRule(identity, str(parsed.title), document.file, document.line, found, one.units)

    def _say(self, one: _Filter, name: str, /, **values: str) -> None:
        self._complain(one.draft.document.complaint(problem(name, **values), fatal=False))


@dataclass(slots=True)
class _Filter:
    """Hold a filter: ``references`` is ``None`` for any rule, ``units`` for everywhere.

    ``wall`` is the beginning of the files of the rules it can reach.
    """

    draft: FilterDraft
    source: LogSource
    references: frozenset[str] | None
    units: tuple[str, ...] | None
    wall: str = ""
    told: bool = False

    @classmethod
    def of(cls, draft: FilterDraft, units: Units, complain: Complain, wall: str = "") -> _Filter:
        given = draft.parsed.filter.rules
        references = None if isinstance(given, str) else [str(one.reference) for one in given]
        return cls(
            draft,
            logsource_of(draft.parsed.logsource),
            None if references is None else frozenset(references),
            _units_of(draft.document, units, complain),
            wall,
        )

    def fits(self, rule: SigmaRule) -> bool:
        """Tell whether the filter belongs to a rule."""
        if not rule.head.file.startswith(self.wall):
            return False
        ours, theirs = self.source, rule.logsource
        pairs = (
            (ours.product, theirs.product),
            (ours.category, theirs.category),
            (ours.service, theirs.service),
        )
        if not all(our in {"", their} for our, their in pairs):
            return False
        if self.references is None:
            return True
        lowered = {reference.lower() for reference in self.references}
        return rule.id in lowered or rule.head.name in self.references


def _wall(file: str, walled: Sequence[Path]) -> str:
    """Return how the walled folder of a file is written, empty for one outside of them all."""
    folders = (f"{folder}{os.sep}" for folder in walled)
    return next((folder for folder in folders if file.startswith(folder)), "")


def _limited(units: tuple[str, ...] | None, query: Query) -> Query:
    """Return what holds everywhere but in these units, and there where ``query`` does."""
    return query if units is None else Or((Not(OneOf(ORGANIZATION_ID, units)), query))


def _units_of(document: Source, units: Units, complain: Complain) -> tuple[str, ...] | None:
    """Return the ids of the units that a filter names and of all below them, ``None`` where it names none."""
    block = document.tree.get(BLOCK)
    given = block.get(ORGANISATIONS) if isinstance(block, dict) else None
    if block is None or (isinstance(block, dict) and ORGANISATIONS not in block):
        return None
    codes = given if isinstance(given, list) else [given]
    if not codes or not all(isinstance(code, str | int) for code in codes):
        complain(document.complaint(problem("block_form", name=f"{BLOCK}.{ORGANISATIONS}"), fatal=False))
        return ()
    found: set[str] = set()
    for code in map(str, codes):
        if code not in units.below:
            complain(document.complaint(problem("unknown_unit", name=code[:100]), fatal=False))
        found.update(units.below.get(code, ()))
    return tuple(sorted(found))
