from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.backup.manifest import (
    EventsCopy,
    FileEntry,
    LeftOut,
    Manifest,
    Snapshot,
    SourceCount,
    StateDump,
    decode,
)
from soc_core.errors import StoreError

WHOLE = Manifest(
    id="edusoc-20261124T020000Z-1a2b3c4d",
    created="2026-11-24T02:00:00.000000Z",
    program="0.1.0",
    with_keys=True,
    state=StateDump("sqlite", "0003", {"alerts": 3}, {"outbox": 9}),
    events=EventsCopy("embedded", 12, 7, [SourceCount("u1", "packets.dns", 12)], "2 sha256:ab"),
    snapshot=Snapshot("repository", "name", "edusoc", {"edusoc-1": 3}, {"edusoc-1": 4}),
    files=[FileEntry("state/alerts.ndjson", 10, "ab" * 32, "cd" * 32)],
    left_out=[LeftOut("captures", 3)],
    damaged=["a.parquet: the checksum differs"],
)


def test_comes_back_and_has_one_form() -> None:
    assert decode(WHOLE.encode(), "here") == WHOLE
    assert decode(WHOLE.encode(), "here").encode() == WHOLE.encode()


def test_a_newer_format_is_left_to_newer_programs() -> None:
    body = orjson.loads(WHOLE.encode())
    with pytest.raises(StoreError, match="format 2 is not known"):
        decode(orjson.dumps({**body, "format": 2}), "here")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"format":1}', b"\xff"])
def test_what_is_no_manifest_is_said(body: bytes) -> None:
    with pytest.raises(StoreError, match="manifest is damaged"):
        decode(body, "here")


ODD = st.one_of(
    st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.just({"a": 1})
)


@given(st.data())
def test_odd_values_anywhere_never_get_through(data: st.DataObject) -> None:
    body = orjson.loads(WHOLE.encode())
    place = data.draw(st.sampled_from(["state", "events", "snapshot", "files", "left_out", "top"]))
    target = body if place == "top" else body[place]
    target = target[0] if isinstance(target, list) else target
    name = data.draw(st.sampled_from(sorted(target)))
    target[name] = data.draw(ODD)
    try:
        found = decode(json.dumps(body).encode(), "here")
    except StoreError:
        return
    assert decode(found.encode(), "here") == found
    assert all(isinstance(count, int) for count in found.state.rows.values())
