# ruff: noqa: E501 # hostile texts are clearer on one line
"""Hostile rule files: each is a problem with its place within bounded time and memory, and the others go on."""

from __future__ import annotations

import resource
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.sigma import RuleSet, load_rules
from detectors.sigma.loading import MAX_PROBLEMS
from detectors.sigma.matcher import Matcher
from tests.detectors.sigma.base import rule_text, say

GOOD = "99999999-2222-4333-8444-555555555555"
OTHER = "22222222-2222-4333-8444-555555555555"
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}, *a{n}, *a{n}]}}\n" for n in range(20)
)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(60))


def rule(detection: str, more: str = "") -> str:
    return rule_text(detection, more=more)


def many(values: int, form: str = "v{}") -> str:
    return "s: {user.name: [" + ",".join(form.format(n) for n in range(values)) + "]}\ncondition: s"


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "ten megabytes": ("#" * 10_000_000, "larger"),
    "a million values": (many(1_000_000), "larger"),
    "laughs": (LAUGHS, "aliases"),
    "merges": (MERGES, "merge"),
    "a circle of anchors": ("title: &a [*a]\nid: x\ndetection: {s: *a}", "Recursive"),
    "nested lists": ("[" * 100_000, "wrong YAML"),
    "nested maps": ("a: " + "{a: " * 5_000, "wrong YAML"),
    "nested values": (rule("s: {user.name: " + "[" * 200 + "a" + "]" * 200 + "}\ncondition: s"), "100 levels"),
    "nested brackets": (rule("s: {user.name: a}\ncondition: " + "(" * 5_000 + "s" + ")" * 5_000), "deep"),
    "negations": (rule("s: {user.name: a}\ncondition: " + "not " * 4_000 + "s"), "wrong rule"),
    "a long condition": (rule("s: {user.name: a}\ncondition: " + " or ".join(["s"] * 9_000)), "longer"),
    "an unknown modifier": (rule("s: {user.name|sounds: a}\ncondition: s"), "sounds"),
    "a doubled id": (rule("s: {user.name: a}\ncondition: s").replace("A test", "B").replace("11111111-2222-4333-8444-555555555555", GOOD), "its id is that of"),
    "latin": ("title: ä".encode("latin-1"), "UTF-8"),
    "utf-16": ("title: a".encode("utf-16"), "UTF-8"),
    "a NUL byte": (b"title: a\x00b", "wrong YAML"),
    "huge integer": (rule("s: {source.port: " + "9" * 5_000 + "}\ncondition: s"), "digits"),
    "huge hexadecimal": (rule("s: {source.port: 0x" + "f" * 9_000 + "}\ncondition: s"), "wrong rule"),
    "huge exponent": (rule("s: {source.port|gt: 1.0e+999}\ncondition: s"), "wrong rule"),
    "a date as id": ("title: a\nid: 2024-01-01\ndetection: {}", "no id"),
    "a number as id": ("title: a\nid: 0x" + "f" * 9_000 + "\ndetection: {}", "no id"),
    "a list as key": ("? [a, b]\n: c", "wrong YAML"),
    "an object": ("a: !!python/object/apply:os.system ['true']", "wrong YAML"),
    "bytes": (rule("s: {user.name: !!binary aGVsbG8=}\ncondition: s"), "bytes"),
    "catastrophic": (rule("s: {user.name|re: '^(a+)+\\1$'}\ncondition: s"), "wrong rule"),
    "look-ahead": (rule("s: {user.name|re: '(?=(a+)+$)b'}\ncondition: s"), "wrong rule"),
    "named group": (rule("s: {user.name|re: '(?P<x>(a+)+)$'}\ncondition: s"), "too long"),
    "large repeats": (rule("s: {user.name|re: '((a{1,100}){1,100}){1,100}'}\ncondition: s"), "wrong rule"),
    "windash": (rule("s: {user.name|windash: '-a -b -c -d -e -f -g'}\ncondition: s"), "three"),
    "many parts": (rule("s: {user.name|contains|windash: [" + ",".join(f"'-a{n} -b -c'" for n in range(500)) + "]}\ncondition: s"), "parts"),
    "many documents": ("a\n---\n" * 100_000, "more problems"),
    "a circle of correlations": (f"title: A\nid: {OTHER}\nname: a\ncorrelation: {{type: event_count, rules: [a], timespan: 1m, condition: {{gte: 1}}}}", "circle"),
    "a list as correlation": (f"title: A\nid: {OTHER}\ncorrelation: [1]", "wrong rule"),
    "a number as timespan": (f"title: A\nid: {OTHER}\ncorrelation: {{type: event_count, rules: [x], timespan: 5, condition: {{gte: 1}}}}", "Timespan"),
    "a long timespan": (f"title: A\nid: {OTHER}\ncorrelation: {{type: event_count, rules: [{GOOD}], timespan: {'9' * 4000}y, condition: {{gte: 1}}}}", "wrong rule"),
    "a list as filter": (f"title: A\nid: {OTHER}\nlogsource: {{product: test}}\nfilter: [1]", "wrong rule"),
}  # fmt: skip


