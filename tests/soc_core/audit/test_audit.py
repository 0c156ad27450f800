"""Hold that a chain shows every change, and that only an anchor from outside proves anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.audit import Head, Link, beginning, link, parse_anchors, verify_links, write_head
from soc_core.audit.anchors import parse_hash
from soc_core.audit.chain import Plain
from soc_core.errors import UsageError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def chain(bodies: list[dict[str, Plain]], algorithm: str = "sha256") -> list[Link]:
    links: list[Link] = []
    for body in bodies:
        head = links[-1].head if links else beginning("tests")
        links.append(link(head, "noted", body, NOW, algorithm))
    return links


def numbered(count: int, mark: str = "") -> list[Link]:
    return chain([{"n": n, "mark": mark} for n in range(count)])


@given(st.lists(st.dictionaries(st.text(), PLAIN, max_size=3), max_size=6))
def test_what_was_linked_is_consistent_but_not_anchored(bodies: list[dict[str, Plain]]) -> None:
    links = chain(bodies)
    verdict = verify_links("tests", links)
    assert (verdict.judgement, verdict.head.number) == ("unanchored", len(bodies))
    if links:
        assert verify_links("tests", links, [links[-1].head]).judgement == "anchored"


def test_anyone_can_compute_a_hash_by_the_text_of_the_module() -> None:
    (item,) = chain([{"unit": "第一小学", "n": 1}])
    body = '{"n":1,"unit":"第一小学"}'
    parts = ["sha256", "tests", 1, "2026-11-24T00:00:00.000000Z", "noted", "", body]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    assert item.body == body
    assert item.hash == hashlib.sha256(text.encode()).hexdigest()


def test_sm3_is_an_algorithm_like_another() -> None:
    links = [*chain([{"n": 1}], "sm3")]
    links.append(link(links[0].head, "noted", {"n": 2}, NOW, "sha256"))
    assert verify_links("tests", links, [links[1].head]).judgement == "anchored"


@pytest.mark.parametrize("field", ["stream", "number", "at", "algorithm", "kind", "body", "previous", "hash"])
@given(at=st.integers(0, 4))
def test_a_changed_record_is_named(field: str, at: int) -> None:
    links = numbered(5)
    value = getattr(links[at], field)
    links[at] = replace(links[at], **{field: value + 1 if isinstance(value, int) else value + "x"})
    verdict = verify_links("tests", links)
    assert verdict.judgement == "broken"
    assert verdict.faults[0].number in {links[at].number, at + 1, at + 2}


@given(at=st.integers(0, 3))
def test_a_record_left_out_is_named(at: int) -> None:
    links = numbered(5)
    del links[at]
    verdict = verify_links("tests", links)
    assert verdict.faults[0].what == f"record {at + 1} is missing"


def test_faults_named_are_bounded() -> None:
    broken = [replace(item, body="{}") for item in numbered(100)]
    assert 20 <= len(verify_links("tests", broken).faults) < 25


def test_a_chain_cut_short_is_consistent_and_only_an_anchor_shows_it() -> None:
    links = numbered(5)
    assert verify_links("tests", links[:3]).judgement == "unanchored"
    verdict = verify_links("tests", links[:3], [links[1].head, links[4].head])
    assert (verdict.judgement, verdict.agreed, verdict.differs) == ("differs", links[1].head, links[4].head)


def test_a_chain_rewritten_by_an_administrator_is_consistent_and_only_an_anchor_shows_it() -> None:
    links = numbered(6)
    kept = [links[1].head, links[3].head]
    forged = links[:2]
    for item in links[2:]:
        forged.append(link(forged[-1].head, item.kind, {"n": 0, "mark": "nothing happened"}, NOW))
    assert verify_links("tests", forged).judgement == "unanchored"
    verdict = verify_links("tests", forged, kept)
    assert (verdict.judgement, verdict.agreed, verdict.differs) == ("differs", links[1].head, links[3].head)
    assert verify_links("tests", numbered(6, "all new"), kept).agreed is None


def test_a_bare_hash_anchors_too() -> None:
    links = numbered(4)
    shown = " ".join(links[2].hash[at : at + 8] for at in range(0, 64, 8)).upper()
    verdict = verify_links("tests", links, [parse_hash(shown)])
    assert (verdict.judgement, verdict.agreed) == ("anchored", links[2].head)
    assert verify_links("tests", links, [parse_hash("0" * 64)]).judgement == "differs"


def test_anchors_of_other_streams_say_nothing() -> None:
    links = numbered(2)
    assert verify_links("tests", links, [replace(links[0].head, stream="others")]).judgement == "unanchored"


def test_heads_are_written_and_read() -> None:
    links = numbered(3)
    text = "\n".join([write_head(links[0].head), "", links[2].hash])
    assert parse_anchors(text, "f") == [links[0].head, Head("", 0, "", "", links[2].hash)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        '{"stream": 1}',
        '{"stream":' + "[" * 100_000,
        write_head(beginning("tests")),
        "\x00",
    ],
)
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_anchors(text, "f")


@given(st.text(max_size=300))
def test_reading_anchors_never_fails_otherwise(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_anchors(text, "f")


def test_numbers_that_are_not_whole_are_refused() -> None:
    for body in ({"a": 0.5}, {"a": [{"b": 1.0}]}):
        with pytest.raises(UsageError):
            link(beginning("tests"), "noted", body, NOW)  # type: ignore[arg-type] # that is the point


def test_an_unknown_algorithm_is_said() -> None:
    with pytest.raises(UsageError, match="md5"):
        link(beginning("tests"), "noted", {}, NOW, "md5")
    (item,) = numbered(1)
    assert verify_links("tests", [replace(item, algorithm="md5")]).judgement == "broken"
