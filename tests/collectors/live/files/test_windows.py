from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from collectors.evtx import CHUNK_BYTES, HEADER_BYTES
from tests.collectors.evtx_maker import make_evtx
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, imported

FAILED = {
    "Channel": "Security", "Provider": "Microsoft-Windows-Security-Auditing", "EventID": "4625",
    "TargetUserName": "t.li", "IpAddress": "10.8.1.5",
}  # fmt: skip
BEGAN = datetime(2026, 11, 20, 2, 3, 4, tzinfo=UTC)


def log(*chunks: int) -> bytes:
    """Return an event log whose chunks hold so many records."""
    return make_evtx([[FAILED] * amount for amount in chunks], BEGAN)


def chunks_of(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK_BYTES] for at in range(HEADER_BYTES, len(data), CHUNK_BYTES)]


def ring(chunks: Sequence[bytes]) -> bytes:
    return log(1)[:HEADER_BYTES] + b"".join(chunks)


def test_records_are_read_as_they_come_and_once(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "Security.evtx"
    follower = follow(tmp_path / "*.evtx")
    for amounts in ((2,), (3,), (3, 1), (3, 4)):
        path.write_bytes(log(*amounts))
        follower.turn()
    assert store.of("winlog.record_id") == [str(number) for number in range(1, 8)]
    assert store.ids() == [event["event.id"] for event in imported(path)[0]]
    follower.stop()
    follower.start()
    path.write_bytes(log(3, 4, 2))
    follower.turn()
    assert store.of("winlog.record_id") == [str(number) for number in range(1, 10)]
    assert follower.checkpoints.marks[1].record == 9


def test_a_ring_that_overwrites_its_oldest_chunk_is_followed_in_order(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "Security.evtx"
    chunks = chunks_of(log(5, 5, 5, 5))
    follower = follow(path)
    path.write_bytes(ring(chunks[:2]))
    follower.turn()
    path.write_bytes(ring([chunks[2], chunks[1]]))
    follower.turn()
    path.write_bytes(ring([chunks[2], chunks[3]]))
    follower.turn()
    assert store.of("winlog.record_id") == [str(number) for number in range(1, 21)]
    # An archived copy of all of it, with other offsets, adds nothing.
    (tmp_path / "archive.evtx").write_bytes(log(5, 5, 5, 5))
    assert {str(event["event.id"]) for event in imported(tmp_path / "archive.evtx")[0]} == {*store.ids()}


def test_an_archived_log_and_its_successor(store: Store, tmp_path: Path, follow: Follow) -> None:
    path, archive = tmp_path / "Security.evtx", tmp_path / "Archive-Security-2026-11-20.evtx"
    path.write_bytes(log(3))
    follower = follow(path)
    follower.turn()
    path.write_bytes(log(3, 2))
    path.rename(archive)
    path.write_bytes(ring(chunks_of(log(3, 2, 4))[2:]))
    follower.turn(10)
    assert sorted(int(str(number)) for number in store.of("winlog.record_id")) == list(range(1, 10))
    assert len(set(store.ids())) == 9


def test_a_cleared_log_begins_anew(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "Security.evtx"
    path.write_bytes(log(5))
    follower = follow(path)
    follower.turn()
    path.write_bytes(make_evtx([[FAILED] * 2], replace_year(BEGAN)))
    follower.turn()
    assert store.of("winlog.record_id") == ["1", "2", "3", "4", "5", "1", "2"]
    assert len(set(store.ids())) == 7


def replace_year(instant: datetime) -> datetime:
    return instant.replace(year=instant.year + 1)


def test_from_the_end_begins_with_the_next_record(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "Security.evtx"
    path.write_bytes(log(5))
    follower = follow(path, from_end=True)
    follower.turn()
    path.write_bytes(log(5, 1))
    follower.turn()
    assert store.of("winlog.record_id") == ["6"]


def test_damage_and_a_cut_end_are_said_once(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "Security.evtx"
    whole = log(3, 3, 3)
    data = bytearray(whole)
    data[HEADER_BYTES + 512 : HEADER_BYTES + 516] = b"junk"
    path.write_bytes(data[: HEADER_BYTES + 2 * CHUNK_BYTES + 1_500])
    follower = follow(path)
    follower.turn(8)
    first = list(store.bad)
    assert first
    found = {str(number) for number in store.of("winlog.record_id")}
    assert {"4", "5", "6"} <= found
    path.write_bytes(data)
    follower.turn(8)
    assert {"4", "5", "6", "7", "8", "9"} <= {str(number) for number in store.of("winlog.record_id")}
    assert len(set(store.ids())) == len(store.ids())
    assert [record.position for record in store.bad].count(first[0].position) == 1


def test_the_id_is_the_records_own(tmp_path: Path, store: Store, follow: Follow) -> None:
    path = tmp_path / "one.evtx"
    path.write_bytes(log(2, 2))
    events, _ = imported(path)
    path.write_bytes(ring(chunks_of(log(2, 2))[1:]))
    alone, _ = imported(path)
    assert [event["event.id"] for event in alone] == [event["event.id"] for event in events[2:]]
    assert replace(follow(path).settings, poll=2.0).poll == 2.0
