"""Nobody sees, counts, changes or follows what belongs to another school, on any path."""

from __future__ import annotations

import pytest

from cases.alerts.repository import AlertFilter, list_alerts
from soc_api.app import create_app
from soc_api.services import Services
from soc_core.organisations.repository import OrganisationTree
from soc_core.store.interface import SYSTEM_SCOPE, Scope, Search
from tests.soc_api.conftest import LogIn


def alert_of(services: Services, unit: str) -> str:
    with services.database.read() as connection:
        return list_alerts(connection, Scope(frozenset({unit})), AlertFilter())[0].id


def event_of(services: Services, unit: str) -> str:
    from datetime import timedelta

    now = services.clock()
    search = Search(Scope(frozenset({unit})), now - timedelta(days=1), now + timedelta(days=1))
    return str(services.reader.search(search).events[0]["event.id"])


@pytest.mark.parametrize(
    ("who", "codes"),
    [("county", {"S1", "S2"}), ("school1", {"S1"}), ("school3", {"S3"}), ("auditor", {"S1", "S2"})],
)
def test_lists_hold_only_what_is_below(
    log_in: LogIn, tree: OrganisationTree, who: str, codes: set[str]
) -> None:
    client = log_in(who)
    mine = {tree.find(code).id for code in codes}
    alerts = client.get("/api/v1/alerts").json()
    assert {item["organisation_id"] for item in alerts["items"]} == mine
    assert alerts["total"] == len(mine)
    events = client.get("/api/v1/events").json()["items"]
    assert {item["organization.id"] for item in events} == mine
    assert client.get("/api/v1/events/count").json() == {"count": 5 * len(mine)}
    names = client.get(
        "/api/v1/events/aggregate", params={"kind": "terms", "field": "organization.id"}
    ).json()
    assert {bucket["key"] for bucket in names["buckets"]} == mine
    units = {item["id"] for item in client.get("/api/v1/organisations").json()["items"]}
    assert mine <= units
    assert tree.find("S3").id not in units or who == "school3"


def test_asking_for_another_unit_by_name_gives_nothing(log_in: LogIn, tree: OrganisationTree) -> None:
    client, other = log_in("school1"), tree.find("S3").id
    for path in ("/api/v1/alerts", "/api/v1/events"):
        assert client.get(path, params={"organisation": other}).json()["items"] == []
    assert client.get("/api/v1/events/count", params={"organisation": other}).json() == {"count": 0}
    query = {"q": f"organization.id:{other}"}
    assert client.get("/api/v1/events", params=query).json()["items"] == []


PATHS = [
    "/api/v1/alerts/{alert}",
    "/api/v1/alerts/{alert}/packets",
    "/api/v1/events/{event}",
    "/api/v1/organisations/{unit}",
    "/alerts/{alert}",
    "/alerts/{alert}/packets",
    "/events/{event}",
]


@pytest.mark.parametrize("path", PATHS)
def test_another_schools_things_look_like_they_do_not_exist(
    log_in: LogIn, services: Services, tree: OrganisationTree, path: str
) -> None:
    other = tree.find("S3").id
    url = path.format(alert=alert_of(services, other), event=event_of(services, other), unit=other)
    assert log_in("school1").get(url).status_code == 404
    assert "教师机S3" not in log_in("school1").get(url).text


@pytest.mark.parametrize(
    "path", [*PATHS, "/api/v1/alerts", "/api/v1/events", "/api/v1/organisations", "/api/v1/session"]
)
def test_nobody_sees_anything_without_logging_in(
    log_in: LogIn, services: Services, tree: OrganisationTree, path: str
) -> None:
    unit = tree.find("S1").id
    url = path.format(alert=alert_of(services, unit), event=event_of(services, unit), unit=unit)
    answer = log_in("").get(url, follow_redirects=False)
    assert answer.status_code in {401, 303}
    assert "192.168.1.10" not in answer.text


def test_another_schools_alert_can_not_be_changed(
    log_in: LogIn, services: Services, tree: OrganisationTree
) -> None:
    alert = alert_of(services, tree.find("S3").id)
    answer = log_in("school1").patch(
        f"/api/v1/alerts/{alert}", json={"status": "in_progress"}, headers={"If-Match": '"1"'}
    )
    assert answer.status_code == 404
    with services.database.read() as connection:
        found = {item.id: item.status for item in list_alerts(connection, SYSTEM_SCOPE, AlertFilter())}
    assert found[alert] == "new"


def test_a_cursor_of_one_question_opens_no_other(log_in: LogIn) -> None:
    client = log_in("county")
    cursor = client.get("/api/v1/events", params={"limit": 2}).json()["cursor"]
    assert cursor
    assert client.get("/api/v1/events", params={"limit": 2, "cursor": cursor}).status_code == 200
    stolen = client.get("/api/v1/events", params={"q": "event.kind:event", "cursor": cursor})
    assert stolen.status_code == 422
    assert client.get("/api/v1/alerts", params={"cursor": cursor}).status_code == 422


def test_every_route_was_thought_of(services: Services) -> None:
    """A new path must be added to these tests (or be one of the few that need no scope)."""
    open_paths = {"/", "/login", "/demo/enter", "/logout", "/language/{language}", "/api/v1/openapi.json"}
    scoped = {
        "/api/v1/session", "/api/v1/alerts", "/api/v1/alerts/{alert_id}", "/api/v1/alerts/{alert_id}/packets",
        "/api/v1/events", "/api/v1/events/count", "/api/v1/events/aggregate", "/api/v1/events/{event_id}",
        "/api/v1/organisations", "/api/v1/organisations/{organisation_id}", "/api/v1/live", "/overview", "/alerts",
        "/alerts/{alert_id}", "/alerts/{alert_id}/packets", "/events", "/events/{event_id}",
    }  # fmt: skip
    app = create_app(services)
    paths = {getattr(route, "path", "") for route in app.routes} | set(app.openapi()["paths"])
    assert {path for path in paths if path and not path.startswith("/static")} <= open_paths | scoped
