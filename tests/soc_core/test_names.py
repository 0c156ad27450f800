from __future__ import annotations

import pytest

from soc_core.names import split_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("www.example.com", ("www", "example.com")),
        ("WWW.Example.COM.", ("www", "example.com")),
        ("a.b.school.edu.cn", ("a.b", "school.edu.cn")),
        ("www.hzedu.zj.cn", ("www", "hzedu.zj.cn")),
        ("www.baidu.cn", ("www", "baidu.cn")),
        ("x.co.uk", ("", "x.co.uk")),
        ("example.com", ("", "example.com")),
        ("localhost", ("", "localhost")),
        ("", ("", "")),
    ],
)
def test_split(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts
