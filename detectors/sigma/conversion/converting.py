"""Convert rules one by one; what can't be said exactly is left out, or marked where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson

from detectors.sigma.conversion import kibana, sql
from detectors.sigma.conversion.elasticsearch import to_elasticsearch
from detectors.sigma.loading import read_documents
from detectors.sigma.model import CorrelationRule, Head, RuleSet, SigmaRule, to_query
from detectors.sigma.words import problem
from soc_core.model.detection import Reason
from soc_core.query.tree import Or

Target: TypeAlias = Literal["elasticsearch", "kibana", "sql"]
TARGETS: Final[tuple[Target, ...]] = ("elasticsearch", "kibana", "sql")


@dataclass(frozen=True, slots=True)
class Options:
    """Say what to convert to.

    ``pattern`` names the indices, ``folder`` the exported Parquet files, ``language`` that of texts; ``explain`` says a
    reason in it. Only with ``approximate`` are rules converted that then find more than they should.
    """

    target: Target
    explain: Callable[[Reason], str]
    pattern: str = "edusoc-events-*"
    folder: str = "export"
    language: str = "en"
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Converted:
    """Hold what became of a rule: its text in the other language (empty: none) and why it isn't exact.

    ``fields`` are those that an SQL condition names.
    """

    head: Head
    text: str
    reasons: tuple[Reason, ...] = ()
    fields: frozenset[str] = field(default=frozenset())

    @property
    def outcome(self) -> str:
        """Return ``exact``, ``approximate`` or ``refused``."""
        return ("approximate" if self.reasons else "exact") if self.text else "refused"


def convert(rules: RuleSet, options: Options) -> Iterator[Converted]:
    """Yield what becomes of each rule that raises alerts, in their order."""
    for rule in rules.everything:
        if rule.alone:
            yield _rule(rule, options) if isinstance(rule, SigmaRule) else _correlation(rule, options)


def write(converted: Iterable[Converted], options: Options) -> str:
    """Return the whole file of those that were converted."""
    kept = [one for one in converted if one.text]
    text = "".join(one.text + "\n" for one in kept)
    if options.target != "sql":
        return text
    return sql.preamble(frozenset[str]().union(*(one.fields for one in kept)), options.folder) + text


def _rule(rule: SigmaRule, options: Options) -> Converted:
    query = to_query(rule)
    if options.target == "sql":
        selected = sql.to_sql(query)
        if selected.reasons and not options.approximate:
            return Converted(rule.head, "", selected.reasons)
        return Converted(rule.head, _statement(rule.head, selected), selected.reasons, selected.fields)
    asked = to_elasticsearch(query)
    if asked.reasons and not options.approximate:
        return Converted(rule.head, "", asked.reasons)
    if options.target == "elasticsearch":
        line = _line(rule.head, options, asked.reasons, {"query": asked.body, "lucene": asked.lucene})
    else:
        line = kibana.query_rule(rule.head, asked.lucene, _about(rule.head), _around(options, asked.reasons))
    return Converted(rule.head, _json(line), asked.reasons)


def _correlation(rule: CorrelationRule, options: Options) -> Converted:
    """Return what becomes of a correlation: only Kibana counts, and by windows of its own."""
    if options.target != "kibana":
        return Converted(rule.head, "", (problem("convert_correlation", type=rule.type.value),))
    threshold = kibana.threshold_of(rule)
    if threshold is None or not all(isinstance(part, SigmaRule) for part in rule.parts):
        return Converted(rule.head, "", (problem("convert_correlation", type=rule.type.value),))
    asked = to_elasticsearch(Or(tuple(map(to_query, rule.rules))))
    reasons = (problem("convert_windows", seconds=int(rule.timespan.total_seconds())), *asked.reasons)
    if not options.approximate:
        return Converted(rule.head, "", reasons)
    around = _around(options, reasons)
    line = kibana.threshold_rule(rule, asked.lucene, _about(rule.head), around, threshold)
    return Converted(rule.head, _json(line), reasons)


def _around(options: Options, reasons: tuple[Reason, ...]) -> kibana.Surroundings:
    return kibana.Surroundings(options.pattern, options.language, tuple(map(options.explain, reasons)))


def _line(
    head: Head, options: Options, reasons: tuple[Reason, ...], question: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": head.id,
        "title": head.title,
        "level": head.severity.value,
        "index": options.pattern,
        "exact": not reasons,
        "limits": [options.explain(reason) for reason in reasons],
        **question,
    }


def _json(line: dict[str, Any]) -> str:
    return orjson.dumps(line).decode()


def _statement(head: Head, selected: sql.Selected) -> str:
    title = " ".join(head.title.split())
    remark = "" if not selected.reasons else " (approximate)"
    return (
        f"-- {title}{remark}\n"
        f"SELECT {sql.text(head.id)} AS rule_id, {sql.text(title)} AS rule_title, *\n"
        f"FROM events WHERE {selected.condition};"
    )


def _about(head: Head) -> kibana.About:
    """Return what a rule's file says beyond its head; people's names go with their rules (Sigma's licence asks it)."""
    tree = _trees(head.file).get(head.id, {})
    author, references = tree.get("author"), tree.get("references")
    return kibana.About(
        tuple(part.strip() for part in str(author).split(",")) if author else (),
        tuple(map(str, references)) if isinstance(references, list) else (),
        str(tree.get("license") or ""),
    )


@lru_cache(maxsize=4)
def _trees(file: str) -> dict[str, dict[str, object]]:
    documents = read_documents(Path(file), [])
    return {str(document.tree.get("id")): document.tree for document in documents}
