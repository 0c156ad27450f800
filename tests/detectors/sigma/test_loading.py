"""Load rules: what is wrong is named with its place, the rest is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.sigma import RuleSet, load_rules
from detectors.sigma.files import MAX_BYTES
from tests.detectors.sigma.base import ID, load_text, rule_text, say

GOOD = rule_text("s: {user.name: a}\ncondition: s")
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(20))
OTHER = "22222222-2222-4333-8444-555555555555"


def problems(rules: RuleSet) -> list[tuple[str, int, bool]]:
    return [(say(item.reason.key, **item.reason.values), item.line, item.fatal) for item in rules.problems]


def test_texts_of_both_languages(tmp_path: Path) -> None:
    block = """
        description: It happened.
        falsepositives: [A test]
        tags: [attack.execution, attack.t1059.001, cve.2024-1]
        edusoc:
          title: 试一试
          description: 发生了。
          falsepositives: [测试]
          triage: {zh: 看一看, en: look}
          steps: {zh: [一, 二, 三], en: [one, two, three]}
          graded_protection: ["8.1.3.3", 8.1]
          kind: trying
          entity: [host.name]
          peer: source.ip
    """
    rules = load_text(tmp_path, rule_text("s: {user.name: a}\ncondition: s", more=block))
    assert problems(rules) == []
    (rule,) = rules.rules
    head = rule.head
    assert (head.kind, head.entity, head.peer) == ("trying", ("host.name",), ("source.ip",))
    assert head.techniques == ("T1059.001",)
    chinese, english = rules.describe(ID, "zh"), rules.describe(ID, "en")
    assert chinese is not None
    assert english is not None
    assert (chinese.title, chinese.triage, chinese.steps) == ("试一试", "看一看", ("一", "二", "三"))
    assert (english.title, english.triage, english.steps) == ("A test", "look", ("one", "two", "three"))
    assert english.falsepositives == ("A test",)
    assert chinese.graded_protection == english.graded_protection == ("8.1.3.3", "8.1")
    assert rules.describe("nobody", "zh") is None


def test_foreign_rule_speaks_english_in_both_languages(tmp_path: Path) -> None:
    rules = load_text(tmp_path, GOOD)
    words = rules.describe(ID, "zh")
    assert words is not None
    assert words.title == "A test"
    assert rules.rules[0].head.kind == ID


@pytest.mark.parametrize(
    ("text", "reason", "line", "kept"),
    [
        ("a: [1\nb: 2", "wrong YAML", 2, 0),
        ("a: 1\na: 2", "Duplicate key", 1, 0),
        ("- 1\n- 2", "no rule", 1, 0),
        ("x", "no rule", 1, 0),
        (GOOD.replace(f"id: {ID}\n", ""), "no id", 1, 0),
        (GOOD.replace(ID, "17"), "no id", 1, 0),
        (GOOD.replace(ID, "seventeen"), "UUID", 1, 0),
        (GOOD.replace("level: high", "level: awful"), "level", 1, 1),
        (GOOD.replace("status: test", "date: soon"), "date", 1, 1),
        (GOOD + "tags: [nonsense]\n", "tag", 1, 1),
        (GOOD + "falsepositives: 5\n", "falsepositives", 1, 1),
        (GOOD.replace("status: test", "status: 5"), "status", 1, 1),
        (GOOD + "description: [a]\n", "description", 1, 1),
        (GOOD + "edusoc: 5\n", "edusoc has a wrong form", 1, 1),
        (GOOD + "edusoc: {steps: 5}\n", "edusoc.steps", 1, 1),
        (GOOD + "edusoc: {title: [a]}\n", "edusoc.title", 1, 1),
        (GOOD + "edusoc: {entity: {a: b}}\n", "edusoc.entity", 1, 1),
        (GOOD + "edusoc: {colour: red}\n", "colour", 1, 1),
        ("action: global\n" + GOOD, "action", 1, 0),
        (GOOD.replace("logsource: {product: test}", "logsource: {}"), "log source", 1, 0),
        (GOOD.replace("logsource: {product: test}", "logsource: 5"), "logsource", 1, 0),
        (GOOD.replace("title: A test\n", ""), "title", 1, 0),
        ("\n---\n" + GOOD + "---\n" + GOOD, "rule0.yml:3", 12, 1),
        (BOMB, "aliases", 1, 0),
        ("[" * 5_000, "YAML", None, 0),
        ("title: \x00", "YAML", None, 0),
    ],
)
def test_problem_is_named_with_its_line(
    tmp_path: Path, text: str, reason: str, line: int | None, kept: int
) -> None:
    rules = load_text(tmp_path, text)
    assert len(rules.rules) == kept
    found = problems(rules)
    assert any(reason.lower() in f"{what}".lower() for what, _, _ in found), found
    if line is not None:
        assert line in {place for _, place, _ in found}
    assert all(item.file == str(tmp_path / "rule0.yml") for item in rules.problems)
    assert any(fatal for _, _, fatal in found) is not bool(kept) or "rule0.yml:3" in reason


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes("title: \xe4".encode("latin-1"))
    (tmp_path / "big.yml").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "good.yml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "good.samples.yml").write_text("positive: []", encoding="utf-8")
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "x.yml").write_text("tables: {}", encoding="utf-8")
    (tmp_path / "_deprecated").mkdir()
    (tmp_path / "_deprecated" / "old.yml").write_text("x", encoding="utf-8")
    rules = load_rules([tmp_path, tmp_path / "none"])
    assert [rule.id for rule in rules.rules] == [ID]
    assert sorted(Path(item.file).name for item in rules.problems) == ["big.yml", "latin.yml", "none"]


def test_rule_that_feeds_a_correlation_is_silent_unless_it_generates(tmp_path: Path) -> None:
    correlation = f"""
---
title: Many
id: {OTHER}
correlation: {{type: event_count, rules: [{ID}], group-by: [user.name], timespan: 5m, condition: {{gte: 3}}}}
"""
    rules = load_text(tmp_path, GOOD + correlation)
    assert problems(rules) == []
    assert not rules.rules[0].alone
    rules = load_text(tmp_path, GOOD + correlation.replace("{type", "{generate: true, type"))
    assert rules.rules[0].alone


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (ID + "]", "nobody]", "nobody"),
        ("event_count", "value_sum", "field"),
        ("5m", "5x", "Timespan"),
        ("5m", "30d", "timespan"),
        ("{gte: 3}", "{lt: 3}", "without any event"),
        ("{gte: 3}", "{gte: 0}", "without any event"),
        ("{gte: 3}", "{}", "condition"),
        ("event_count", "counting", "counting"),
    ],
)
def test_correlation_that_cannot_be_judged_is_a_problem(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    body = f"type: event_count, rules: [{ID}], timespan: 5m, condition: {{gte: 3}}"
    text = GOOD + f"---\ntitle: Many\nid: {OTHER}\ncorrelation: {{{body.replace(old, new)}}}\n"
    rules = load_text(tmp_path, text)
    assert rules.correlations == ()
    assert any(reason in what for what, _, fatal in problems(rules) if fatal), problems(rules)
