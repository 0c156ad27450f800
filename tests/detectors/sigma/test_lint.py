"""Lint says what a rule lacks; samples are tried as the pipeline would."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.sigma import load_rules
from detectors.sigma.lint import CHECKS, lint
from detectors.sigma.samples import read_cases, run_cases, samples_of
from soc_core.errors import InputError
from tests.detectors.sigma.base import ID, say

WHOLE = f"""title: A test
id: {ID}
status: test
description: It happened.
logsource: {{category: dns}}
detection:
  s: {{query: bad.example}}
  condition: s
falsepositives: [A test]
level: high
tags: [attack.command-and-control, attack.t1071.004]
edusoc:
  title: 试一试
  description: 发生了。
  falsepositives: [测试]
  triage: {{zh: 看一看, en: look}}
  steps: {{zh: [一, 二, 三], en: [one, two, three]}}
  graded_protection: ["8.1.3.3"]
"""
SAMPLES = """
positive:
  - why: the name is asked for
    events: [{event: {dataset: packets.dns}, dns.question.name: bad.example}]
negative:
  - why: another name
    events: [{event.dataset: packets.dns, dns.question.name: good.example}]
"""


def found(folder: Path, rule: str = WHOLE, samples: str = SAMPLES) -> list[str]:
    (folder / "rule.yml").write_text(rule, encoding="utf-8")
    if samples:
        (folder / "rule.samples.yml").write_text(samples, encoding="utf-8")
    problems = lint([folder], load_rules([folder]))
    return [say(item.reason.key, **item.reason.values) for item in problems]


def test_whole_rule_has_no_problems(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("level: high\n", "", "level is missing"),
        ("  title: 试一试\n", "", "edusoc.title has no Chinese"),
        ("title: A test", "title: " + "a" * 101, "title (en) is longer"),
        ("description: It happened.\n", "", "description is missing"),
        ("  description: 发生了。\n", "", "edusoc.description has no Chinese"),
        ("falsepositives: [A test]\n", "", "falsepositives is missing"),
        ("  falsepositives: [测试]\n", "", "edusoc.falsepositives has no Chinese"),
        (", attack.t1071.004", "", "tags (attack.t…) is missing"),
        ("{zh: 看一看, en: look}", "{zh: 看一看}", "edusoc.triage.en is missing"),
        ("{zh: 看一看, en: look}", "{en: look}", "edusoc.triage.zh has no Chinese"),
        ("[一, 二, 三]", "[一, 二]", "edusoc.steps.zh must hold 3 steps"),
        ("[one, two, three]", "[one, two, three, four]", "edusoc.steps.en must hold 3 steps"),
        ('  graded_protection: ["8.1.3.3"]\n', "", "edusoc.graded_protection is missing"),
        ('["8.1.3.3"]', '["8.1.x"]', "8.1.x is no clause number"),
        ('["8.1.3.3"]', '["8.1.3.3"]\n  entity: [host.nam]', "no host.nam"),
        ("category: dns", "product: aws, service: cloudtrail", "no collector delivers this log source"),
        ("query: bad", "quarry: bad", "no collector delivers these fields: quarry"),
        ("  condition: s\n", "  t: {query: x}\n  condition: s\n", "DanglingDetection"),
        ("query: bad.example", "query|re: '(a+)+(b{200,})+$'", "may be slow"),
        ("query: bad.example", "query|all: [a, b]", "AllWithoutContains"),
        ("query: bad.example", 'query: "a\\x01b"', "ControlCharacter"),
        ("tags: [", "tags: [attack.t1071.004, attack.t1071.004, ", "DuplicateTag"),
        ("s: {query: bad.example}", "s: {query|sounds: bad}", "sounds"),
    ],
)
def test_each_lack_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in WHOLE
    problems = found(tmp_path, WHOLE.replace(old, new))
    assert any(reason in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ("", "rule.samples.yml is missing"),
        ("positive: []", "rule.samples.yml: positive is missing"),
        (SAMPLES.partition("negative")[0], "rule.samples.yml: negative is missing"),
        ("positives: []", "can't be read"),
        ("positive: [{why: x, events: []}]", "can't be read"),
        ("positive: [{why: x}]", "can't be read"),
        ("positive: 5", "can't be read"),
        ("a: [", "can't be read"),
    ],
)
def test_samples_must_be_there(tmp_path: Path, samples: str, reason: str) -> None:
    problems = found(tmp_path, samples=samples)
    assert any(reason in problem for problem in problems), problems


def test_identity_may_be_in_capitals(tmp_path: Path) -> None:
    identity = "AAAAAAAA-2222-4333-8444-555555555555"
    problems = found(tmp_path, WHOLE.replace(ID, identity).replace("level: high\n", ""))
    assert any("level is missing" in problem for problem in problems)
    assert load_rules([tmp_path]).rules[0].id == identity.lower()


def test_each_check_has_an_effect() -> None:
    assert len({type(check) for check in CHECKS}) == len(CHECKS) == 14


def test_rule_that_feeds_needs_no_texts(tmp_path: Path) -> None:
    detection = WHOLE[WHOLE.index("logsource") : WHOLE.index("falsepositives")]
    correlation = f"correlation: {{type: event_count, rules: [{ID}], timespan: 5m, condition: {{gte: 2}}}}\n"
    whole = WHOLE.replace(ID, ID[:-1] + "6").replace(detection, correlation)
    repeated = SAMPLES.replace("dns.question.name: bad.example", "dns.question.name: bad.example, repeat: 2")
    assert found(tmp_path, WHOLE.partition("falsepositives")[0] + "---\n" + whole, repeated) == []
    outcomes = list(run_cases(load_rules([tmp_path]), read_cases(tmp_path / "rule.samples.yml")))
    assert [item.passed for item in outcomes] == [True, True]
    assert outcomes[0].fired == (ID[:-1] + "6",)


def test_samples_are_judged(tmp_path: Path) -> None:
    found(tmp_path)
    rules = load_rules([tmp_path])
    cases = read_cases(samples_of(tmp_path / "rule.yml"))
    assert [(item.case.positive, item.passed, item.fired) for item in run_cases(rules, cases)] == [
        (True, True, (ID,)),
        (False, True, ()),
    ]
    swapped = SAMPLES.replace("positive", "x").replace("negative", "positive").replace("x:", "negative:", 1)
    (tmp_path / "rule.samples.yml").write_text(swapped, encoding="utf-8")
    cases = read_cases(tmp_path / "rule.samples.yml")
    assert [item.passed for item in run_cases(rules, cases)] == [False, False]


def test_sample_may_name_the_rule_it_is_for(tmp_path: Path) -> None:
    found(tmp_path, samples=SAMPLES.replace("- why: the", f"- rule: {ID}\n    why: the"))
    rules = load_rules([tmp_path])
    cases = read_cases(tmp_path / "rule.samples.yml")
    assert cases[0].rule == ID
    assert [item.passed for item in run_cases(rules, cases)] == [True, True]
    found(tmp_path, samples=SAMPLES.replace("- why: the", "- rule: other\n    why: the"))
    assert [item.passed for item in run_cases(rules, read_cases(tmp_path / "rule.samples.yml"))] == [
        False,
        True,
    ]


def test_samples_that_are_not_there_raise(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_cases(tmp_path / "none.yml")
