"""Hold that the evaluator and the SQL of the embedded store agree on any event and query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soc_core.log import Record
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query, fold, wildcard_regex, wildcard_test
from soc_core.query.regex import to_re2
from soc_core.query.tree import (
    Cidr,
    Everything,
    Exists,
    OneOf,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
    TimePart,
)
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.embedded.batches import encode, to_table
from soc_core.store.embedded.engine import View
from soc_core.store.embedded.sql import compile_condition
from soc_core.store.shape import encode_line, shape
from tests.soc_core.query.corpus import HOWS, NETWORKS, PATTERNS, trees

LETTERS = st.text(alphabet="abAB1 .*?\\/\nÄäßΣσςİı学😀%_'\"", max_size=6)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.255.3.4", "192.168.1.1", "::ffff:a00:1", "2001:db8::1", "::"])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63)]))
FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e300, -2.25]), st.floats(-3, 3))
FIELDS = {
    "message": LETTERS,
    "user.name": LETTERS,
    "tags": st.lists(LETTERS, max_size=3),
    "source.ip": ADDRESSES,
    "related.ip": st.lists(ADDRESSES, max_size=3),
    "source.port": NUMBERS,
    "dns.answers.ttl": st.lists(NUMBERS, max_size=3),
    "event.risk_score": FLOATS,
    "tls.resumed": st.booleans(),
    "event.start": st.sampled_from(["2026-11-20T00:00:00.000000Z", "2026-11-20T00:00:00.000001Z"]),
    "edusoc.extra": st.lists(LETTERS.map(lambda text: f"no.such={text}"), max_size=3),
}
EVENTS = st.lists(st.fixed_dictionaries({}, optional=FIELDS), min_size=1, max_size=6)
NAMES = st.sampled_from([*FIELDS, "host.name", "no.such"])
SCALARS = st.one_of(LETTERS, NUMBERS, FLOATS, st.booleans(), ADDRESSES)
LEAVES: st.SearchStrategy[Query] = st.one_of(
    st.just(Everything()),
    st.builds(Exists, NAMES),
    st.builds(OneOf, NAMES, st.lists(SCALARS, max_size=3).map(tuple), st.booleans()),
    st.builds(
        Text,
        st.one_of(NAMES, st.just("")),
        HOWS,
        LETTERS,
        st.booleans(),
    ),
    st.builds(Regex, NAMES, PATTERNS, st.sampled_from(["", "i", "s", "m"])),
    st.builds(Cidr, NAMES, NETWORKS),
    st.builds(Range, NAMES, *([st.one_of(st.none(), SCALARS)] * 4), st.booleans()),
    st.builds(SameAs, NAMES, NAMES, st.sampled_from(["equals", "contains", "startswith", "endswith"])),
    st.builds(
        TimePart, NAMES, st.sampled_from(["minute", "hour", "day", "week", "month", "year"]), NUMBERS, NUMBERS
    ),
)
QUERIES: st.SearchStrategy[Query] = trees(LEAVES)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    path: Path = tmp_path_factory.mktemp("store")
    opened = EmbeddedStore(path, writer=False)
    yield opened
    opened.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, query=QUERIES)
def test_evaluator_and_sql_agree(reader: EmbeddedStore, events: list[Event], query: Query) -> None:
    shaped = [shape(event | {"event.id": f"20261120-{n}"}) for n, event in enumerate(events)]
    names = {name for event in shaped for name in event}
    record = Record(0, len(shaped), encode([encode_line(event) for event in shaped], names))
    view = View((), to_table([record]), 0)
    condition = compile_condition(query, view.columns())
    sql = f"SELECT _seq FROM {{source}} WHERE {condition.sql}"
    found = set(reader._engine.ask(view, sql, view.columns(), condition.parameters)["_seq"].to_pylist())
    matches = compile_query(query)
    expected = {number for number, event in enumerate(shaped) if matches(event)}
    if condition.exact:
        assert found == expected
    else:
        assert found >= expected


@settings(max_examples=300, deadline=None)
@given(
    pattern=st.text(alphabet="ab1.*+?|()[]^$\\dws-{}, :ä–学", max_size=8),
    text=st.text(alphabet="ab1 \n-^]ä\x0b\x1c\xa0²Ä–学", max_size=6),
    flags=st.sampled_from(["", "m"]),
)
def test_translated_regex_finds_the_same(pattern: str, text: str, flags: str) -> None:
    import re
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(pattern, re.MULTILINE if flags else 0)
    except (re.error, FutureWarning, DeprecationWarning):
        return
    if re.search(r"\\[bB]", pattern) and not text.isascii():
        return  # words are ASCII words here
    translated = to_re2(pattern, flags)
    if translated is not None:
        answer = duckdb.execute("SELECT regexp_matches(?, ?)", [text, translated]).fetchall()[0][0]
        assert answer == (compiled.search(text) is not None)
    assert compile_query(Regex("message", pattern, flags))({"message": text}) == (
        compiled.search(text) is not None
    )


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "expected"),
    [
        ("(?i)AMI", "", "whoami", True),
        ("(?is)a.b", "", "A\nB", True),
        ("(?m)^b", "", "a\nb", True),
        (r"\bb\b", "", "a b", True),
        (r"\bnc\b", "", "用nc连接", True),
        ("(a)\\1", "", "aa", True),
        ("a", "", "\ud800a", True),
        ("学.", "", "小学生", True),
        ("a{200}", "", "a" * 199, False),
    ],
)
def test_regex_that_only_one_engine_knows(pattern: str, flags: str, text: str, expected: bool) -> None:
    assert compile_query(Regex("message", pattern, flags))({"message": text}) is expected


def test_every_letter_becomes_one_letter() -> None:
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert "".join(fold(letter, cased=False) for letter in letters) == "".join(
        letter.lower()[0] for letter in letters
    )
    assert fold("ΑΣ Σ İ", cased=False) == "ας σ i".replace("ς", "σ")
    assert fold("ΑΣ", cased=True) == "ΑΣ"


@settings(max_examples=500, deadline=None)
@given(pattern=st.text(alphabet="ab?*\\", max_size=8), text=st.text(alphabet="ab?*\\\n", max_size=8))
def test_wildcards_fit_as_their_regular_expression_says(pattern: str, text: str) -> None:
    import re

    assert wildcard_test(pattern)(text) is (
        re.fullmatch(wildcard_regex(pattern), text, re.DOTALL) is not None
    )


def test_many_wildcards_take_little_time() -> None:
    assert not wildcard_test("*a" * 2_000 + "b")("a" * 30_000)
    assert wildcard_test("*?a" * 2_000 + "*")("a" * 30_000)


def test_hostile_text_takes_linear_time() -> None:
    """Python's own engine needs hours for this: cubic in the number of ``clip``."""
    query = Regex("message", "(?i)echo.*clip.*&&.*(?:Clipboard|i`?n`?v`?o`?k`?e`?)")
    assert not compile_query(query)({"message": "echo" + "clip&&" * 20_000})


