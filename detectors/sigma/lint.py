"""Check rules as content: what people need to act on them, samples, and what pySigma's validators find.

One small class checks one thing. A rule that only feeds a correlation needs no texts and no samples of its own: it
says nothing to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule as Parsed
from sigma.validators.base import SigmaValidationIssueSeverity

from detectors.sigma.files import find_files
from detectors.sigma.folding import leaves
from detectors.sigma.loading import POLICY, Document, parse_reason, read_documents, respelled
from detectors.sigma.model import CorrelationRule, Problem, RuleSet, SigmaRule, Words
from detectors.sigma.samples import Case, read_cases, samples_of
from detectors.sigma.validators import ALL
from detectors.sigma.words import problem
from soc_core.errors import InputError
from soc_core.fields import FIELDS
from soc_core.model.detection import Reason, Severity
from soc_core.query.regex import to_re2
from soc_core.query.tree import Regex

STEPS: Final = 3
MAX_TITLE: Final = 100
_CLAUSE: Final = re.compile(r"\d{1,2}(\.\d{1,2}){1,4}")
_OPEN_REPEAT: Final = re.compile(r"(?<!\\)[*+]|\{\d+,\}")
_TECHNIQUE: Final = re.compile(r"attack\.t\d{4}(\.\d{3})?")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold a loaded rule and what stands around it; ``samples`` are those that concern its file."""

    document: Document
    rule: SigmaRule | CorrelationRule
    samples: Sequence[Case] | None

    def words(self, language: str) -> Words:
        """Return its texts."""
        return self.rule.head.words[language]


class Check(Protocol):
    """Check one thing of a rule."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        ...


class Identity:
    """Check that the id is a UUID, by which rules stay the same wherever they are copied."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        try:
            UUID(str(candidate.document.tree.get("id")))
        except ValueError:
            yield problem("no_id")


class Titles:
    """Check that both titles are there and short enough for a list."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        for language in ("zh", "en"):
            title = candidate.words(language).title
            if len(title) > MAX_TITLE:
                yield problem("long", name=f"title ({language})", size=MAX_TITLE)
        yield from _chinese("title", candidate.words("zh").title)


class Descriptions:
    """Check that both languages say what it means."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if not candidate.words("en").description:
            yield problem("lacks", name="description")
        yield from _chinese("description", candidate.words("zh").description)


class Level:
    """Check that the rule says how serious it is."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if str(candidate.document.tree.get("level")) not in {level.value for level in Severity}:
            yield problem("lacks", name="level")


class Tags:
    """Check that the rule names an ATT&CK technique."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if not any(_TECHNIQUE.fullmatch(tag) for tag in candidate.rule.head.tags):
            yield problem("lacks", name="tags (attack.t…)")


class FalsePositives:
    """Check that harmless causes are named in both languages."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if not candidate.words("en").falsepositives:
            yield problem("lacks", name="falsepositives")
        yield from _chinese("falsepositives", " ".join(candidate.words("zh").falsepositives))


class Triage:
    """Check that both languages say how to judge it."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if not candidate.words("en").triage:
            yield problem("lacks", name="edusoc.triage.en")
        yield from _chinese("triage.zh", candidate.words("zh").triage)


class Steps:
    """Check that both languages name the three steps a teacher can take."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        for language in ("zh", "en"):
            if len(candidate.words(language).steps) != STEPS:
                yield problem("steps", name=f"edusoc.steps.{language}", size=STEPS)


class GradedProtection:
    """Check that clauses of GB/T 22239-2019 are named by their numbers."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        clauses = candidate.words("zh").graded_protection
        if not clauses:
            yield problem("lacks", name="edusoc.graded_protection")
        for clause in clauses:
            if not _CLAUSE.fullmatch(clause):
                yield problem("clause", name=clause)


class Places:
    """Check that the fields for device and other side are in the dictionary."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        head = candidate.rule.head
        for name in (*head.entity, *head.peer):
            if name not in FIELDS:
                yield problem("unknown_field", name=name)


class Expressions:
    """Check that regular expressions can be judged in linear time: a hostile text must not stop the detector."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if isinstance(candidate.rule, SigmaRule):
            for leaf in leaves(candidate.rule.detection):
                if isinstance(leaf, Regex) and _may_be_slow(leaf):
                    yield problem("slow_regex", pattern=leaf.pattern[:MAX_TITLE])


