from __future__ import annotations

import json
from pathlib import Path

from tests.collectors.base import GOLDEN
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import Store, add, imported

CAPTURE = Path(__file__).parents[4] / "pcaps" / "cleartext_password.pcap"


def records(*numbers: int) -> bytes:
    """Return a JSON document over several lines, as exports have it."""
    rows = [{"@timestamp": "2026-11-24T00:00:00Z", "message": f"row {number}"} for number in numbers]
    return json.dumps(rows, indent=1).encode()


def test_a_document_is_read_when_it_is_complete(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "export.json"
    data = records(1, 2, 3)
    follower = follow(tmp_path / "*.json")
    add(path, data[:100])
    follower.turn(2)
    add(path, data[100:])
    follower.turn(2)
    assert store.events == []
    follower.turn(4)
    assert store.of("message") == ["row 1", "row 2", "row 3"]
    assert store.ids() == [event["event.id"] for event in imported(path)[0]]
    follower.stop()
    follower.start()
    follower.turn(10)
    assert len(store.events) == 3
    path.write_bytes(records(1, 2, 3, 4))
    follower.turn(10)
    assert len(store.events) == 7
    assert len(set(store.ids())) == 4


def test_a_document_that_never_rests_is_read_nevertheless(
    store: Store, tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "export.json"
    follower = follow(path)
    number = 1
    while not store.events:
        number += 1
        assert number < 700
        path.write_bytes(records(*range(number % 7 + 2)) + b" " * number)
        follower.turn()
    assert number > 500


def test_a_capture_is_read_as_a_whole(store: Store, tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "ring-001.pcap"
    data = CAPTURE.read_bytes()
    follower = follow(tmp_path / "*.pcap")
    add(path, data[:200])
    follower.turn()
    add(path, data[200:])
    follower.turn(6)
    events, _ = imported(path)
    assert store.ids() == [event["event.id"] for event in events]
    assert events


def test_packed_files_are_read_once_they_rest(store: Store, tmp_path: Path, follow: Follow) -> None:
    import gzip

    data = gzip.compress((GOLDEN / "suricata.json").read_bytes())
    path = tmp_path / "eve-2026.json.gz"
    follower = follow(tmp_path / "eve*")
    add(path, b"")
    follower.turn()
    add(path, data[:5])
    follower.turn()
    add(path, data[5:200])
    follower.turn()
    add(path, data[200:])
    follower.turn(6)
    assert store.ids() == [event["event.id"] for event in imported(path)[0]]
    follower.turn(5)
    follower.stop()
    follower.start()
    follower.turn(10)
    assert len(set(store.ids())) == len(store.ids())


def test_a_damaged_packed_file_gives_what_is_good(store: Store, tmp_path: Path, follow: Follow) -> None:
    import gzip

    data = gzip.compress((GOLDEN / "suricata.json").read_bytes())
    path = tmp_path / "eve.json.gz"
    add(path, data[: len(data) * 2 // 3])
    follower = follow(path)
    follower.turn(8)
    events, bad = imported(path)
    assert store.ids() == [event["event.id"] for event in events]
    assert events
    assert [one.reason for one in store.bad] == [bad[-1].reason]  # a line that is cut off is no record yet
