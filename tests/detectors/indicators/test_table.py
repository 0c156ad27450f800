"""Hold that a file finds exactly what was put in, and that a damaged one is not used."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.indicators.building import Builder
from detectors.indicators.model import Head, Indicator, Kind, Tlp
from detectors.indicators.table import Table
from soc_core.errors import StoreError
from tests.detectors.indicators.making import BAD, GOOD, item, table_of

SOME = [
    item(Kind.IP, "45.9.1.2", 90, Tlp.RED, since=5, expires=4_000_000_000, reason="机器人", reference="ref"),
    item(Kind.DOMAIN, "evil.cn"),
    item(Kind.NETWORK, "45.9.0.0/16"),
    item(Kind.NETWORK, "2400:da00::/32"),
    item(Kind.URL, "http://evil.cn/a"),
]
VALUES = st.lists(
    st.builds(
        Indicator,
        st.sampled_from(list(Kind)).filter(lambda kind: kind not in {Kind.NETWORK, Kind.URL}),
        st.text(alphabet="abc.", max_size=4),
        st.integers(0, 100),
        st.sampled_from(list(Tlp)),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from(["", "x", "说明"]),
        st.sampled_from(["", "y"]),
    ),
    max_size=40,
)


def test_entries_come_back_whole(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t", (BAD, SOME), (GOOD, [SOME[1]]))
    assert len(table) == 6
    for one in SOME:
        found = table.find(one.key)
        assert [table.entry(number) for number in found][:1] == [one]
    assert [table.head(number) for number in table.find(SOME[1].key)] == [BAD, GOOD]
    assert table.ipv4_lengths == (16,)
    assert table.ipv6_lengths == (32,)
    assert table.may_hold_host(b"evil.cn")
    assert not table.may_hold_host(b"other.cn")
    assert not table.find(b"inothing")


def test_an_empty_table(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t")
    assert len(table) == 0
    assert not table.find(b"x")
    assert not table.find(b"")


def test_of_doubles_in_a_list_that_with_most_confidence_stays(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t", (BAD, [item(Kind.IP, "45.9.1.2", 10), item(Kind.IP, "45.9.1.2", 80)]))
    assert [table.entry(number).confidence for number in table.find(b"i45.9.1.2")] == [80]


def test_equal_checksums_are_told_apart(tmp_path: Path) -> None:
    """Two names with one CRC-32; both listed, or one of them."""
    one, other = b"dplumless.cn", b"dbuckeroo.cn"
    assert zlib.crc32(one) == zlib.crc32(other)
    first, second = (Indicator(Kind.DOMAIN, key[1:].decode(), 1, Tlp.CLEAR) for key in (one, other))
    alone = table_of(tmp_path / "a", (BAD, [first]))
    assert alone.find(one)
    assert not alone.find(other)
    both = table_of(tmp_path / "b", (BAD, [second, first]))
    assert [both.entry(number) for number in both.find(one)] == [first]
    assert [both.entry(number) for number in both.find(other)] == [second]


@given(one=VALUES, other=VALUES)
@settings(max_examples=80)
def test_it_equals_a_dictionary(
    one: list[Indicator], other: list[Indicator], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "t"
    table = table_of(path, (BAD, one), (GOOD, other))
    plain: dict[bytes, dict[str, int]] = {}
    for head, items in ((BAD, one), (GOOD, other)):
        for entry in items:
            best = plain.setdefault(entry.key, {})
            best[head.id] = max(best.get(head.id, -1), entry.confidence)
    assert len(table) == sum(map(len, plain.values()))
    for key, expected in plain.items():
        found = table.find(key)
        assert {table.head(number).id: table.entry(number).confidence for number in found} == expected
        assert not table.find(key + b"z")


def test_tables_are_joined(tmp_path: Path) -> None:
    first = table_of(tmp_path / "a", (BAD, SOME))
    second = table_of(tmp_path / "b", (Head("l2", "two"), [SOME[0], item(Kind.IP, "45.9.9.9", expires=50)]))
    builder = Builder()
    builder.stamp = "s"
    builder.add_table(Head("x", "renamed"), first, now=100)
    builder.add_table(Head("y", "other"), second, now=100)
    builder.write(tmp_path / "c")
    whole = Table(tmp_path / "c")
    assert whole.stamp == "s"
    assert len(whole) == 6  # what has expired is left out
    both = whole.find(SOME[0].key)
    assert [whole.head(number).name for number in both] == ["renamed", "other"]
    assert all(whole.entry(number) == SOME[0] for number in both)
    assert sorted(whole.all_keys()) == sorted([*first.all_keys(), SOME[0].key])


@pytest.mark.parametrize("header", [b'"counu":6', b'"count":x', b'"count":"', b'"count":-'])
def test_a_header_without_its_count_is_told(tmp_path: Path, header: bytes) -> None:
    table_of(tmp_path / "t", (BAD, SOME))
    body = (tmp_path / "t").read_bytes()
    at = body.index(b'"count":')
    (tmp_path / "t").write_bytes(body[:at] + header + body[at + len(header) :])
    with pytest.raises(StoreError):
        Table(tmp_path / "t")


@given(data=st.data())
@settings(max_examples=80)
def test_a_damaged_file_is_not_used(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damaged") / "t"
    table_of(path, (BAD, SOME))
    body = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        body[at] ^= data.draw(st.integers(1, 255))
        header = int.from_bytes(body[8:12], "little")
        path.write_bytes(body)
        if 12 <= at < 12 + header:  # names of lists stand there, which nothing can check
            with contextlib.suppress(StoreError):
                Table(path)
            return
    else:
        path.write_bytes(body[:at])
    with pytest.raises(StoreError):
        Table(path)


@given(data=st.binary(max_size=400))
def test_garbage_is_no_table(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("garbage") / "t"
    path.write_bytes(b"EDUSOCI1" + data)
    with pytest.raises(StoreError):
        Table(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        Table(tmp_path / "none")
