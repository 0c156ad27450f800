"""Whatever stands in a file, nothing is raised, and the other files are followed."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collectors.base import GOLDEN
from tests.collectors.live.files.following import Follower, Store, add, line, lines

STARTS = (
    b"", gzip.compress(lines(1, 2)), gzip.compress(lines(1, 2))[:20], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh9",
    b"ElfFile\x00", b"ElfFile\x00" + bytes(4_088) + b"ElfChnk\x00" + bytes(65_528), b"ElfChnk\x00",
    bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"), bytes.fromhex("0a0d0d0a"),
    b"\xff\xfe", b"\0" * 70_000,
    b"#separator \\x09\n#fields\tts\tuid\n", b"#Fields: date time c-ip\n", b"{", b"[{", b'{"a":1}\n', lines(7), line(8),
    (GOLDEN / "auditd.log").read_bytes(), (GOLDEN / "suricata.json").read_bytes(), b"PK\x03\x04", b"x" * (1 << 21),
)  # fmt: skip
PIECES = st.sampled_from(STARTS) | st.binary(max_size=200) | st.sampled_from([b"\n", b"\r\n", b"\n\0\0\n"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(PIECES, st.sampled_from(["add", "add", "write", "restart", "wait"])), max_size=8))
def test_garbage_raises_nothing_and_others_go_on(steps: list[tuple[bytes, str]]) -> None:
    store = Store()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        junk, good = folder / "junk.log", folder / "good.log"
        add(good, line(1_000, "first") + b"\n")
        follower = Follower(store, folder, str(folder / "*.log"))
        try:
            for number, (piece, how) in enumerate(steps):
                if how == "write":
                    junk.write_bytes(piece)
                else:
                    add(junk, piece)
                if how == "restart":
                    follower.stop()
                    follower.start()
                follower.turn(8 if how == "wait" else 1)
                add(good, lines(1_001 + number))
            follower.turn(15)
            junk.unlink(missing_ok=True)
            follower.turn(60)
        finally:
            follower.kill()
    good_ones = [event for event in store.events if event.get("log.file.path") == str(good)]
    assert {event["process.pid"] for event in good_ones} == set(range(1_000, 1_001 + len(steps)))
    assert len({event["event.id"] for event in good_ones}) == len(steps) + 1
    assert all(len(record.raw) <= 4_096 and record.reason for record in store.bad)
