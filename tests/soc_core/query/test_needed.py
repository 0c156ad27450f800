"""Hold that no expression is found where none of its needed texts stands, and that they are found at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soc_core.query.evaluate import fold, value_test
from soc_core.query.needed import MIN_NEEDED, SELDOM, UNLIKE, needed_texts
from soc_core.query.tree import Regex

ATOMS = st.sampled_from(
    ["abc", "aSk", "xyz", "a", "k", ".", "[ab]", "[Kk]", "[^a]", r"\d", r"\w", r"\.", r"\\", r"\b", "^", "$", r"\s",
     "学", "{", "}", "-", r"\n", "i", "s", r"\x61", "[]a]"]
)  # fmt: skip
REPEATS = st.sampled_from(
    ["", "", "", "*", "+", "?", "{2}", "{0,2}", "{,2}", "{1,}", "*?", "+?", "{1,2}?", "{}", "{a|b}"]
)
PATTERNS = st.recursive(
    st.tuples(ATOMS, REPEATS).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.tuples(st.sampled_from(["(", "(?:", "(?=", "(?i:", "(?P<a>"]), inner, REPEATS).map(
            lambda parts: f"{parts[0]}{parts[1]}){parts[2]}"
        ),
    ),
    max_leaves=8,
)
TEXTS = st.lists(
    st.sampled_from(["abc", "ABC", "ask", "aſk", "as\u212a", "xyz", "a", "k", "K", "\n", ".",
      "\\", "学", "1", "{", "}", "-", "i", "İ", "ı"]),
    max_size=7,
).map("".join)  # fmt: skip


@given(PATTERNS, st.sampled_from(["", "i", "s", "m", "im"]), TEXTS)
@example("{a|b}abc", "", "b}abc")
@example("{", "", "{")
@example("abc|xyz", "i", "XYZ")
@example("a{,2}bcd", "", "a{,2}bcd")
def test_what_is_found_holds_a_needed_text(pattern: str, flags: str, text: str) -> None:
    needed = needed_texts(pattern, flags)
    if needed is None:
        return
    assert all(len(one) >= MIN_NEEDED or not SELDOM.isdisjoint(one) for one in needed)
    try:
        found = value_test(Regex("message", pattern, flags))(text)
    except re.error:
        return
    if found and UNLIKE.isdisjoint(text):
        folded = fold(text, cased=False)
        assert any(one in folded for one in needed)


@pytest.mark.parametrize(
    ("pattern", "needed"),
    [
        ("foo|bar", {"foo", "bar"}),
        (r"(?i)\bInvoke-Expression\b.*\$env", {"invoke-expression"}),
        ("(abc|de)xyz+", {"xyz"}),
        ("(?:power|pw)shell(?:abcdef)?", {"shell"}),
        ("[Rr][Uu][Nn]dll32", {"rundll32"}),
        ("abcd?ef", {"abc"}),
        (r"C:\\Users\\", {"c:\\users\\"}),
        ("(abc|def)+", {"abc", "def"}),
    ],
)
def test_needed_texts(pattern: str, needed: set[str]) -> None:
    assert set(needed_texts(pattern) or ()) == needed


@pytest.mark.parametrize(
    "pattern",
    ["", "ab", "abc|x", "(?:abcdef)?", "[abc]+", r"\x61bc", "{a|b}", "(?=abc)", "(abc", "abc)", "(?P<a>abc)"],
)
def test_nothing_is_needed_where_it_is_not_certain(pattern: str) -> None:
    assert needed_texts(pattern) is None


def test_a_deep_pattern_needs_nothing() -> None:
    assert needed_texts("(" * 5_000 + "abc" + ")" * 5_000) is None
    assert needed_texts("abc", "x") is None
