"""Load Sigma rules from YAML files: pySigma parses, we say what it means here and name every problem with its place.

Loading never stops at a bad file or rule: what can't be used is left out and stands in ``RuleSet.problems``.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import re2
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaIdentifierError, SigmaTitleError
from sigma.filters import SigmaFilter
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule import SigmaRule as Parsed
from sigma.rule.detection import EmptySigmaDetections
from sigma.rule.logsource import EmptyLogSource

from detectors.sigma.building import Knowledge, build_rule
from detectors.sigma.correlating import Correlations, Draft, silent_parts
from detectors.sigma.files import find_files
from detectors.sigma.filters import FilterDraft, Filters
from detectors.sigma.mapping import Mappings, bundled_mappings
from detectors.sigma.model import CorrelationRule, CorrelationType, Problem, RuleSet, SigmaRule
from detectors.sigma.placeholders import load_placeholders
from detectors.sigma.reading import MAX_DETAIL, Document, read_documents
from detectors.sigma.respelling import condition, respelled
from detectors.sigma.units import NOBODY, Units
from detectors.sigma.words import problem
from soc_core.model.detection import Reason

__all__ = ["POLICY", "Document", "load_rules", "parse_reason", "read_documents", "respelled"]
MAX_PROBLEMS: Final = 200
"""Problems told of one file."""
NAMESPACE: Final = UUID("5f5e3f0c-3c35-4f0b-8f7e-9b1de0f2c7a4")
"""Ids of documents that have but a name are made of it within this namespace."""
# What the parser raises for documents of another form than it expects.
_FAULTS: Final = (SigmaError, ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
_OPERATORS: Final = ("gt", "gte", "lt", "lte", "eq", "neq")
# Types of the specification's schema that pySigma 2.0 doesn't know; it parses them as another measure.
_FOREIGN: Final = ("value_min", "value_max")


class QuietEngine(RE2RegexEngine):
    """Check regular expressions as pySigma does, by RE2, but without a word on standard error."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        """Return the compiled pattern; raise the engine's error for one that RE2 can't judge."""
        options = re2.Options()
        options.log_errors = False
        inline = "".join(name for flag, name in _FLAGS if flags & flag)
        compiled: RegexPattern = re2.compile(f"(?{inline}){pattern}" if inline else pattern, options)
        return compiled


_FLAGS: Final = ((re.IGNORECASE, "i"), (re.MULTILINE, "m"), (re.DOTALL, "s"))
POLICY: Final = SigmaPolicy(regex_engine=QuietEngine())


def load_rules(
    paths: Sequence[Path | str],
    mappings: Mappings | None = None,
    units: Units = NOBODY,
    walled: Sequence[Path] = (),
) -> RuleSet:
    """Load all rules under ``paths`` (files, or folders with all below), in the order of their names.

    In folders, ``mappings``, ``placeholders``, ``_deprecated`` and ``*.samples.yml`` are no rules. ``mappings`` are
    those of the program unless given. ``units`` is what filters and placeholders may know of the organisations.
    Filters from a ``walled`` folder, which holds a stranger's rules, hold for the rules of that folder only.
    """
    loader = _Loader()
    with _uncollected():
        for file in find_files(paths, loader.problems):
            before = len(loader.problems)
            for document in read_documents(file, loader.problems):
                loader.take(document)
            _shorten(str(file), loader.problems, before)
        placeholders = load_placeholders(paths, units, loader.problems)
        return loader.finish(Knowledge(mappings or bundled_mappings(), placeholders), walled)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold back the garbage collector: walking over all rules again and again is a third of the work."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _shorten(file: str, problems: list[Problem], before: int) -> None:
    """Keep the first problems of a file, and say how many more there are."""
    more = len(problems) - before - MAX_PROBLEMS
    if more > 0:
        del problems[before + MAX_PROBLEMS :]
        problems.append(Problem(file, 0, problem("more", count=more), fatal=False))


class _Loader:
    """Collect documents, then build rules, then what refers to them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._parsed: list[tuple[Document, Parsed]] = []
        self._correlations: list[Draft] = []
        self._filters: list[FilterDraft] = []
        self._places: dict[str, str] = {}

    def take(self, document: Document) -> None:
        """Parse one document."""
        if "action" in document.tree:
            self._complain(document, problem("action"))
            return
        document = _identified(document)
        is_filter = "filter" in document.tree
        identity = document.tree.get("id")
        if not isinstance(identity, str) and not (is_filter and identity is None):
            self._complain(document, problem("no_id"))
            return
        try:
            if "correlation" in document.tree:
                self._take_correlation(document)
            elif is_filter:
                self._take_filter(document)
            else:
                self._take_rule(document)
        except _FAULTS as fault:
            self._complain(document, parse_reason(fault))

    def _take_rule(self, document: Document) -> None:
        rule = Parsed.from_dict(respelled(document.tree), collect_errors=True, policy=POLICY)
        hollow = isinstance(rule.detection, EmptySigmaDetections)
        whole = not hollow and not isinstance(rule.logsource, EmptyLogSource)
        if self._sound(document, rule.errors, whole=whole):
            self._parsed.append((document, rule))

    def _take_filter(self, document: Document) -> None:
        tree = respelled(document.tree, "filter")
        parsed = SigmaFilter.from_dict(tree, policy=POLICY)
        if parsed.id is None or self._sound(document, (), whole=True):
            self._filters.append(FilterDraft(document, parsed))

    def _take_correlation(self, document: Document) -> None:
        tree, kind, bounds = _correlation_tree(document.tree)
        parsed = SigmaCorrelationRule.from_dict(tree, collect_errors=True, policy=POLICY)
        if self._sound(document, parsed.errors, whole=not parsed.errors):
            self._correlations.append(Draft(document, parsed, CorrelationType(kind), bounds))

    def _sound(self, document: Document, errors: Iterable[SigmaError], *, whole: bool) -> bool:
        """Note the parser's errors and tell whether the rule can be used: it is ``whole`` and has an id of its own."""
        sound = whole
        for error in errors:
            # Of a whole rule only the texts can be wrong: it can be judged, if it can be named.
            fatal = not whole or isinstance(error, SigmaIdentifierError | SigmaTitleError)
            sound = sound and not fatal
            self._complain(document, parse_reason(error), fatal=fatal)
        identity = str(document.tree["id"]).lower()
        if identity in self._places:
            self._complain(document, problem("doubled", place=self._places[identity]))
            return False
        self._places[identity] = f"{document.file}:{document.line}"
        return sound

    def _complain(self, document: Document, reason: Reason, *, fatal: bool = True) -> None:
        self.problems.append(document.complaint(reason, fatal=fatal))

    def finish(self, knowledge: Knowledge, walled: Sequence[Path] = ()) -> RuleSet:
        """Build everything; what only feeds correlations no longer fires alone."""
        rules: dict[str, SigmaRule] = {}
        for document, parsed in self._parsed:
            rule = self._build(document, parsed, knowledge)
            if rule is not None:
                rules[rule.id] = rule
        filters = Filters(self._filters, knowledge, self.problems.append, walled)
        rules = filters.apply(rules)
        correlations = self._correlate(rules, knowledge)
        named = frozenset(name for draft in self._correlations for name in draft.names)
        notes = filters.notes(rules, named)
        silent = silent_parts(correlations)
        final = tuple(replace(rule, alone=False) if rule.id in silent else rule for rule in rules.values())
        return RuleSet.of(final, tuple(correlations), tuple(self.problems), notes)

    def _build(self, document: Document, parsed: Parsed, knowledge: Knowledge) -> SigmaRule | None:
        try:
            return build_rule(document, parsed, knowledge, self.problems.append)
        except _FAULTS as fault:
            self._complain(document, parse_reason(fault))
            return None

    def _correlate(self, rules: Mapping[str, SigmaRule], knowledge: Knowledge) -> list[CorrelationRule]:
        names = {rule.head.name: rule for rule in rules.values() if rule.head.name} | dict(rules)
        built = Correlations(self._correlations, names, knowledge.mappings, self.problems.append).build()
        for draft, one in built:
            if isinstance(one, Exception):
                self.problems.append(draft.document.complaint(parse_reason(one)))
        return [one for _, one in built if isinstance(one, CorrelationRule)]


