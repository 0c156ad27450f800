"""Measure which rules a privacy policy blinds: by running their samples through it, else by what they look for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from collectors.base import Batch
from collectors.privacy import Privacy
from detectors.sigma import RuleSet, SigmaRule, load_rules
from detectors.sigma.files import find_files
from detectors.sigma.folding import leaves
from detectors.sigma.model import CorrelationRule
from detectors.sigma.samples import Case, read_cases, run_cases, samples_of
from soc_core.fields import FIELDS
from soc_core.model.event import Event
from soc_core.query.tree import Exists, OneOf, Regex, Text


@dataclass(frozen=True, slots=True)
class Blinded:
    """Name a rule that a policy blinds: ``missed`` of ``tried`` positive samples fire no more.

    Without samples ``tried`` is 0, and ``values`` are those it looks for (``field=value``) that are not seen any more.
    """

    rule: SigmaRule | CorrelationRule
    tried: int
    missed: int
    values: tuple[str, ...] = ()


def blinded_rules(paths: Sequence[Path], privacy: Privacy) -> Iterator[Blinded]:
    """Yield the rules of ``paths`` that see less under ``privacy``, in the order of their files."""
    for file in find_files(paths, []):
        rules = load_rules([file])
        path = samples_of(file)
        cases = [case for case in read_cases(path) if case.positive] if path.is_file() else []
        if cases:
            yield from _measured(rules, cases, privacy)
        else:
            yield from _read(rules, privacy)


def _measured(rules: RuleSet, cases: Sequence[Case], privacy: Privacy) -> Iterator[Blinded]:
    """Run each case as it is and hidden; a rule that fires on the first only is blinded."""
    hidden = [replace(case, events=tuple(_hidden(case, privacy))) for case in cases]
    tried, missed = dict[str, int](), dict[str, int]()
    for plain, private in zip(run_cases(rules, cases), run_cases(rules, hidden), strict=True):
        for rule_id in plain.fired:
            tried[rule_id] = tried.get(rule_id, 0) + 1
            missed[rule_id] = missed.get(rule_id, 0) + (rule_id not in private.fired)
    for rule in rules.everything:
        if missed.get(rule.id):
            yield Blinded(rule, tried[rule.id], missed[rule.id])


def _hidden(case: Case, privacy: Privacy) -> Sequence[Event]:
    batch = Batch(deepcopy(list(case.events)))
    privacy.apply(batch)
    return batch.events


def _read(rules: RuleSet, privacy: Privacy) -> Iterator[Blinded]:
    for rule in rules.rules:
        values = dict.fromkeys(text for leaf in leaves(rule.detection) for text in _unseen(leaf, privacy))
        if values:
            yield Blinded(rule, 0, 0, tuple(values))


def _unseen(leaf: object, privacy: Privacy) -> Iterator[str]:
    """Yield what a predicate looks for that the policy replaces or removes."""
    if not isinstance(leaf, OneOf | Text | Regex | Exists) or leaf.field not in FIELDS:
        return
    if privacy.removes(leaf.field):
        yield leaf.field
    elif isinstance(leaf, OneOf):
        texts = (value for value in leaf.values if isinstance(value, str))
        yield from (f"{leaf.field}={value}" for value in texts if privacy.changes(leaf.field, value))
    elif isinstance(leaf, Text) and privacy.changes(leaf.field, leaf.value.strip("*?")):
        yield f"{leaf.field}~{leaf.value}"
