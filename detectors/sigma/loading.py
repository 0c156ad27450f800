"""Load Sigma rules from YAML files: pySigma parses, we say what it means here and name every problem with its place.

Loading never stops at a bad file or rule: what can't be used is left out and stands in ``RuleSet.problems``.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import re2
import yaml
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaIdentifierError, SigmaTitleError
from sigma.filters import SigmaFilter
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule import SigmaRule as Parsed
from sigma.rule.base import SigmaYAMLLoader, check_alias_expansion
from sigma.rule.detection import EmptySigmaDetections
from sigma.rule.logsource import EmptyLogSource

from detectors.sigma.building import build_rule
from detectors.sigma.correlating import build_correlation
from detectors.sigma.files import MAX_BYTES, find_files
from detectors.sigma.mapping import Mappings, bundled_mappings
from detectors.sigma.model import CorrelationRule, Problem, RuleSet, SigmaRule
from detectors.sigma.words import problem
from soc_core.model.detection import Reason

# What the parser raises for documents of another form than it expects.
_FAULTS: Final = (SigmaError, ValueError, TypeError, AttributeError, KeyError, RecursionError)
# Modifiers of the specification that pySigma 2.0 knows under another name only.
_MODIFIERS: Final = {"utf16le": "wide"}


class QuietEngine(RE2RegexEngine):
    """Check regular expressions as pySigma does, by RE2, but without a word on standard error."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        """Return the compiled pattern; raise the engine's error for one that RE2 can't judge."""
        options = re2.Options()
        options.log_errors = False
        inline = "".join(name for flag, name in _FLAGS if flags & flag)
        compiled: RegexPattern = re2.compile(f"(?{inline}){pattern}" if inline else pattern, options)
        return compiled

    def __deepcopy__(self, _memo: object) -> QuietEngine:
        return self  # a filter copies the rule with all it holds, and a module can't be copied


_FLAGS: Final = ((re.IGNORECASE, "i"), (re.MULTILINE, "m"), (re.DOTALL, "s"))
POLICY: Final = SigmaPolicy(regex_engine=QuietEngine())


@dataclass(frozen=True, slots=True)
class Document:
    """Hold one YAML document of a rule file as it was read; ``line`` is where it begins, counted from 1."""

    file: str
    line: int
    tree: dict[str, object]

    def complaint(self, reason: Reason, *, fatal: bool = True) -> Problem:
        """Return a problem of this document."""
        identity = self.tree.get("id")
        return Problem(self.file, self.line, reason, str(identity) if identity else "", fatal)


def load_rules(paths: Sequence[Path | str], mappings: Mappings | None = None) -> RuleSet:
    """Load all rules under ``paths`` (files, or folders with all below), in the order of their names.

    In folders, ``mappings``, ``_deprecated`` and ``*.samples.yml`` are no rules. ``mappings`` are those of the program
    unless given.
    """
    loader = _Loader(mappings or bundled_mappings())
    with _uncollected():
        for file in find_files(paths, loader.problems):
            for document in read_documents(file, loader.problems):
                loader.take(document)
        return loader.finish()


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


def read_documents(file: Path, problems: list[Problem]) -> list[Document]:
    """Return the YAML documents of a file; what can't be read becomes a problem with its line."""
    name, found = str(file), list[Document]()
    try:
        data = file.read_bytes()
        if len(data) > MAX_BYTES:
            problems.append(Problem(name, 0, problem("too_big", size=MAX_BYTES)))
            return []
        reader = SigmaYAMLLoader(data.decode("utf-8-sig"))
        while reader.check_node():
            node = reader.get_node()
            line = node.start_mark.line + 1 if node is not None else 0
            tree = reader.construct_document(node)
            if isinstance(tree, dict):
                check_alias_expansion(tree)
                found.append(Document(name, line, tree))
            elif tree is not None:
                problems.append(Problem(name, line, problem("no_rule")))
    except UnicodeDecodeError:
        problems.append(Problem(name, 0, problem("encoding")))
    except OSError as fault:
        problems.append(Problem(name, 0, problem("unreadable", detail=fault.strerror or str(fault))))
    except (yaml.YAMLError, SigmaError, ValueError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        detail = getattr(fault, "problem", None) or str(fault) or type(fault).__name__
        problems.append(Problem(name, line, problem("yaml", detail=str(detail)[:300])))
    return found


class _Loader:
    """Collect documents, then build rules, then what refers to them."""

    def __init__(self, mappings: Mappings) -> None:
        self._mappings = mappings
        self.problems: list[Problem] = []
        self._parsed: list[tuple[Document, Parsed]] = []
        self._correlations: list[tuple[Document, SigmaCorrelationRule]] = []
        self._filters: list[SigmaFilter] = []
        self._places: dict[str, str] = {}

    def take(self, document: Document) -> None:
        """Parse one document."""
        tree = document.tree
        if "action" in tree:
            self._complain(document, problem("action"))
            return
        if not isinstance(tree.get("id"), str):
            self._complain(document, problem("no_id"))
            return
        try:
            if "correlation" in tree:
                correlation = SigmaCorrelationRule.from_dict(tree, collect_errors=True, policy=POLICY)
                if self._sound(document, correlation.errors, whole=not correlation.errors):
                    self._correlations.append((document, correlation))
            elif "filter" in tree:
                self._filters.append(SigmaFilter.from_dict(tree, policy=POLICY))
            else:
                rule = Parsed.from_dict(respelled(tree), collect_errors=True, policy=POLICY)
                hollow = isinstance(rule.detection, EmptySigmaDetections)
                whole = not hollow and not isinstance(rule.logsource, EmptyLogSource)
                if self._sound(document, rule.errors, whole=whole):
                    self._parsed.append((document, rule))
        except _FAULTS as fault:
            self._complain(document, parse_reason(fault))

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

    def finish(self) -> RuleSet:
        """Build everything; rules that only feed correlations no longer fire alone."""
        rules: dict[str, SigmaRule] = {}
        for document, parsed in self._parsed:
            rule = self._build(document, parsed)
            if rule is not None:
                rules[rule.id] = rule
        correlations = self._correlate(rules)
        feeding = {rule.id for one in correlations if not one.generate for rule in one.rules}
        spoken = {rule.id for one in correlations if one.generate for rule in one.rules}
        final = tuple(
            replace(rule, alone=False) if rule.id in feeding - spoken else rule for rule in rules.values()
        )
        return RuleSet.of(final, tuple(correlations), tuple(self.problems))

    def _build(self, document: Document, parsed: Parsed) -> SigmaRule | None:
        try:
            for one in self._filters:
                parsed = one.apply_on_rule(parsed)  # type: ignore[assignment] # a rule stays a rule
            return build_rule(document, parsed, self._mappings, self.problems.append)
        except _FAULTS as fault:
            self._complain(document, parse_reason(fault))
            return None

    def _correlate(self, rules: dict[str, SigmaRule]) -> list[CorrelationRule]:
        names = {rule.head.name: rule for rule in rules.values() if rule.head.name} | rules
        found: list[CorrelationRule] = []
        for document, parsed in self._correlations:
            try:
                found.append(build_correlation(document, parsed, names, self._mappings, self.problems.append))
            except _FAULTS as fault:
                self._complain(document, parse_reason(fault))
        return found


def parse_reason(fault: Exception) -> Reason:
    """Return the reason that quotes a parser's error on one line."""
    detail = (
        fault.args[0] if isinstance(fault, SigmaError) and fault.args else str(fault) or type(fault).__name__
    )
    return problem("rule", detail=" ".join(str(detail).split())[:300])


def respelled(tree: dict[str, object]) -> dict[str, object]:
    """Return a rule with its modifiers named as the parser knows them."""
    if not any(name in str(tree.get("detection", "")) for name in _MODIFIERS):
        return tree
    return {**tree, "detection": _respell(tree.get("detection"))}


def _respell(node: object) -> object:
    if isinstance(node, list):
        return [_respell(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {_respell_key(key): _respell(value) for key, value in node.items()}


def _respell_key(key: object) -> object:
    if not isinstance(key, str) or "|" not in key:
        return key
    field, *modifiers = key.split("|")
    return "|".join([field, *(_MODIFIERS.get(name, name) for name in modifiers)])
