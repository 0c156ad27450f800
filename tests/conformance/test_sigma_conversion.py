"""A slice of ``benchmarks.sigma_conversion`` on a real Elasticsearch and DuckDB: no difference without a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._sigma_paths import SIGMA, unpacked
from benchmarks.sigma_conversion import compare
from detectors.sigma import load_rules
from tests.shared_data import needs

pytestmark = [pytest.mark.slow, *needs(SIGMA)]


def test_every_difference_has_its_reason(elasticsearch_url: str, tmp_path: Path) -> None:
    rules = load_rules([unpacked("sigmahq-rules", tmp_path)]).rules[::150]
    found = compare(elasticsearch_url, rules, tmp_path, recorded=False)
    assert found.fired >= len(rules) - 3
    for name, way in found.ways.items():
        causes = {row.get("cause", "refused") for row in way.differences}
        assert causes <= {"ignore_above", "approximate"}, (name, way.differences)
        assert way.agreed >= 0.85 * way.compared
