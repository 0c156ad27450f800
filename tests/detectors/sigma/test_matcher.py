"""Hold that the matcher and the query tree always agree, whatever the rules and events, and that memory is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.sigma.judging import SAMPLED
from detectors.sigma.matcher import Matcher
from detectors.sigma.model import Head, LogSource, SigmaRule, Words, to_query
from detectors.sigma.tables import Budget
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.query.tree import And, Everything, Exists, Not, OneOf, Or, Query, Regex, Text, equal
from tests.soc_core.query.test_evaluate import EVENTS, QUERIES

DATASETS = st.sampled_from(["a", "b", "zeek.x"])
CODES = st.sampled_from(["1", "2", 3, "x"])
SOURCES: st.SearchStrategy[Query] = st.one_of(
    st.just(Everything()),
    st.builds(lambda value: equal("event.dataset", value), DATASETS),
    st.builds(
        lambda value, code: And((equal("event.dataset", value), equal("event.code", code))), DATASETS, CODES
    ),
    st.just(Text("event.dataset", "wildcard", "zeek.*")),
    st.builds(lambda value: Or((equal("event.dataset", value), equal("event.code", "2"))), DATASETS),
)
PIVOTED: st.SearchStrategy[Query] = st.one_of(
    QUERIES,
    st.builds(lambda query, code: And((query, equal("event.code", code))), QUERIES, CODES),
    st.builds(lambda query, code: And((query, Not(OneOf("event.code", (code, "9"))))), QUERIES, CODES),
    st.builds(lambda query: Or((query, Not(Exists("event.code")))), QUERIES),
)


def make_rule(number: int, source: Query, detection: Query) -> SigmaRule:
    words = {"en": Words("a"), "zh": Words("甲")}
    head = Head(str(number), "", "f", 1, Severity.HIGH, "test", words)
    return SigmaRule(head, LogSource("test"), source, detection)


RULES = st.lists(st.tuples(SOURCES, PIVOTED), min_size=1, max_size=6)


@settings(max_examples=250, deadline=None)
@given(
    rows=RULES,
    events=EVENTS,
    datasets=st.lists(DATASETS, min_size=6),
    codes=st.lists(CODES, min_size=6),
    budget=st.sampled_from([0, 3_000, 10**6]),
)
def test_matcher_and_query_tree_agree(
    rows: list[tuple[Query, Query]], events: list[Event], datasets: list[str], codes: list[str], budget: int
) -> None:
    rules = [make_rule(number, *row) for number, row in enumerate(rows)]
    matcher = Matcher(rules, budget)
    slow = [(rule, compile_query(to_query(rule))) for rule in rules]
    shaped = [
        event | {"event.dataset": dataset, "event.code": str(code)}
        for event, dataset, code in zip(events, datasets, codes, strict=False)
    ]
    for event in [*shaped, *events, *shaped]:  # the second time from memory
        assert matcher.match(event) == [rule for rule, matches in slow if matches(event)]


def test_only_rules_of_the_log_source_are_in_a_group() -> None:
    rules = [
        make_rule(n, equal("event.dataset", f"d{n}"), Text("user.name", "contains", "abc")) for n in range(50)
    ]
    matcher = Matcher(rules)
    assert [rule.id for rule in matcher.match({"event.dataset": "d7", "user.name": "xabcx"})] == ["7"]
    (group,) = matcher._groups.values()
    assert group is not None
    assert group.active == 1 << 7


def test_unknown_codes_share_a_group() -> None:
    rules = [
        make_rule(0, Everything(), And((equal("event.code", "1"), Text("user.name", "contains", "abc"))))
    ]
    matcher = Matcher(rules)
    for number in range(100):
        matcher.match({"event.dataset": f"d{number}", "event.code": str(number + 2), "user.name": "abc"})
    assert list(matcher._groups.values()) == [None]


def test_memory_is_bounded_and_what_recurs_is_kept() -> None:
    rules = [
        make_rule(0, Everything(), Text("user.name", "contains", "abc")),
        make_rule(1, Everything(), Text("host.name", "contains", "xyz")),
        make_rule(2, Everything(), equal("No Such", "xyz")),
    ]
    matcher = Matcher(rules, 200_000)
    for number in range(5_000):
        extra = [f"No Such={number}"]
        event: Event = {"user.name": f"user {number}", "host.name": "same", "edusoc.extra": extra}
        matcher.match(event)
        matcher.match(event | {"user.name": "m" * 3_000})
    tables = matcher._book._tables
    sizes = [len(table.answers) + len(table._older) for table in tables.values()]
    assert 0 < sum(sizes) < 1_000
    assert "same" in tables["host.name"].answers.keys() | tables["host.name"]._older.keys()


@pytest.mark.parametrize("place", [0, 65_530, 65_536, 131_000, 299_990])
def test_literals_are_found_anywhere_in_long_texts(place: int) -> None:
    matcher = Matcher([make_rule(0, Everything(), Text("message", "contains", "needle"))])
    text = "x" * place + "Needle" + "x" * (300_000 - place)
    assert matcher.match({"message": text})
    assert not matcher.match({"message": text.replace("Needle", "need le")})


def test_half_a_surrogate_pair_is_text_like_any_other() -> None:
    rules = [
        make_rule(0, Everything(), Text("message", "contains", "needle")),
        make_rule(1, Everything(), Text("", "contains", "needle")),
    ]
    assert len(Matcher(rules).match({"message": "\ud800 Needle 学"})) == 2


def test_texts_that_only_an_expression_takes_for_others_are_judged() -> None:
    rules = [make_rule(0, Everything(), Regex("message", "(?i)mask.*risk"))]
    matcher = Matcher(rules)
    for text in ("MASK risk", "maſk risk", "masK riſk", "mask", "mısk", "task"):
        event: Event = {"message": text}
        assert bool(matcher.match(event)) == compile_query(to_query(rules[0]))(event), text


def test_short_texts_of_whole_alphabets_are_found() -> None:
    alphabet = [chr(letter) for letter in range(0x4E00, 0x4E00 + 500)]
    places = (("contains", ""), ("endswith", "a"))
    parts = [Text("message", how, letter + end) for letter in alphabet for how, end in places]
    rules = [make_rule(number, Everything(), part) for number, part in enumerate(parts)]
    matcher = Matcher(rules)
    assert [rule.id for rule in matcher.match({"message": f"x{alphabet[7]}A"})] == ["14", "15"]
    assert [rule.id for rule in matcher.match({"message": f"{alphabet[7]}ab"})] == ["14"]
    assert matcher.match({"message": "plain"}) == []


@pytest.mark.parametrize(
    "text", ["MIMI\u212aATZ", "M\u0130M\u0130KATZ", "课件 MimiKatz", "\u03a3 straSSE \u0416\u0416"]
)
def test_keywords_are_found_in_letters_of_any_case(text: str) -> None:
    rules = [
        make_rule(n, Everything(), Text("", "contains", word))
        for n, word in enumerate(("mimikatz", "\u0436\u0436"))
    ]
    matcher = Matcher(rules)
    events: list[Event] = [
        {"message": text},
        {"related.user": ["a", text]},
        {"event.id": text},
        {"message": "plain"},
    ]
    for event in events:
        slow = [rule for rule in rules if compile_query(to_query(rule))(event)]
        assert matcher.match(event) == slow
        assert bool(slow) == (text in str(event) and "event.id" not in event)


def test_values_that_are_equal_but_read_differently_are_told_apart() -> None:
    rules = [
        make_rule(n, Everything(), equal("process.pid", word)) for n, word in enumerate(("1", "true", "0"))
    ]
    matcher = Matcher(rules)
    for value, wanted in ((1, "0"), (True, "1"), (1.0, "0"), (0, "2"), (False, ""), (True, "1"), (1, "0")):
        assert "".join(rule.id for rule in matcher.match({"process.pid": value})) == wanted


def test_a_rule_that_looks_at_the_event_is_asked_again_for_each() -> None:
    rules = [
        make_rule(0, Everything(), And((Text("user.name", "contains", "abc"), Regex("message", "^a.c$")))),
        make_rule(1, Everything(), Text("user.name", "contains", "abc")),
    ]
    matcher = Matcher(rules)
    for message, wanted in (("abc", ["0", "1"]), ("axd", ["1"]), ("axc", ["0", "1"])):
        assert [rule.id for rule in matcher.match({"user.name": "abc", "message": message})] == wanted


def test_groups_and_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.sigma.matcher.MAX_GROUPS", 10)
    monkeypatch.setattr("detectors.sigma.matcher.MAX_ROUTES", 10)
    rules = [
        make_rule(n, Everything(), And((equal("event.code", str(n)), Text("user.name", "contains", "abc"))))
        for n in range(40)
    ]
    matcher = Matcher(rules)
    for number in range(200):
        codes = [str(number % 40), str(number % 7)]
        event: Event = {"event.code": codes, "user.name": "abc", "event.dataset": f"{number}"}
        wanted = {str(number % 40), str(number % 7)}
        assert {rule.id for rule in matcher.match(event)} == wanted
        assert {rule.id for rule in matcher.match(event | {"event.code": codes[0]})} == {codes[0]}
        assert len(matcher._groups) <= 10
        assert len(matcher._routes) <= 10
    before = set(matcher._routes)
    matcher.match({"event.dataset": "x" * 1_000})
    assert set(matcher._routes) == before


def test_what_rules_cost_is_sampled() -> None:
    rules = [
        make_rule(0, Everything(), Regex("message", "abc.*abc")),
        make_rule(1, Everything(), Text("user.name", "contains", "abc")),
    ]
    matcher = Matcher(rules)
    assert matcher.costs() == {}
    for number in range(SAMPLED * 3):
        matcher.match({"message": f"abc {number}"})
    costs = matcher.costs()
    assert costs.keys() == {0}
    assert costs[0].judged == SAMPLED * 3
    assert costs[0].seconds >= 0


def test_a_budget_makes_its_members_forget() -> None:
    calls: list[str] = []

    class Member:
        def forget(self) -> None:
            calls.append("forget")

    budget = Budget(2_000)
    budget.join(Member())
    for _ in range(2):  # half of the limit
        budget.spend(100)
    assert calls == []
    budget.spend(100)
    budget.spend(100)
    assert calls == ["forget"]
