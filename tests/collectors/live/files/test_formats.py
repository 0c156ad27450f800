"""Follow every kind of file that ``edusoc read`` knows: bit by bit, restarts between, it gives what an import gives."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from collectors.base import ReadContext
from collectors.live.files.gathering import FILE_PATH
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from soc_core.model.event import BadRecord, Event
from tests.collectors.base import GOLDEN
from tests.collectors.live.files.conftest import Follow
from tests.collectors.live.files.following import CONTEXT, Store, add

SAMPLES = sorted(
    path.name for path in GOLDEN.iterdir() if path.is_file() and not path.name.endswith(".expected.json")
)
REORDERED = ("auditd.log",)
"""Records that lie among each other may be finished in another order."""


def _import(path: Path) -> tuple[list[Event], list[BadRecord], str]:
    def context(source: OpenSource) -> ReadContext:
        return CONTEXT

    events, statistics = collect(read_paths([str(path)], context))
    return events, statistics.bad_samples, next(iter(statistics.collectors))


def _plain(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in (FILE_PATH, "event.created")}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_bit_by_bit_gives_what_an_import_gives(
    sample: str, restarts: bool, store: Store, tmp_path: Path, follow: Follow
) -> None:
    data = (GOLDEN / sample).read_bytes()
    path = tmp_path / sample
    chooser = random.Random(sample)
    follower = follow(path)
    head = data.find(b"\n", 700) + 1 or len(data)  # enough to be recognised as the whole is
    for part in (data[:head], *_pieces(data[head:], chooser)):
        add(path, part)
        follower.turn()
        if restarts and chooser.random() < 0.3:
            follower.stop()
            follower.start()
    follower.turn(30)
    follower.now += 2 * follower.settings.idle  # for a last line without an end
    follower.turn(3)
    events, bad, collector = _import(path)
    assert [mark.collector for mark in follower.checkpoints.marks.values()] == [collector]
    found = {str(event["event.id"]): _plain(event) for event in store.events}
    assert found == {str(event["event.id"]): _plain(event) for event in events}
    if not restarts:
        assert len(store.events) == len(events)
        assert [(one.position, one.reason) for one in store.bad] == [
            (one.position, one.reason) for one in bad
        ]
        if sample not in REORDERED:
            assert store.ids() == [event["event.id"] for event in events]


def _pieces(data: bytes, chooser: random.Random) -> list[bytes]:
    pieces = []
    while data:
        size = chooser.randrange(1, 1_200)
        pieces.append(data[:size])
        data = data[size:]
    return pieces
