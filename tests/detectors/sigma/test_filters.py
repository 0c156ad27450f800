"""Filters: which rules they narrow, in which units, and what is said of those that do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.sigma import RuleSet, load_rules
from detectors.sigma.units import Units
from tests.detectors.sigma.base import ID, fires, rule_text, say

FILTER = "66666666-2222-4333-8444-555555555555"
UNITS = Units(below={"county": ("c", "s1", "s2"), "s1": ("s1",), "c": ("c", "s1", "s2"), "empty": ()})
RULE = rule_text("s: {user.name: a}\ncondition: s", more="name: someone\n")


def load(
    folder: Path, body: str, *, more: str = "", rule: str = RULE, source: str = "{product: test}"
) -> RuleSet:
    text = f"{rule.rstrip()}\n---\ntitle: No lab\nid: {FILTER}\nlogsource: {source}\nfilter:\n{body}{more}"
    (folder / "a.yml").write_text(text, encoding="utf-8")
    return load_rules([folder], units=UNITS)


def body(rules: str, condition: str = "not lab") -> str:
    return f"  rules: {rules}\n  lab: {{host.name: lab}}\n  condition: {condition}\n"


def told(rules: RuleSet) -> list[str]:
    return [say(one.reason.key, **one.reason.values) for one in rules.problems]


@pytest.mark.parametrize("rules", [f"[{ID}]", f"[{ID.upper()}]", "[someone]", "someone", "any", "[]"])
def test_a_filter_narrows_the_rules_it_names(tmp_path: Path, rules: str) -> None:
    loaded = load(tmp_path, body(rules))
    assert told(loaded) == []
    assert fires(loaded.rules[0], {"user.name": "a"})
    assert not fires(loaded.rules[0], {"user.name": "a", "host.name": "LAB"})
    (note,) = loaded.filters
    assert (note.id, note.title, note.rules, note.units) == (FILTER, "No lab", (ID,), None)


@pytest.mark.parametrize("rules", ["any", f"[{ID}]"])
def test_filters_of_a_strangers_set_stay_inside_of_it(tmp_path: Path, rules: str) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    own = ID.replace("1", "2")
    (ours / "a.yml").write_text(rule_text("s: {user.name: a}\ncondition: s", identity=own), encoding="utf-8")
    load(theirs, body("any" if rules == "any" else f"[{ID}, {own}]"))
    caught = {"user.name": "a", "host.name": "lab"}
    walled = load_rules([ours, theirs], units=UNITS, walled=[theirs])
    assert {rule.id: fires(rule, caught) for rule in walled.rules} == {own: True, ID: False}
    opened = load_rules([ours, theirs], units=UNITS)
    assert {rule.id: fires(rule, caught) for rule in opened.rules} == {own: False, ID: False}
    load(ours, body("any"), rule=RULE.replace(ID, own))
    (theirs / "a.yml").write_text(RULE, encoding="utf-8")
    reached = load_rules([ours, theirs], units=UNITS, walled=[theirs])
    assert {rule.id: fires(rule, caught) for rule in reached.rules} == {own: False, ID: False}


def test_a_filter_needs_no_id(tmp_path: Path) -> None:
    loaded = load(tmp_path, body("any"))
    text = (tmp_path / "a.yml").read_text(encoding="utf-8").replace(f"id: {FILTER}\n", "")
    (tmp_path / "a.yml").write_text(text, encoding="utf-8")
    assert load_rules([tmp_path]).rules == loaded.rules


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        ("{product: test}", True),
        ("{product: other}", False),
        ("{product: test, service: x}", False),
    ],
)
def test_any_means_any_rule_of_the_log_source(tmp_path: Path, source: str, fits: bool) -> None:
    loaded = load(tmp_path, body("any"), source=source)
    assert fires(loaded.rules[0], {"user.name": "a", "host.name": "lab"}) is not fits
    assert told(loaded) == ([] if fits else ["this filter concerns no rule"])


def test_field_names_are_those_of_the_rules_log_source(tmp_path: Path) -> None:
    windows = "{product: windows, category: process_creation}"
    rule = rule_text("s: {Image|endswith: x.exe}\ncondition: s", windows)
    text = "  rules: any\n  s: {CommandLine|contains: ' ok'}\n  condition: not 1 of s*\n"
    (found,) = load(tmp_path, text, rule=rule, source=windows).rules
    assert "process.command_line" in repr(found.detection)
    assert [use.name for use in found.uses] == ["Image"]


@pytest.mark.parametrize(
    ("organisations", "filtered"),
    [
        ("[county]", {"c", "s1", "s2"}),
        ("[s1]", {"s1"}),
        ("s1", {"s1"}),
        ("[s1, nobody]", {"s1"}),
        ("[]", set()),
    ],
)
def test_a_filter_of_units_holds_for_them_and_all_below(
    tmp_path: Path, organisations: str, filtered: set[str]
) -> None:
    loaded = load(tmp_path, body("any"), more=f"edusoc: {{organisations: {organisations}}}\n")
    fired = {
        unit
        for unit in ("c", "s1", "s2", "other")
        if fires(loaded.rules[0], {"user.name": "a", "host.name": "lab", "organization.id": unit})
    }
    assert fired == {"c", "s1", "s2", "other"} - filtered
    assert loaded.filters[0].units == tuple(sorted(filtered))
    assert any("nobody" in text for text in told(loaded)) is ("nobody" in organisations)


@pytest.mark.parametrize(
    ("text", "word", "fatal"),
    [
        (body("[11111111-2222-4333-8444-000000000000]"), "000000000000", False),
        (body("[someone, nobody]"), "nobody", False),
        (body("any", "lab"), "keeps only", False),
        (body("any", "not office"), "office", False),
        (body("any", "lab |"), "not applied", False),
        (body("5"), "rules field", True),
        ("  lab: {host.name: lab}\n  condition: not lab\n", "'rules'", True),
        ("  rules: any\n  lab: {host.name: lab}\n", "condition", True),
        ("  rules: any\n  lab: {host.name|sounds: lab}\n  condition: not lab\n", "sounds", True),
    ],
)
def test_what_is_wrong_with_a_filter_is_said(tmp_path: Path, text: str, word: str, fatal: bool) -> None:
    loaded = load(tmp_path, text)
    assert len(loaded.rules) == 1
    found = [one for one in loaded.problems if word in say(one.reason.key, **one.reason.values)]
    assert [(one.fatal, one.line) for one in found] == [(fatal, loaded.rules[0].head.line + 10)], told(loaded)


def test_a_filter_names_rules_not_correlations(tmp_path: Path) -> None:
    many = f"type: event_count, rules: [{ID}], timespan: 1m, condition: {{gte: 2}}"
    rule = f"{RULE}---\ntitle: Many\nid: 77777777-2222-4333-8444-555555555555\nname: many\ncorrelation: {{{many}}}\n"
    loaded = load(tmp_path, body("[many]"), rule=rule)
    assert any("correlation many" in text for text in told(loaded))
    assert len(loaded.correlations) == 1
