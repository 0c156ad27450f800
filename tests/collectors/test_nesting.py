from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import nesting
from collectors.nesting import nest
from soc_core.fields import FIELDS
from soc_core.model.event import Event


def test_names_are_taken_apart() -> None:
    assert nest({"a.b.c": 1, "a.b.d": [2], "e": "x"}) == {"a": {"b": {"c": 1, "d": [2]}}, "e": "x"}


def test_a_name_that_is_value_and_object_loses_nothing() -> None:
    assert nest({"a": 1, "a.b": 2}) == {"a": 1, "a.b": 2}
    assert nest({"a.b": 2, "a.b.c": 1}) == {"a": {"b": 2}, "a.b.c": 1}


@given(st.sets(st.sampled_from(sorted(FIELDS)), max_size=30))
def test_every_field_of_the_dictionary_nests_to_its_place(names: set[str]) -> None:
    document = nest(dict.fromkeys(names, "x"))
    for name in names:
        place: object = document
        for part in name.split("."):
            assert isinstance(place, dict)
            place = place[part]
        assert place == "x"


@pytest.mark.parametrize(
    "event",
    [
        {"a.b": 1, "a.c.d": [1, 2], "e": "x"},
        {"a": 1, "a.b": 2, "a.b.c": 3},
        {"a.b": 1, "a": 2},
        {'it\'s "quoted".b': "{v[0]}", "ü.é": True},
    ],
)
def test_shapes_that_come_again_nest_the_same(event: Event) -> None:
    first = nest(event)
    for number in range(40):
        again: Event = {name: value if number % 2 else 7 for name, value in event.items()}
        assert nest(again) == (first if number % 2 else nesting._nest(again))
    assert tuple(event) in nesting._built
