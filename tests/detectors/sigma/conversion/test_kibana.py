"""Rules for Kibana have the form that its import takes, and say what the rule says.

Form: api_schemas/8.15 of github.com/elastic/detection-rules (fields, required ones, patterns).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from syrupy.assertion import SnapshotAssertion

from detectors.sigma.conversion import Converted, Options, convert, write
from detectors.sigma.conversion.kibana import identity_of
from detectors.sigma.mapping import bundled_rules
from soc_core.model.detection import Reason
from tests.detectors.sigma.base import WINDOWS, load_text, rule_text, say

REQUIRED = {"author", "description", "language", "name", "query", "risk_score", "rule_id", "severity", "type"}
COUNT = """
title: Many
id: 22222222-2222-4333-8444-555555555555
level: high
correlation:
  type: {type}
  rules: [11111111-2222-4333-8444-555555555555]
  group-by: [ComputerName]
  timespan: 10m
  condition: {condition}
"""


def explain(reason: Reason) -> str:
    return say(reason.key, **reason.values)


def options(**more: Any) -> Options:
    return Options("kibana", explain, **more)


def lines_of(found: list[Converted]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in write(found, options()).split("\n") if line]


def test_all_our_rules_have_the_form() -> None:
    from detectors.sigma import load_rules

    found = list(convert(load_rules([bundled_rules()]), options(approximate=True, language="zh")))
    made = lines_of(found)
    assert len(made) >= 100
    assert len({line["rule_id"] for line in made}) == len(made)
    for line in made:
        assert line.keys() >= REQUIRED
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", line["rule_id"])
        assert line["severity"] in {"low", "medium", "high", "critical"}
        assert 1 <= line["risk_score"] <= 100
        assert re.fullmatch(r"\d+[mshd]", line["interval"])
        assert line["index"] == ["edusoc-events-*"]
        assert line["enabled"] is False
        assert look_back(line) > 300
        assert line["threat"], line["name"]
        for threat in line["threat"]:
            assert re.fullmatch(r"https://attack.mitre.org/tactics/TA\d+/", threat["tactic"]["reference"])
    assert {line["type"] for line in made} == {"query", "threshold"}


def look_back(line: dict[str, Any]) -> int:
    match = re.fullmatch(r"now-(\d+)s", line["from"])
    assert match is not None
    return int(match[1])


def test_one_rule(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    more = """
    author: A. Author, B. Author
    references: [https://example.org/1]
    tags: [attack.execution, attack.t1059.001]
    falsepositives: [Administrators]
    """
    text = rule_text("one:\n  Image|endswith: '\\\\a.exe'\ncondition: one", WINDOWS, more=more)
    rules = load_text(tmp_path, text)
    (line,) = lines_of(list(convert(rules, options())))
    assert line == snapshot
    assert lines_of(list(convert(rules, options()))) == [line]


def test_approximate_rules_are_refused_or_marked(tmp_path: Path) -> None:
    text = rule_text("one:\n  CommandLine|re: 'a\\bb'\ncondition: one", WINDOWS)
    rules = load_text(tmp_path, text)
    (refused,) = convert(rules, options())
    assert (refused.outcome, refused.text) == ("refused", "")
    assert [reason.key for reason in refused.reasons] == ["detectors.sigma.problem.convert_regex"]
    (marked,) = convert(rules, options(approximate=True))
    (line,) = lines_of([marked])
    assert marked.outcome == "approximate"
    assert "edusoc: approximate" in line["tags"]
    assert "regular expressions there can't say this one" in line["note"]


def counting(folder: Path, kind: str, condition: str) -> Converted:
    base = rule_text("one:\n  EventID: 1\ncondition: one", WINDOWS)
    rules = load_text(folder, base, COUNT.format(type=kind, condition=condition))
    assert [explain(item.reason) for item in rules.problems] == []
    return next(one for one in convert(rules, options(approximate=True)) if one.head.title == "Many")


def test_counts_become_thresholds(tmp_path: Path) -> None:
    (line,) = lines_of([counting(tmp_path, "event_count", "{gt: 4}")])
    assert line["threshold"] == {"field": ["winlog.computer_name"], "value": 5, "cardinality": []}
    assert look_back(line) == 900
    (line,) = lines_of([counting(tmp_path, "value_count", "{gte: 3, field: User}")])
    assert line["threshold"]["cardinality"] == [{"field": "winlog.event_data.User", "value": 3}]


@pytest.mark.parametrize(
    ("kind", "condition"), [("event_count", "{gte: 1, lte: 4}"), ("event_count", "{eq: 4}")]
)
def test_other_counts_are_refused(tmp_path: Path, kind: str, condition: str) -> None:
    found = counting(tmp_path, kind, condition)
    assert found.outcome == "refused"
    assert [reason.key for reason in found.reasons] == ["detectors.sigma.problem.convert_correlation"]


def test_ids_that_are_no_uuids_get_one() -> None:
    assert identity_of("ABCDEF00-0000-4000-8000-000000000000") == "abcdef00-0000-4000-8000-000000000000"
    assert identity_of("my rule") == identity_of("my rule") != identity_of("another")
