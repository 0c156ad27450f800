"""Hold that the engine says of generated rules and events exactly what the plain reference says.

``python -m benchmarks.sigma_property`` runs many more cases.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.sigma import load_rules
from detectors.sigma.matcher import Matcher
from tests.detectors.sigma.generated import (
    EVENTS,
    Tree,
    detections,
    differences,
    number_of,
    references,
    rule_documents,
    stored,
)
from tests.detectors.sigma.reference_values import PlainEvent


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
    ],
)
@given(
    trees=st.lists(detections(), min_size=1, max_size=8),
    events=st.lists(EVENTS, min_size=4, max_size=12),
    budget=st.sampled_from([0, 3_000, 10**6]),
)
def test_engine_and_reference_agree(
    tmp_path: Path, trees: list[Tree], events: list[PlainEvent], budget: int
) -> None:
    text = rule_documents(trees)
    file = tmp_path / "rules.yml"
    file.write_text(text, encoding="utf-8")
    loaded = load_rules([file])
    assert loaded.problems == ()
    matcher, plain_rules = Matcher(loaded.rules, budget), references(text)
    for plain in [*events, *events]:  # the second time from memory
        event = stored(plain)
        fired = {number_of(rule) for rule in matcher.match(event)}
        assert differences(plain_rules, plain, fired) == []
