from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.delimited import cells_of
from collectors.making import RecordError


def test_cells_may_hold_quotes_and_line_breaks() -> None:
    assert cells_of('a,"b ""c"" d","e\nf",') == ["a", 'b "c" d', "e\nf", ""]
    assert cells_of("") == []


def test_broken_rows_say_so() -> None:
    for text in ('"a" b,c', 'a,"b', "a\nb"):
        with pytest.raises(RecordError):
            cells_of(text)


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        cells_of(text)
    except RecordError:
        return
