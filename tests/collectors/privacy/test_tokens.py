"""Tokens: the same value the same token, another school another, only the school's key turns it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.privacy.tokens import KINDS, NAME, USER, Tokens, is_token
from soc_core.errors import UsageError

SCHOOL, OTHER, BUREAU = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))


@given(st.text(max_size=60), st.sampled_from(sorted(KINDS)))
def test_a_token_can_be_turned_back_by_the_school_only(value: str, kind: str) -> None:
    tokens = Tokens(SCHOOL, BUREAU)
    token = tokens.token(kind, value)
    assert token == Tokens(SCHOOL).token(kind, value) != Tokens(OTHER).token(kind, value)
    assert is_token(token)
    if len(value.encode()) <= 96:
        assert tokens.reveal(token) == value
        with pytest.raises(UsageError, match="key of this school"):
            Tokens(OTHER).reveal(token)


def test_long_values_get_a_digest() -> None:
    tokens = Tokens(SCHOOL)
    token = tokens.token(USER, "长" * 100)
    assert len(token) < 40
    with pytest.raises(UsageError, match="can't be turned back"):
        tokens.reveal(token)


@pytest.mark.parametrize(
    "text", ["", "user", "user~", "user~1", "user~1!!", "other~1abc", "user~1" + "0" * 40]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Tokens(SCHOOL).reveal(text)


def test_correlation_is_the_same_in_all_schools_of_a_bureau() -> None:
    one, two = Tokens(SCHOOL, BUREAU), Tokens(OTHER, BUREAU)
    assert (
        one.correlation(USER, "ZhangSan")
        == two.correlation(USER, " zhangsan")
        == one.correlation(USER, "ｚhangsan")
    )
    assert one.correlation(USER, "zhangsan") != one.correlation(NAME, "zhangsan")
    assert one.correlation(USER, "zhangsan") != Tokens(SCHOOL, OTHER).correlation(USER, "zhangsan")
    assert Tokens(SCHOOL).correlation(USER, "zhangsan") == ""


@pytest.mark.parametrize("keys", [(b"short", b""), (SCHOOL, b"short"), (b"", b"")])
def test_keys_have_32_bytes(keys: tuple[bytes, bytes]) -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        Tokens(*keys)
