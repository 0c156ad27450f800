"""Finding personal values in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.privacy.finding import Finder, is_identity_number

# Invented numbers with a fitting check character; region 330199 is not in use.
CITIZEN = "330199201501011235"
WRONG = "330199201501011234"


def hidden(text: str, finder: Finder | None = None) -> str:
    return (finder or Finder(["张三丰", "Li Lei"], r"\b20\d{8}\b")).hide(
        text, lambda kind, value: f"<{kind}:{value}>"
    )


def test_the_check_character_decides() -> None:
    fitting = [check for check in "0123456789X" if is_identity_number(CITIZEN[:17] + check)]
    assert len(fitting) == 1
    assert not is_identity_number("330199201513011235")  # no such month
    assert not is_identity_number("12345")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("联系 13812345678。", "联系 <phone:13812345678>。"),
        ("tel=+86 138-1234-5678;", "tel=+86 <phone:13812345678>;"),
        ("8613812345678", "86<phone:13812345678>"),
        ("id 113812345678", "id 113812345678"),
        ("1381234567", "1381234567"),
        ("12012345678", "12012345678"),
        ("x13812345678", "x13812345678"),
        ("mail li.lei@school.example now", "mail <mail:li.lei>@school.example now"),
        ("/find?mail=li.lei%40school.example&x=1", "/find?mail=<mail:li.lei>%40school.example&x=1"),
        ("学号2023010101登录", "学号<student:2023010101>登录"),
        ("student 2023010101 logged in", "student <student:2023010101> logged in"),
        ("张三丰登录了", "<name:张三丰>登录了"),
        ("q=%E5%BC%A0%E4%B8%89%E4%B8%B0&p=1", "q=<name:张三丰>&p=1"),
        ("q=%e5%bc%a0%e4%b8%89%e4%b8%b0", "q=<name:张三丰>"),
        ("by Li Lei.", "by <name:Li Lei>."),
        ("Li Leipzig", "Li Leipzig"),
        (f"no. {WRONG}", f"no. {WRONG}"),
    ],
)
def test_values_are_found_whole(text: str, wanted: str) -> None:
    assert hidden(text) == wanted


def test_identity_and_student_numbers() -> None:
    number = next(CITIZEN[:17] + check for check in "0123456789X" if is_identity_number(CITIZEN[:17] + check))
    assert hidden(f"身份证{number}，") == f"身份证<citizen:{number}>，"
    assert hidden(f"学籍号G{number}") == f"学籍号<student:G{number}>"
    assert hidden(f"/s?id={number.lower()}&a=1") == f"/s?id=<citizen:{number}>&a=1"


@given(st.text())
def test_any_text_goes_through(text: str) -> None:
    assert isinstance(hidden(text), str)
