"""Choose the language as RFC 9110, 12.5.4 describes it."""

from __future__ import annotations

import pytest

from soc_api.negotiation import preferred


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB, en;q=0.9, zh-TW;q=0.8", "en"),
        ("zh-Hans-CN;q=0.3, EN;q=0.7", "en"),
        ("ZH-hans ; Q=0.7 , en;q=0.699", "zh"),
        ("en, zh", "en"),
        ("zh, en", "zh"),
        ("fr", "en"),
        ("fr, zh;q=0.1", "zh"),
        ("*", "en"),
        ("*, en;q=0.5", "zh"),
        ("en;q=0, *", "zh"),
        ("zh;q=0, *;q=0.1", "en"),
        ("zh;q=0", "en"),
        ("zh;q=0.5, zh-TW;q=0", "zh"),
        ("zho", "en"),
        ("zh;q=2, en;q=0.1", "en"),
        ("zh;q=0.1234, en;q=0.1", "en"),
        ("zh;level=1, en;q=0.1", "en"),
        (",, ;q=1, zh_CN, zh;q=0.2,", "zh"),
        ("zh;q=." + "," * 50_000, "en"),
        ("中文", "en"),
    ],
)
def test_the_preferred_language_is_chosen(header: str, language: str) -> None:
    assert preferred(header) == language
