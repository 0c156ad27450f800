"""Help to write rules in tests and to ask whether they fire."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

from detectors.sigma import RuleSet, SigmaRule, load_rules, to_query
from detectors.sigma.matcher import Matcher
from soc_core import i18n
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query

ID = "11111111-2222-4333-8444-555555555555"
WINDOWS = "{product: windows, category: process_creation}"


def rule_text(detection: str, logsource: str = "{product: test}", identity: str = ID, more: str = "") -> str:
    return (
        f"title: A test\nid: {identity}\nstatus: test\nlevel: high\nlogsource: {logsource}\ndetection:\n"
        + indent(dedent(detection).strip("\n"), "  ")
        + "\n"
        + dedent(more)
    )


def load_text(folder: Path, *texts: str) -> RuleSet:
    """Load rules from texts, a file each."""
    for number, text in enumerate(texts):
        (folder / f"rule{number}.yml").write_text(text, encoding="utf-8")
    return load_rules([folder])


def rule_of(folder: Path, detection: str, logsource: str = "{product: test}") -> SigmaRule:
    rules = load_text(folder, rule_text(detection, logsource))
    assert [say(item.reason.key, **item.reason.values) for item in rules.problems] == []
    return rules.rules[0]


def say(key: str, /, **values: str | int | float | bool) -> str:
    i18n.load("detectors")
    return i18n.text(key, "en", **values)


def fires(rule: SigmaRule, event: Event) -> bool:
    """Tell whether a rule fires; matcher and query tree must say the same."""
    whole: Event = {"event.dataset": "test"} | event
    slow = compile_query(to_query(rule))(whole)
    fast = bool(Matcher([rule]).match(whole))
    assert fast is slow
    return fast
