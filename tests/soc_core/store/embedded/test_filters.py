"""Nothing is lost by filters: what they leave out does not match, whatever is asked and stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.query.evaluate import compile_query
from soc_core.query.tree import And, Exists, Not, OneOf, Or, Query, Regex, Text
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.batches import to_events
from soc_core.store.embedded.beside import SidecarBuilder
from soc_core.store.embedded.filters import compile_filter, literals
from soc_core.store.embedded.hashing import hash_texts
from soc_core.store.embedded.ids import MOST_ROWS, index_ids
from soc_core.store.embedded.narrowing import compile_narrowing
from soc_core.store.embedded.schema import arrow_schema
from soc_core.store.embedded.sealing import arranged
from tests.contract.samples import make, question

import pyarrow as pa  # isort: skip

NAMES = ("user.name", "host.name", "dns.question.name", "source.ip", "related.ip", "related.user", "message",
         "process.command_line", "url.path", "event.action")  # fmt: skip
WORDS = (
    "admin",
    "ADMIN",
    "Ädmin",
    "straße",
    "\u212aelvin",
    "\u0130stanbul",
    "ΣΊΣΥΦΟΣ",
    "学校网络",
    "a*b?c\\d",
    "10.0.0.1",
    "",
    "ab",
)
TEXTS = (
    st.sampled_from(WORDS)
    | st.text(max_size=6)
    | st.tuples(st.sampled_from(WORDS), st.text(max_size=3)).map("".join)
)


def value_of(name: str, text: str) -> object:
    if name.endswith(".ip"):
        address = f"10.0.{len(text)}.{sum(map(ord, text)) % 250}"
        return [address] if name.startswith("related") else address
    return [text, text[::-1]] if name.startswith("related") else text


EVENTS = st.lists(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=5), min_size=1, max_size=8)
LEAVES = st.one_of(
    st.builds(
        OneOf, st.sampled_from(NAMES), st.lists(TEXTS, min_size=1, max_size=3).map(tuple), st.booleans()
    ),
    st.builds(
        Text,
        st.sampled_from(NAMES),
        st.sampled_from(("contains", "startswith", "endswith", "wildcard")),
        TEXTS,
        st.booleans(),
    ),
    st.builds(Exists, st.sampled_from(NAMES)),
)
QUERIES: st.SearchStrategy[Query] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)


def stored(contents: list[dict[str, str]]) -> pa.Table:
    """Return events with these texts as they lie in a segment."""
    events = []
    for number, content in enumerate(contents):
        values = {
            name: value_of(name, text.encode("utf-8", "replace").decode()) for name, text in content.items()
        }
        events.append({**make(number), **values})
    names = {name for event in events for name in event}
    columns = {n: [event.get(n) for event in events] for n in names}
    return pa.Table.from_pydict({"_seq": list(range(len(events))), **columns}, schema=arrow_schema(names))


@settings(max_examples=300, deadline=None)
@given(contents=EVENTS, query=QUERIES)
def test_no_match_is_pruned(contents: list[dict[str, str]], query: Query) -> None:
    table = stored(contents)
    builder = SidecarBuilder()
    for part in arranged(table):
        builder.add(part)
    prune = compile_filter(query)
    if prune is None:
        return
    matches = compile_query(query)
    if any(matches(event) for event in to_events(table)):
        assert prune(builder.content(table.column_names)).tolist() == [True]


@settings(max_examples=300, deadline=None)
@given(contents=EVENTS, query=QUERIES)
def test_no_match_is_narrowed_away(contents: list[dict[str, str]], query: Query) -> None:
    narrowing = compile_narrowing(query)
    if narrowing is None:
        return
    table, matches = stored(contents), compile_query(query)
    events = to_events(table)
    seen = table.select([name for name in table.column_names if name in narrowing.fields])
    nothing = [False] * len(events)  # a block that has none of the columns is not looked at
    kept = narrowing.mask(seen).tolist() if seen.num_columns else nothing
    assert all(keep for keep, event in zip(kept, events, strict=True) if matches(event))


def test_narrowing_leaves_out_most() -> None:
    table = stored([{"source.ip": "a"}, {"user.name": "ADMIN"}, {"user.name": "straße"}, {}])
    address = str(table["source.ip"][0].as_py())
    query = Or((OneOf("source.ip", (address,)), OneOf("user.name", ("admin",))))
    found = compile_narrowing(And((query, Exists("message"))))
    assert found is not None
    assert found.fields == {"source.ip", "user.name"}
    assert found.mask(table).tolist() == [True, True, True, False]  # what is beyond ASCII is for DuckDB


@pytest.mark.parametrize("few", [8_192, 10])
def test_rare_values_and_texts_are_pruned(tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soc_core.store.embedded.blocks._FEW_OF_ALL", few)
    store = EmbeddedStore(tmp_path / "events", writer=True, limits=Limits(reserve=0))
    for day in range(10, 20):
        store.append(
            [make(n, day=day) | {"user.name": f"u{day}", "message": f"login of u{day}xyz"} for n in range(60)]
        )
    store.seal()
    beside = [store.sidecars.of(segment) for segment in store.catalogue.snapshot().segments]
    for query in (
        OneOf("user.name", ("U15",)),
        Text("message", "wildcard", "*OF U15X*"),
        OneOf("user.name", ("u15",), cased=True),
    ):
        prune = compile_filter(query)
        assert prune is not None
        assert [bool(prune(one).any()) for one in beside] == [day == 15 for day in range(10, 20)]
        assert store.count(question(query=query)) == 60
        assert len(store.search(question(query=query, limit=100)).events) == 60
    store.close()


def test_what_can_not_be_told_is_not_pruned() -> None:
    for query in (Not(OneOf("user.name", ("a",))), Text("message", "contains", "ab"), OneOf("event.action", ("a",)),
                  Or((OneOf("user.name", ("a",)), Exists("tags"))), Regex("message", "abc"),
                  Text("message", "wildcard", "*a?b*"), OneOf("user.name", ())):  # fmt: skip
        assert compile_filter(query) is None


@pytest.mark.parametrize(
    ("how", "text", "found"),
    [
        ("contains", "abcd", ["abcd"]),
        ("contains", "a*b", ["a*b"]),
        ("wildcard", "abc*d?ef\\*g", ["abc", "d", "ef*g"]),
        ("contains", "straße und 学校", ["stra", "e und 学校"]),
        ("contains", "É", []),
    ],
)
def test_literals(how: str, text: str, found: list[str]) -> None:
    assert literals(Text("message", how, text)) == found


@given(st.lists(st.text(max_size=40), max_size=50))
def test_hashes_do_not_depend_on_neighbours(texts: list[str]) -> None:
    together = hash_texts(texts)
    assert together.tolist() == [int(hash_texts([text])[0]) for text in texts]


def test_hashes_stay_what_they_are() -> None:
    """They are in files: another function needs another format."""
    assert [hex(int(number)) for number in hash_texts(["", "a", "10.0.0.1", "x" * 17])] == [
        "0x0", "0xa2c7da8c83382933", "0x34cb80f13cee2fee", "0x8eff93b81776bfe9",
    ]  # fmt: skip


def test_ids_carry_their_rows() -> None:
    hashes = hash_texts([f"20261120-{number}" for number in range(1_000)])
    found = index_ids(hashes)
    assert (np.diff(found.astype(object)) >= 0).all()
    rows = (found & np.uint64(MOST_ROWS - 1)).astype(int)
    assert sorted(rows.tolist()) == list(range(1_000))
    assert (hashes[rows] >> np.uint64(20)).tolist() == (found >> np.uint64(20)).tolist()
