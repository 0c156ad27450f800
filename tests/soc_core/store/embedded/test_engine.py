"""The engine gives up what takes too long, and is as good as new afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from soc_core.errors import StoreError
from soc_core.store.embedded.beside import rebuild_sidecar
from soc_core.store.embedded.blocks import Blocks
from soc_core.store.embedded.engine import Engine, View
from soc_core.store.embedded.schema import EMPTY
from soc_core.store.embedded.sidecars import Sidecars

HOURS = (
    "SELECT count(*) AS n FROM range(100_000_000) a, range(100_000_000) b WHERE hash(a.range, b.range) = 7"
)


def test_a_question_that_would_take_hours_is_given_up(tmp_path: Path) -> None:
    engine, nothing = Engine(tmp_path, 200, Blocks(Sidecars(tmp_path, rebuild_sidecar))), View((), EMPTY, 0)
    engine.seconds = 0.2
    with pytest.raises(StoreError, match="too long"):
        engine.ask(nothing, HOURS, (), ())
    assert engine.ask(nothing, "SELECT 1 AS n", (), ())["n"].to_pylist() == [1]
    engine.close()
