"""An alert comes on the live stream after the intake took its event: the short form of ``benchmarks.sigma_latency``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.sigma_latency import measure, running
from detectors.sigma.mapping import bundled_rules


@pytest.mark.slow
def test_every_alert_comes_on_the_live_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(bundled_rules(), rules)
    with running(rules) as centre:
        assert measure(centre, rate=200, seconds=3)
    assert "6 of 6 alerts came" in capsys.readouterr().out
