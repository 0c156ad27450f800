"""Say what is wrong with a request's parts, for the errors that pydantic itself makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from soc_api.faults import faults_of
from soc_api.parameters import Instant
from soc_core import i18n

CHINESE = re.compile("[\u4e00-\u9fff]")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    number: int = 0


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field("abc", min_length=2, max_length=4)
    number: int = Field(5, ge=1, le=9)
    flag: bool = False
    colour: Colour = Colour.RED
    language: Literal["zh", "en"] = "zh"
    at: AwareDatetime | None = None
    instant: Instant | None = None
    inner: Inner = Inner()
    other: list[int] = []
    pattern: str = Field("a", pattern="^a$")
    needed: int


WRONG: tuple[tuple[str, object, str, str], ...] = (
    ("needed", None, "缺少这一项", "this part is missing"),
    ("odd", 1, "没有这一项", "there is no such part"),
    ("text", 1, "应为文字", "this must be a text"),
    ("text", "a", "至少 2 个字", "characters needed: 2 or more"),
    ("text", "abcde", "不能超过 4 个字", "characters allowed: 4 at most"),
    ("number", [], "应为整数", "this must be a whole number"),
    ("number", "x", "应为整数", "this must be a whole number"),
    ("number", "9" * 5_000, "数字太大", "the number is too large"),
    ("number", 1.5, "应为整数", "this must be a whole number"),
    ("number", 0, "不能小于 1", "this must be 1 or more"),
    ("number", 10, "不能大于 9", "this must be 9 or less"),
    ("flag", [], "应为 true 或 false", "this must be true or false"),
    ("flag", "x", "应为 true 或 false", "this must be true or false"),
    ("colour", "x", "应为其中之一：'red'、'blue'", "this must be one of 'red' or 'blue'"),
    ("language", "x", "应为其中之一：'zh'、'en'", "this must be one of 'zh' or 'en'"),
    ("at", "2026-11-20T08:00:00", "时间要写明时区", "an instant needs its time zone"),
    ("at", [], "应为时间", "this must be an instant"),
    ("at", "2026-11-20T25:00:00Z", "没有这个时间", "there is no such instant"),
    ("at", "2026-13-20", "没有这个时间", "there is no such instant"),
    ("inner", 1, "应为 JSON 对象", "this must be a JSON object"),
    (
        "instant",
        "12",
        "时间请写成 2026-11-20T08:00:00+08:00",
        "write an instant like 2026-11-20T08:00:00+08:00",
    ),
    (
        "instant",
        "1900-01-01T00:00:00Z",
        "时间须在 1971 年至 9998 年之间",
        "write an instant of the years 1971 to 9998",
    ),
    ("other", 1, "Input should be a valid list", "Input should be a valid list"),  # nothing here takes one
    ("pattern", "b", "格式不对，应符合 ^a$", "this must match ^a$"),
)


@pytest.fixture(autouse=True)
def catalogue() -> None:
    i18n.load("soc_api")


def errors_of(name: str, value: object) -> Iterator[dict[str, object]]:
    given: dict[str, object] = {"needed": 1, name: value}
    if value is None:
        del given[name]
    with pytest.raises(ValidationError) as caught:
        # As FastAPI does it, which takes JSON objects for models and nothing else.
        Part.__pydantic_validator__.validate_python(given, from_attributes=True)
    for error in caught.value.errors():
        yield dict(error)


@pytest.mark.parametrize(("name", "value", "chinese", "english"), WRONG)
def test_every_fault_is_said_in_both_languages(name: str, value: object, chinese: str, english: str) -> None:
    errors = list(errors_of(name, value))
    assert faults_of(errors, "zh") == [{"where": name, "what": chinese}]
    assert faults_of(errors, "en") == [{"where": name, "what": english}]


def test_every_catalogued_fault_is_one_that_pydantic_makes() -> None:
    made = {str(error["type"]) for name, value, *_ in WRONG for error in errors_of(name, value)}
    kept = {key.removeprefix("soc_api.fault.") for key in i18n.entries() if key.startswith("soc_api.fault.")}
    assert kept - made == {"json_invalid"}  # made by FastAPI: see test_problems.py
