"""What an agent sends arrives as it was sent, or is refused in words; nothing a stranger sends does harm."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import InputError
from soc_core.keys.signing import SigningKey
from soc_core.uplink.wire import (
    HEARTBEAT,
    MAX_BODY,
    MAX_ITEMS,
    MAX_PLAIN,
    RECORDS,
    Envelope,
    Item,
    Run,
    decode_records,
    encode_records,
    read_envelope,
)

KEY = SigningKey(bytes(range(32)))
ENVELOPE = Envelope("g0123456789abcdef", "e1", 7, "2026-11-24T04:00:00.000000Z")
EVENTS = st.lists(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(-(2**60), 2**60), max_size=4),
    min_size=1,
    max_size=5,
)
GAPS = st.integers(0, 3)


def packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


def flat(runs: Sequence[Run]) -> list[tuple[int, object]]:
    return [(run.start + place, event) for run in runs for place, event in enumerate(run.events)]


@given(st.lists(st.tuples(GAPS, EVENTS), min_size=1, max_size=6))
def test_records_arrive_as_they_were_sent(given_items: list[tuple[int, list[dict[str, object]]]]) -> None:
    items, wanted, offset = [], [], 0
    for gap, events in given_items:
        offset += gap
        items.append(Item(offset, [orjson.dumps(event) for event in events]))
        wanted += [(offset + place, event) for place, event in enumerate(events)]
        offset += len(events)
    found = decode_records(encode_records(items))
    # A mark of offsets looks like an event of the one field "at", which no event is.
    if not any(event.keys() == {"at"} for _at, event in wanted):
        assert flat(found) == wanted
        assert [run.start for run in found] == sorted({run.start for run in found})


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_comes_as_bytes(body: bytes) -> None:
    for data in (body, packed(body), packed(b'{"at":5}\n' + body)):
        try:
            found = flat(decode_records(data))
        except InputError:
            continue
        assert all(isinstance(event, bytes | dict) for _at, event in found)


@given(
    st.lists(st.sampled_from([b'{"a":1}', b"[1", b"2]", b"", b"null", b"{},{}", b'"', b'{"a":1']), max_size=8)
)
def test_a_bad_line_stays_by_itself(lines: list[bytes]) -> None:
    found = flat(decode_records(packed(b"\n".join([b'{"at":3}', *lines]))))
    assert [at for at, _event in found] == [3 + place for place in range(len(lines))]
    for (_at, event), line in zip(found, lines, strict=True):
        assert isinstance(event, dict) == (line == b'{"a":1}') or event == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1}',
        b'{"at":-1}\n{"a":1}',
        b'{"at":true}\n{"a":1}',
        b'{"at":1.5}\n{"a":1}',
        b'{"at":99999999999999999999}\n{"a":1}',
        b'{"at":5}\n{"a":1}\n{"a":2}\n{"at":6}\n{"a":3}',
        b'{"at":5}\n' + b"{}\n" * (MAX_ITEMS + 1),
        b"\n" * (2 * MAX_ITEMS),
    ],
)
def test_offsets_that_do_not_rise_and_too_many_events_are_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        decode_records(packed(text))


def test_what_unfolds_too_far_is_refused() -> None:
    with pytest.raises(InputError, match="unfold"):
        decode_records(packed(b" " * (MAX_PLAIN + 1)))
    with pytest.raises(InputError, match="may have"):
        decode_records(bytes(MAX_BODY + 1))


def test_the_part_above_the_mark() -> None:
    run = Run(10, [{"a": 1}, {"b": 2}, {"c": 3}])
    assert run.after(4) == run
    assert run.after(11) == Run(11, [{"b": 2}, {"c": 3}])
    assert not run.after(13).events


def test_a_signed_request_is_known_by_its_key_path_and_body() -> None:
    body = b"body"
    sealed = read_envelope(ENVELOPE.headers(RECORDS, body, KEY))
    assert sealed.envelope == ENVELOPE
    assert sealed.is_from(KEY.public, RECORDS)
    assert sealed.holds(body)
    assert not sealed.holds(b"another")
    assert not sealed.is_from(KEY.public, HEARTBEAT)
    assert not sealed.is_from(SigningKey(bytes(32)).public, RECORDS)


@given(
    st.sampled_from(["Edusoc-Agent", "Edusoc-Epoch", "Edusoc-Number", "Edusoc-Time"]), st.text(max_size=70)
)
def test_a_changed_header_breaks_the_signature(name: str, value: str) -> None:
    headers = ENVELOPE.headers(RECORDS, b"body", KEY)
    if headers[name] == value:
        return
    try:
        sealed = read_envelope({**headers, name: value})
    except InputError:
        return
    assert not sealed.is_from(KEY.public, RECORDS)


@pytest.mark.parametrize("name", ["Edusoc-Agent", "Edusoc-Signature", "Content-Digest", "Edusoc-Number"])
def test_a_missing_header_is_refused(name: str) -> None:
    headers = ENVELOPE.headers(RECORDS, b"body", KEY)
    del headers[name]
    with pytest.raises(InputError):
        read_envelope(headers)


def test_headers_are_read_in_any_case() -> None:
    headers = {name.lower(): value for name, value in ENVELOPE.headers(RECORDS, b"", KEY).items()}
    assert read_envelope(headers).envelope == ENVELOPE