def _identified(document: Document) -> Document:
    """Return a document that has but a name with an id and a title made of it: the parts of a correlation may."""
    tree = document.tree
    name = tree.get("name")
    if not isinstance(name, str) or not name or not {"detection", "correlation"} & tree.keys():
        return document
    if tree.get("id") is not None and "title" in tree:
        return document
    made = {"id": str(uuid5(NAMESPACE, name)), "title": name[:256]}
    kept = {key: value for key, value in tree.items() if value is not None or key != "id"}
    return replace(document, tree={**made, **kept})


def _correlation_tree(
    tree: Mapping[str, object],
) -> tuple[dict[str, object], str, tuple[tuple[str, float], ...]]:
    """Return a correlation as the parser knows it, its type, and the bounds of its condition: it takes one only."""
    block = tree.get("correlation")
    if not isinstance(block, dict):
        return dict(tree), "", ()
    kind, given = str(block.get("type", "")).lower(), block.get("condition")
    changed = {**block, "type": "value_sum"} if kind in _FOREIGN else dict(block)
    bounds: tuple[tuple[str, float], ...] = ()
    if isinstance(given, dict):
        bounds = tuple((name, _bound(given[name])) for name in _OPERATORS if name in given)
        others = {name: value for name, value in given.items() if name not in _OPERATORS}
        changed["condition"] = {str(name): value for name, value in (*others.items(), *bounds[:1])}
    elif isinstance(given, str):
        changed["condition"] = condition(given, {})
        bounds = (("gte", 1),)
    return {**tree, "correlation": changed}, kind, bounds


def _bound(value: object) -> float:
    """Return the number a count is compared with; raise ``SigmaError`` for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(value)
        number = int(value) if isinstance(value, int) else float(value)
        if math.isfinite(number):
            return int(number) if number == int(number) else number
    except (ValueError, OverflowError):
        pass
    raise SigmaError("a count is compared with numbers only")


def parse_reason(fault: Exception) -> Reason:
    """Return the reason that quotes a parser's error on one line."""
    detail = (
        fault.args[0] if isinstance(fault, SigmaError) and fault.args else str(fault) or type(fault).__name__
    )
    return problem("rule", detail=" ".join(str(detail).split())[:MAX_DETAIL])
