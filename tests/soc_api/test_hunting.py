"""A hunt through the API looks at the caller's units only, within bounds, and stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from soc_api.services import Services
from soc_core.store.interface import SYSTEM_SCOPE
from tests.detectors.sigma.base import load_text, rule_text
from tests.soc_api.conftest import RULE, LogIn, School
from tests.soc_api.test_rules import PATH

HUNT = f"{PATH}/hunt"


@pytest.fixture
def finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rule that is named find every question of the place's events."""
    text = rule_text("s: {dns.question.name|endswith: .example}\ncondition: s", "{category: dns}", RULE)
    [rule] = load_text(tmp_path, text).rules
    monkeypatch.setattr("soc_api.rules.hunting.rule_of", lambda _services, _rule_id: rule)


@pytest.mark.usefixtures("finding")
def test_hunts_in_the_callers_units(log_in: LogIn, schools: Mapping[str, School], services: Services) -> None:
    before = services.reader.statistics(SYSTEM_SCOPE)
    county = log_in("county").post(HUNT, json={"days": 190}).json()
    assert county["partial"] is False
    assert county["detections"] > 0, county
    assert county["detections"] == sum(unit["detections"] for unit in county["units"])
    school = log_in("school1").post(HUNT, json={"days": 190}).json()
    assert {unit["organization_id"] for unit in school["units"]} == {schools["S1"].unit}
    assert 0 < school["detections"] < county["detections"]
    assert services.reader.statistics(SYSTEM_SCOPE) == before


def test_refuses_what_is_not_seen_or_too_long(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("school1")
    foreign = client.post(HUNT, json={}, params={"organisation": schools["S2"].unit})
    assert foreign.status_code == 404
    assert client.post("/api/v1/rules/nothing/hunt", json={}).status_code == 404
    assert client.post(HUNT, json={"days": 100_000}).status_code == 422