def texts(rules: RuleSet) -> list[str]:
    return [say(one.reason.key, **one.reason.values) for one in rules.problems]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_named_and_the_others_go_on(tmp_path: Path, name: str) -> None:
    content, word = HOSTILE[name]
    good = rule("s: {user.name: a}\ncondition: s").replace("11111111-2222-4333-8444-555555555555", GOOD)
    (tmp_path / "a.yml").write_text(good, encoding="utf-8")
    (tmp_path / "b.yml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = resource.getrusage(resource.RUSAGE_SELF)
    rules = load_rules([tmp_path])
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert [one.id for one in rules.rules] == [GOOD]
    assert any(word in text for text in texts(rules)), [text[:200] for text in texts(rules)]
    assert {Path(one.file).name for one in rules.problems} == {"b.yml"}
    assert all(len(text) < 1_000 for text in texts(rules))
    assert len(rules.problems) <= MAX_PROBLEMS + 1
    assert after.ru_utime - before.ru_utime < 30  # a bound, not a speed: hostile ones would take hours
    assert after.ru_maxrss - before.ru_maxrss < 400_000  # KiB


def test_a_long_list_of_values_loads(tmp_path: Path) -> None:
    text = rule(many(50_000, "{}"))
    (tmp_path / "a.yml").write_text(text, encoding="utf-8")
    (loaded,) = load_rules([tmp_path]).rules
    matcher = Matcher([loaded])
    assert matcher.match({"event.dataset": "test", "user.name": "49999"}) == [loaded]
    assert matcher.match({"event.dataset": "test", "user.name": "50000"}) == []


@pytest.mark.parametrize("name", ["[null]", "{a: b}", "5", "''"])
def test_a_name_that_is_no_text_names_nothing(tmp_path: Path, name: str) -> None:
    correlation = (
        f"title: Many\nid: {GOOD}\nname: {name}\ncorrelation:\n  type: event_count\n  rules: [11111111-2222-4333-8444-555555555555]\n"
        "  timespan: 5m\n  group-by: [user.name]\n  condition: {gte: 3}\n"
    )
    (tmp_path / "a.yml").write_text(
        rule("s: {user.name: a}\ncondition: s") + f"name: {name}\n", encoding="utf-8"
    )
    (tmp_path / "b.yml").write_text(correlation, encoding="utf-8")
    rules = load_rules([tmp_path])
    assert [one.head.name for one in rules.everything] == [""]
    assert [("name" in text) for text in texts(rules)] == [True, True]


def test_a_bad_document_leaves_the_others_of_its_file(tmp_path: Path) -> None:
    good = rule("s: {user.name: a}\ncondition: s")
    bad = "title: b\ntitle: c"
    huge = "title: d\nid: " + "9" * 9_000
    (tmp_path / "a.yml").write_text(f"{bad}\n---\n{huge}\n---\n{good}", encoding="utf-8")
    rules = load_rules([tmp_path])
    assert len(rules.rules) == 1
    assert [one.line for one in rules.problems] == [1, 4]


@pytest.mark.parametrize("flags", ["", "|m", "|i|m|s"])
def test_expressions_that_would_take_hours_take_none(tmp_path: Path, flags: str) -> None:
    (tmp_path / "a.yml").write_text(
        rule(f"s: {{user.name|re{flags}: '^(a+)+$'}}\ncondition: s"), encoding="utf-8"
    )
    (loaded,) = load_rules([tmp_path]).rules
    assert Matcher([loaded]).match({"event.dataset": "test", "user.name": "a" * 50_000 + "!"}) == []


SEED = f"""\
title: A test
id: 11111111-2222-4333-8444-555555555555
name: base
status: test
level: high
logsource: {{product: test, service: x}}
detection:
  s: {{user.name|contains|all: [a, 'b*'], source.port|gte: 5, '@timestamp|hour': 3}}
  k: [word, 5]
  condition: s or 1 of k* and not (k)
edusoc: {{title: 试, organisations: [a], steps: {{zh: [一]}}}}
---
title: Many
id: {OTHER}
correlation: {{type: value_count, rules: [base], group-by: [a], aliases: {{a: {{base: user.name}}}}, timespan: 5m,
  condition: {{gte: 3, field: user.name}}}}
---
title: Filter
logsource: {{product: test}}
filter: {{rules: any, x: {{user.name|expand: '%p%'}}, condition: not x}}
"""
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(["any", "*", "%p%", "s and not", "1 of them", "(", "5m", "value_sum", "temporal", "re", "\ue000"]),
    st.sampled_from([[], {}, [None], [[1]], {"a": {"b": 1}}, {5: 6}, {"a|re": "("}, ["a", {"b|cidr": "1/2"}]]),
)  # fmt: skip


def _places(node: object) -> list[tuple[object, object]]:
    """Return every container in a tree with each of its keys."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, value in items for place in ((node, key), *_places(value))]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_loading_never_raises_whatever_stands_in_the_tree(tmp_path: Path, data: st.DataObject) -> None:
    documents = list(yaml.safe_load_all(SEED))
    for _ in range(data.draw(st.integers(1, 4))):
        container, key = data.draw(st.sampled_from(_places(documents)))
        assert isinstance(container, dict | list)
        container[key] = deepcopy(data.draw(VALUES))  # type: ignore[index,call-overload] # a key of its own kind
        if isinstance(container, dict) and data.draw(st.booleans()):
            container[f"{key}|{data.draw(st.sampled_from(['re', 'all', 'expand', 'base64', 'x']))}"] = (
                container.pop(key)
            )
    file = tmp_path / "a.yml"
    file.write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
    (tmp_path / "good.yml").write_text(SEED.replace("11111111", GOOD[:8]).replace("name: base", "name: own"))
    rules = load_rules([tmp_path])
    assert texts(rules) is not None
    for one in rules.rules:
        Matcher([one]).match({"event.dataset": "x", "user.name": "a"})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SEED)), length=st.integers(0, 30), given=st.text(max_size=12))
def test_loading_never_raises_whatever_stands_in_the_text(
    tmp_path: Path, at: int, length: int, given: str
) -> None:
    text = SEED[:at] + given + SEED[at + length :]
    (tmp_path / "a.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    texts(load_rules([tmp_path]))
