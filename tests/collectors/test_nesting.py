from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.nesting import nest
from soc_core.fields import FIELDS


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