class Sight:
    """Check that a collector delivers what the rule asks for."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if isinstance(candidate.rule, SigmaRule) and candidate.rule.blind is not None:
            yield candidate.rule.blind


class Samples:
    """Check that there are positive and negative samples."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        samples = candidate.samples
        if samples is None:
            yield problem("lacks", name=samples_of(Path(candidate.document.file)).name)
            return
        for name, positive in (("positive", True), ("negative", False)):
            if not any(case.positive is positive for case in samples):
                yield problem("lacks", name=f"{samples_of(Path(candidate.document.file)).name}: {name}")


class Validators:
    """Run pySigma's and SigmaHQ's validators on plain rules; what they find unimportant is left out."""

    def __call__(self, candidate: Candidate) -> Iterator[Reason]:
        """Yield what is wrong."""
        if isinstance(candidate.rule, CorrelationRule):
            return
        try:
            parsed = Parsed.from_dict(respelled(candidate.document.tree), collect_errors=True, policy=POLICY)
        except (SigmaError, ValueError, TypeError) as fault:
            yield parse_reason(fault)
            return
        for validator in ALL:
            for issue in validator().validate(parsed):
                if issue.severity is not SigmaValidationIssueSeverity.LOW:
                    name = type(issue).__name__.removesuffix("Issue")
                    yield problem("validator", name=name, detail=issue.description)


CHECKS: Final[tuple[Check, ...]] = (
    Identity(),
    Titles(),
    Descriptions(),
    Level(),
    Tags(),
    FalsePositives(),
    Triage(),
    Steps(),
    GradedProtection(),
    Places(),
    Samples(),
    Sight(),
    Expressions(),
    Validators(),
)
FEEDING: Final[tuple[Check, ...]] = (Identity(), Places(), Sight(), Expressions(), Validators())
"""What holds for rules that only feed a correlation."""


FOREIGN: Final[tuple[Check, ...]] = (Identity(), Level(), Sight(), Expressions(), Validators())
"""What holds for other people's rules, which know nothing of our texts and samples."""


def lint(paths: Sequence[Path | str], rules: RuleSet) -> list[Problem]:
    """Return everything wrong with the rules under ``paths``, of which ``rules`` were loaded, by file and line."""
    return _lint(paths, rules, CHECKS)


def lint_foreign(paths: Sequence[Path | str], rules: RuleSet) -> list[Problem]:
    """Return what is wrong with other people's rules, by file and line."""
    return _lint(paths, rules, FOREIGN)


def _lint(paths: Sequence[Path | str], rules: RuleSet, checks: Sequence[Check]) -> list[Problem]:
    loaded = {(rule.head.file, rule.head.line): rule for rule in rules.everything}
    found = list(rules.problems)
    unread: list[Problem] = []  # what can't be read is among the problems of loading already
    for file in find_files(paths, unread):
        samples = _samples(file, found.append)
        for document in read_documents(file, unread):
            rule = loaded.get((document.file, document.line))
            if rule is not None:
                found.extend(_check(Candidate(document, rule, samples), checks))
    return sorted(found, key=lambda item: (item.file, item.line))


def _check(candidate: Candidate, checks: Sequence[Check]) -> Iterator[Problem]:
    feeding = isinstance(candidate.rule, SigmaRule) and not candidate.rule.alone
    for check in FEEDING if feeding else checks:
        for reason in check(candidate):
            yield candidate.document.complaint(reason, fatal=False)


def _samples(file: Path, complain: Callable[[Problem], None]) -> Sequence[Case] | None:
    path = samples_of(file)
    if not path.is_file():
        return None
    try:
        return read_cases(path)
    except InputError as fault:
        complain(Problem(str(path), 0, problem("samples", detail=fault.what), fatal=False))
        return []


def _may_be_slow(leaf: Regex) -> bool:
    """Tell whether Python's engine must judge it, and more than two open repeats multiply its time."""
    return to_re2(leaf.pattern, leaf.flags) is None and len(_OPEN_REPEAT.findall(leaf.pattern)) > 2


def _chinese(name: str, text: str) -> Iterator[Reason]:
    if not _CHINESE.search(text):
        yield problem("lacks_chinese", name=f"edusoc.{name}")
