from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collectors.live.files.following import Follower, Store

Follow = Callable[..., Follower]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def follow(store: Store, tmp_path: Path) -> Iterator[Follow]:
    """Give a function that follows patterns, and close everything afterwards."""
    followers: list[Follower] = []

    def begin(*patterns: Path | str, **settings: object) -> Follower:
        followers.append(Follower(store, tmp_path, *map(str, patterns), **settings))
        return followers[-1]

    yield begin
    for follower in followers:
        if follower.running:
            follower.kill()
