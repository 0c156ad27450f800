"""Build our rule from a parsed one: question, texts, and what a detection of it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetections, SigmaLevel, SigmaLogSource, SigmaStatus
from sigma.rule import SigmaRule as Parsed

from detectors.sigma.mapping import Mappings, Route
from detectors.sigma.model import FieldUse, Head, LogSource, Problem, SigmaRule
from detectors.sigma.placeholders import Given, Placeholders, units_with
from detectors.sigma.translate import translate, within, witnessed
from detectors.sigma.words import BLOCK, English, problem, read_extension
from soc_core.model.detection import Reason, Severity
from soc_core.query.tree import And, Not, Or, Query

Complain = Callable[[Problem], None]
MAX_NODES = 20_000


class Source(Protocol):
    """Be the document a rule comes from."""

    @property
    def file(self) -> str:
        """Return the path of the file."""
        ...

    @property
    def line(self) -> int:
        """Return the line where the document begins, counted from 1."""
        ...

    @property
    def tree(self) -> Mapping[str, object]:
        """Return the document's content."""
        ...

    def complaint(self, reason: Reason, *, fatal: bool = True) -> Problem:
        """Return a problem of this document."""
        ...


def name_of(parsed: Parsed | SigmaCorrelationRule) -> str:
    """Return the name by which others refer to a rule; empty where it is no text, which the parser only notes."""
    return parsed.name if isinstance(parsed.name, str) else ""


def build_head(document: Source, parsed: Parsed | SigmaCorrelationRule, complain: Complain) -> Head:
    """Return what rules and correlations have in common."""
    given = document.tree.get("falsepositives")
    texts = tuple(str(item) for item in given) if isinstance(given, list) else ()
    english = English(str(parsed.title), str(parsed.description or "").strip(), texts)
    extension = read_extension(
        document.tree.get(BLOCK), english, lambda reason: complain(document.complaint(reason, fatal=False))
    )
    identity = str(parsed.id)
    return Head(
        id=identity,
        name=name_of(parsed),
        file=document.file,
        line=document.line,
        severity=Severity(parsed.level.name.lower())
        if isinstance(parsed.level, SigmaLevel)
        else Severity.MEDIUM,
        status=parsed.status.name.lower() if isinstance(parsed.status, SigmaStatus) else "",
        words=extension.words,
        techniques=tuple(
            tag.name.upper()
            for tag in parsed.tags or ()
            if tag.namespace == "attack" and tag.name[:1] in "tT" and tag.name[1:2].isdigit()
        ),
        tags=tuple(str(tag) for tag in parsed.tags or ()),
        kind=extension.kind or identity,
        entity=extension.entity,
        peer=extension.peer,
    )


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Hold what the names in rules mean here: fields of log sources, and the values of placeholders."""

    mappings: Mappings
    placeholders: Placeholders


def build_rule(document: Source, parsed: Parsed, knowledge: Knowledge, complain: Complain) -> SigmaRule:
    """Return the rule; raise ``SigmaError`` when it asks for what can't be said or done."""
    source = logsource_of(parsed.logsource)
    route = knowledge.mappings.route(source)
    names = RuleNames(route, knowledge.placeholders)
    detection = witnessed(question_of(parsed.detection, names))
    detection = within(units_with(names.used), detection)
    check_size(detection)
    return SigmaRule(
        head=build_head(document, parsed, complain),
        logsource=source,
        source=route.events,
        detection=detection,
        uses=tuple(names.uses.values()),
        blind=_blindness(source, route, names.uses),
    )


def logsource_of(given: SigmaLogSource) -> LogSource:
    """Return a log source in small letters."""
    return LogSource(*(str(part or "").lower() for part in (given.product, given.category, given.service)))


def question_of(detections: SigmaDetections, names: RuleNames) -> Query:
    """Return what a detection asks for: any of its conditions."""
    conditions = [translate(one.parsed, names) for one in detections.parsed_condition]
    return conditions[0] if len(conditions) == 1 else Or(tuple(conditions))


def check_size(query: Query) -> None:
    """Raise ``SigmaError`` for a query that is too large to be judged."""
    if count_nodes(query) > MAX_NODES:
        raise SigmaError(f"the rule has more than {MAX_NODES} parts")


def count_nodes(query: Query) -> int:
    """Return how many nodes a query has."""
    if isinstance(query, And | Or):
        return 1 + sum(count_nodes(child) for child in query.children)
    return 1 + (count_nodes(query.child) if isinstance(query, Not) else 0)


class RuleNames:
    """Say what the names in a rule mean, and remember which were asked for."""

    def __init__(self, route: Route, placeholders: Placeholders) -> None:
        """Take the rule's route and the values of placeholders."""
        self._route = route
        self._placeholders = placeholders
        self.uses: dict[str, FieldUse] = {}
        self.used: dict[str, tuple[Given, ...]] = {}

    def __call__(self, name: str) -> tuple[str, ...]:
        """Return the event fields of a name."""
        use = self.uses.get(name)
        if use is None:
            use = self.uses[name] = self._route.field(name)
        return use.fields

    def given(self, placeholder: str) -> tuple[Given, ...]:
        """Return the values of a placeholder; raise ``SigmaError`` where nobody gave any."""
        found = self.used[placeholder] = self._placeholders.of(placeholder)
        if not found:
            raise SigmaError(f"placeholder '{placeholder}' needs values that nobody gave (expand)")
        return found


def _blindness(source: LogSource, route: Route, uses: Mapping[str, FieldUse]) -> Reason | None:
    """Return why no collector delivers what a rule asks for, ``None`` when one does."""
    if not route.delivered:
        return problem("blind_source", source=str(source))
    missing = [name for name, use in uses.items() if not use.delivered]
    return problem("blind_fields", fields=", ".join(missing)) if missing else None
