"""Hold that KQL is read as Kibana's grammar has it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import UsageError
from soc_core.reasons import error_text
from soc_core.store.elasticsearch.kibana import kql
from soc_core.store.elasticsearch.kibana.kql import (
    DEEPEST,
    LONGEST,
    Is,
    Join,
    Nested,
    Node,
    Not,
    Range,
    leaves,
    parse_kql,
)


def shape(node: Node | None) -> str:
    """Return a tree in brackets."""
    if node is None:
        return ""
    if isinstance(node, Not):
        return f"!{shape(node.child)}"
    if isinstance(node, Join):
        return f"({node.how} {' '.join(map(shape, node.children))})"
    if isinstance(node, Range):
        return f"{node.field.text} {node.how} {node.value.text}"
    if isinstance(node, Nested):
        return f"{node.field.text}{{{shape(node.child)}}}"
    quotes = '"' if node.value.quoted else ""
    return f"{node.field.text if node.field else '?'}={quotes}{node.value.text}{quotes}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  \u00a0 ", ""),
        ("a:1", "a=1"),
        ("a : 1", "a=1"),
        ('a: "x y"', 'a="x y"'),
        ("a: x y", "a=x y"),
        ("hello world", "?=hello world"),
        ("a:1 and b:2 or c:3", "(or (and a=1 b=2) c=3)"),
        ("a:1 AND not b:2", "(and a=1 !b=2)"),
        ("not (a:1 or b:2)", "!(or a=1 b=2)"),
        ("a: (1 or 2 and not 3)", "(or a=1 (and a=2 !a=3))"),
        ("a >= 5 and b<now-1d", "(and a gte 5 b lt now-1d)"),
        ("a:*", "a=*"),
        ("host.*: x*y", "host.*=x*y"),
        ("a:{ b:1 and c:2 }", "a{(and b=1 c=2)}"),
        ("a\\:b: c\\*d", "a:b=c*d"),
        ("a: x\\ny", "a=x\ny"),
        ("a: \\u4e2d", "a=中"),
        ("a: \\and", "a=and"),
        ('a: "say \\"x\\" \\d"', 'a="say "x" \\d"'),
        ("user.name: notary", "user.name=notary"),
        ("a: band of", "a=band of"),
        ("a: x   ", "a=x"),
    ],
)
def test_reads(text: str, expected: str) -> None:
    assert shape(parse_kql(text)) == expected


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a:", 0),
        ("(a:1", 0),
        ("a:1 b:2", 6),
        ('a:"x', 3),
        ("a:1)", 4),
        ("a:<1", 3),
        ("not not a:1", 5),
        ("a: x\\q", 5),
        ("a: *<b*", 5),
        ("a:{b:1 x:2}", 9),
    ],
)
def test_says_where_it_is_wrong(text: str, column: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_kql(text)
    assert caught.value.where == f"column {column or len(text) + 1}"
    assert error_text(caught.value, "zh").split("：", 1)[1] != caught.value.what, "not said in Chinese"


def test_is_bounded() -> None:
    deep = "(" * (DEEPEST + 1) + "a:1" + ")" * (DEEPEST + 1)
    values = "a:" + "(" * (DEEPEST + 1) + "1" + ")" * (DEEPEST + 1)
    for text in (deep, values, "x" * (LONGEST + 1)):
        with pytest.raises(UsageError):
            parse_kql(text)


class Counted:
    """Count how often an expression is tried."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern, self.tried = pattern, 0

    def match(self, text: str, at: int) -> re.Match[str] | None:
        self.tried += 1
        return self.pattern.match(text, at)


def test_of_a_run_of_spaces_only_the_first_is_looked_ahead_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look runs over the whole run: one from every space of a long query would take seconds."""
    counted = Counted(kql._EITHER)
    monkeypatch.setattr(kql, "_EITHER", counted)
    assert shape(parse_kql("a:x" + " " * 9_000 + "y and b:" + " " * 900 + "z"))
    assert counted.tried < 10


@given(st.text(alphabet='ab :"()<>*\\{}=\tornd\u00a0中', max_size=40))
def test_never_fails_otherwise(text: str) -> None:
    try:
        node = parse_kql(text)
    except UsageError:
        return
    assert all(isinstance(leaf, Is | Range | Nested) for leaf in leaves(node))
