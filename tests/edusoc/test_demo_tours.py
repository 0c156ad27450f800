"""Each account gets a short tour of pages that answer, with texts in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from cases.alerts.attach import AlertSink
from edusoc.composition import open_services
from edusoc.demo.tours import STEPS, make_tours
from edusoc.demo.world import load_world
from soc_api.app import create_app
from soc_api.services import Services
from soc_core.access.accounts import Role, list_users
from soc_core.clock import format_instant
from soc_core.config import Settings
from soc_core.model.detection import Detection, Entity, Severity
from tests.conftest import NOW


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Return services with the demo's world and one alert at the senior high school."""
    at = format_instant(NOW)
    with open_services(
        Settings(state=str(tmp_path_factory.mktemp("tours"))), lambda: NOW, demo=True
    ) as services:
        with services.database.write() as connection:
            tree = load_world(connection, "zh", now=NOW)
            unit = tree.find("9912100003").id
            alert = Detection(
                "d", "beacon", "anomaly", "beacon", unit, Entity("ip", "192.168.1.10", "校园网"), Severity.HIGH, at, at,
                reasons=(), evidence=(),
            )  # fmt: skip
            AlertSink(lambda: NOW).take(connection, [alert])
        yield replace(services, tours=make_tours(services))


def test_every_role_has_three_to_six_steps() -> None:
    assert set(STEPS) == {role.value for role in Role}
    assert all(3 <= len(steps) <= 6 for steps in STEPS.values())


def test_every_step_opens_for_its_account(demo: Services) -> None:
    with demo.database.read() as connection:
        people = list_users(connection, demo_only=True)
    assert [tour.user_name for tour in demo.tours] == [person.name for person in people]
    app = create_app(demo)
    for tour in demo.tours:
        client = TestClient(app)
        entered = client.post("/demo/enter", data={"name": tour.user_name}, follow_redirects=False)
        assert entered.status_code == 303
        for step in tour.steps:
            answer = client.get(step.path)
            assert answer.status_code == 200, f"{tour.user_name} {step.path}: {answer.text[:200]}"
            assert set(step.text) == {"zh", "en"}
            assert "tour." not in "".join(step.text.values())


def test_a_step_without_its_alert_is_left_out(demo: Services) -> None:
    tours = {tour.user_name: tour for tour in demo.tours}
    assert len(tours["demo-contact"].steps) == len(STEPS["contact"])
    assert len(tours["demo-primary"].steps) == len(STEPS["contact"]) - 2
