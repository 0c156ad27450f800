"""Hold that plain data gives back exactly what was written, and nothing but what a rule set may hold."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sigma.model import CorrelationRule, CorrelationType, Problem, RuleSet, Threshold
from detectors.sigma.plain import from_plain, to_plain
from soc_core.model.detection import Reason
from soc_core.query.tree import OneOf, Query, Text
from tests.detectors.sigma.test_matcher import make_rule
from tests.soc_core.query.test_evaluate import QUERIES

SCALARS = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))
ODD: st.SearchStrategy[Query] = st.builds(
    lambda values: OneOf("f", tuple(values)), st.lists(SCALARS, max_size=4)
)


@given(st.lists(st.tuples(QUERIES | ODD, QUERIES | ODD), max_size=4))
def test_any_rules_come_back(rows: list[tuple[Query, Query]]) -> None:
    rules = tuple(make_rule(number, *row) for number, row in enumerate(rows))
    given_set = RuleSet.of(rules, (), (Problem("f", 3, Reason("a", {"b": 1})),))
    again = from_plain(to_plain(given_set))
    assert again == given_set
    assert repr(again) == repr(given_set)


def test_half_a_character_and_numbers_without_end_come_back() -> None:
    values = ("\ud800", "学", 2**70, -(2**60), float("inf"), 1e300, True, 1, 1.0, -0.0)
    given_set = RuleSet.of((make_rule(1, Text("a", "contains", "\udfff"), OneOf("f", values)),))
    assert repr(from_plain(to_plain(given_set))) == repr(given_set)


def test_rules_of_a_correlation_are_the_same_objects() -> None:
    rule = make_rule(1, Text("a", "contains", "x"), OneOf("f", ("y",)))
    correlation = CorrelationRule(
        rule.head,
        CorrelationType.EVENT_COUNT,
        (rule,),
        timedelta(minutes=5, microseconds=3),
        ({(rule.id, rule.id): ("user.name",)},),
        Threshold((("gte", 3),)),
    )
    again = from_plain(to_plain(RuleSet.of((rule,), (correlation,))))
    assert again.correlations == (correlation,)
    assert again.correlations[0].rules[0] is again.rules[0]


def test_no_other_class_goes_in() -> None:
    class Other(str):
        __slots__ = ()

    rule = make_rule(1, Text("a", "contains", Other("x")), OneOf("f", ("y",)))
    with pytest.raises(TypeError, match="Other"):
        to_plain(RuleSet.of((rule,)))


@pytest.mark.parametrize(
    "data", [[], {}, 3, [[99]], [[0, [0]]], [[0, 1]], [[5, "x"]], [[4, 300]], "x", [[8, 1, 2, 3]]]
)
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        from_plain(orjson.dumps(data))


def test_what_is_equal_is_held_once() -> None:
    rules = tuple(make_rule(n, Text("a", "contains", "x"), OneOf("f", tuple("abc"))) for n in range(50))
    again = from_plain(to_plain(RuleSet.of(rules)))
    assert len({id(rule.detection) for rule in again.rules}) == 1