@pytest.mark.parametrize(
    ("query", "event", "expected"),
    [
        (Range("process.title", gt=5, numeric=True), {"process.title": "6"}, True),
        (Range("process.title", gt=5, numeric=True), {"process.title": "5.0"}, False),
        (Range("process.title", gt=5, numeric=True), {"process.title": "six"}, False),
        (Range("process.title", gt=5), {"process.title": "6"}, False),
        (SameAs("user.name", "user.target.name"), {"user.name": "Ann", "user.target.name": "ANN"}, True),
        (SameAs("user.name", "user.target.name"), {"user.name": "Ann"}, False),
        (SameAs("user.name", "tags", "endswith"), {"user.name": "xAnn", "tags": ["b", "ann"]}, True),
        (TimePart("event.start", "hour", 22, 23), {"event.start": "2026-11-20T22:59:00.000000Z"}, True),
        (TimePart("event.start", "week", 47, 47), {"event.start": "2026-11-20T22:59:00.000000Z"}, True),
        (TimePart("event.start", "hour", 22, 23), {"event.start": "soon"}, False),
        (OneOf("no.such", ("b",)), {"edusoc.extra": ["no.such=a", "no.such=B"]}, True),
        (OneOf("no.such", ("b",)), {"edusoc.extra": ["no.such.b=b"]}, False),
        (Exists("no.such"), {"edusoc.extra": ["no.such="]}, True),
        (Exists("no.such"), {"edusoc.extra": ["no.suchy=1"]}, False),
    ],
)
def test_comparisons_of_fields_times_and_extra_fields(query: Query, event: Event, expected: bool) -> None:
    assert compile_query(query)(event) is expected
