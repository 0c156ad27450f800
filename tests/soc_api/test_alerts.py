from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from cases.alerts.attach import AlertSink
from cases.alerts.repository import MERGED_UNITS, AlertCursor, AlertFilter, count_alerts, list_alerts
from soc_api.alerts import queries
from soc_api.services import CutPackets, Services
from soc_core.model.detection import Entity, Severity, make_detection_id
from soc_core.store.interface import Scope
from tests.conftest import NOW
from tests.soc_api.conftest import LogIn, School, make_detection, make_event


def url_of(client: TestClient) -> str:
    [item] = client.get("/api/v1/alerts").json()["items"]
    return f"/api/v1/alerts/{item['id']}"


def test_an_alert_says_who_what_why_and_what_to_do(log_in: LogIn) -> None:
    client = log_in("school1")
    url = url_of(client)
    detail = client.get(url).json()
    assert "教师机S1" in detail["device"]
    assert detail["organisation"] == "单位S1"
    assert "peer-s1.example" in detail["sentence"]
    assert len(detail["steps"]) == 3
    assert detail["duty"]["supervisor"] == "张三S1"
    assert detail["duty"]["contact"] == "联络员S1"
    assert detail["reasons"] == ["高"]
    assert detail["evidence"]
    english = client.get(url, params={"language": "en"}).json()
    assert english["organisation"] == "Unit S1"


def test_handling_an_alert(log_in: LogIn) -> None:
    client = log_in("school1")
    url = url_of(client)
    seen = client.get(url)
    taken = client.patch(
        url, json={"status": "in_progress", "comment": "在查"}, headers={"If-Match": seen.headers["etag"]}
    )
    assert taken.json()["status"] == "in_progress"
    stale = client.patch(
        url, json={"status": "closed", "close_reason": "drill"}, headers={"If-Match": seen.headers["etag"]}
    )
    assert stale.status_code == 412
    bare = client.patch(url, json={"status": "closed"}, headers={"If-Match": '"2"'})
    assert bare.status_code == 422
    closed = client.patch(
        url, json={"status": "closed", "close_reason": "drill"}, headers={"If-Match": '"2"'}
    )
    assert closed.json()["close_reason"] == "drill"
    assert [entry["actor"] for entry in closed.json()["history"]] == ["system", "school1", "school1"]
    assert client.patch(url, json={"comment": "x"}).status_code == 428
    assert client.patch(url, json={"comment": "x"}, headers={"If-Match": "*"}).status_code == 412


def test_a_school_asks_for_help_and_the_centre_finds_it(log_in: LogIn) -> None:
    school, county = log_in("school1"), log_in("county")
    url = url_of(school)
    asked = school.patch(
        url, json={"help_wanted": True, "comment": "找不到设备"}, headers={"If-Match": '"1"'}
    )
    assert asked.json()["help_wanted"] is True
    assert asked.json()["history"][-1]["action"] == "help.wanted"
    [item] = county.get("/api/v1/alerts", params={"help_wanted": True}).json()["items"]
    assert url.endswith(item["id"])
    closed = county.patch(
        url, json={"status": "closed", "close_reason": "true_positive"}, headers={"If-Match": '"2"'}
    )
    assert closed.json()["help_wanted"] is False


def test_a_note_with_the_same_key_is_added_once(log_in: LogIn) -> None:
    client = log_in("school1")
    url = url_of(client)
    key = {"Idempotency-Key": "7c0f"}
    first = client.post(f"{url}/notes", json={"comment": "已到现场"}, headers=key)
    again = client.post(f"{url}/notes", json={"comment": "已到现场"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert [entry["action"] for entry in client.get(url).json()["history"]] == ["created", "noted"]
    other = client.post(f"{url}/notes", json={"comment": "另一条"}, headers=key)
    assert other.status_code == 422
    for _ in range(2):
        client.post(f"{url}/notes", json={"comment": "没有钥匙"})
    assert len(client.get(url).json()["history"]) == 4


@pytest.mark.parametrize("who", ["auditor", "s1_auditor", "s1_overseer"])
def test_who_only_looks_changes_nothing(log_in: LogIn, who: str) -> None:
    client = log_in(who)
    item = client.get("/api/v1/alerts").json()["items"][0]
    url = f"/api/v1/alerts/{item['id']}"
    for answer in (
        client.patch(url, json={"status": "closed"}, headers={"If-Match": '"1"'}),
        client.post(f"{url}/notes", json={"comment": "x"}),
        client.get(f"{url}/packets"),
    ):
        assert answer.status_code == 403
    assert client.get(url).json()["version"] == 1


def test_a_change_needs_the_csrf_token_and_our_own_page(log_in: LogIn) -> None:
    client = log_in("school1")
    url = url_of(client)
    elsewhere = {"If-Match": '"1"', "Origin": "https://elsewhere.example"}
    assert client.patch(url, json={"comment": "x"}, headers=elsewhere).status_code == 403
    crossed = {"If-Match": '"1"', "Sec-Fetch-Site": "cross-site"}
    assert client.patch(url, json={"comment": "x"}, headers=crossed).status_code == 403
    own = {"If-Match": '"1"', "Origin": "http://testserver"}
    assert client.patch(url, json={"comment": "x"}, headers=own).status_code == 200
    del client.headers["X-CSRF-Token"]
    assert client.patch(url, json={"comment": "x"}, headers={"If-Match": '"2"'}).status_code == 403


def test_pages_of_alerts_join_without_gap(log_in: LogIn) -> None:
    client = log_in("county")
    first = client.get("/api/v1/alerts", params={"limit": 1}).json()
    second = client.get("/api/v1/alerts", params={"limit": 1, "cursor": first["cursor"]}).json()
    assert first["total"] == 2
    assert first["items"][0]["id"] != second["items"][0]["id"]
    assert second["cursor"] == ""


def test_more_than_can_be_counted_says_so(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_COUNTED", 1)
    page = log_in("county").get("/api/v1/alerts").json()
    assert (page["total"], page["total_exact"], len(page["items"])) == (1, False, 2)
    assert "以上" in log_in("county").get("/alerts").text


def test_problems_are_problem_details(log_in: LogIn) -> None:
    client = log_in("county")
    for url in (
        "/api/v1/alerts?severity=odd",
        "/api/v1/alerts?unknown=1",
        "/api/v1/events?q=usr.name:x",
        "/api/v1/alerts/a0",
        "/api/v1/nothing",
    ):
        answer = client.get(url)
        assert answer.status_code in {404, 422}
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    assert client.put("/api/v1/alerts").status_code == 405
    assert client.put("/api/v1/alerts/a0").headers["allow"] == "GET, PATCH"
    assert client.put("/api/v1/alerts").headers["content-type"] == "application/problem+json"


def test_filters_narrow(log_in: LogIn) -> None:
    client = log_in("county")
    for question, total in (
        ("status=new", 2),
        ("status=closed", 0),
        ("status=new&status=closed", 2),
        ("severity=high", 2),
        ("severity=critical", 0),
        ("kind=beacon", 2),
        ("kind=scan", 0),
        ("entity=192.168.1.10", 2),
        ("entity=192.168.1.1", 0),
        ("address=192.168.1.1", 2),
        ("address=peer-s2", 1),
        ("address=%25", 0),
        ("help_wanted=true", 0),
        ("assigned_to=county", 0),
        ("start=2026-11-23T04:00:00Z", 2),
        ("start=2026-11-23T04:00:01Z", 0),
        ("end=2026-11-23T04:00:00Z", 0),
    ):
        assert client.get(f"/api/v1/alerts?{question}").json()["total"] == total, question


class OnePacket:
    """Cut the same bytes for everybody who may see the evidence."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def cut(self, scope: Scope, evidence: tuple[str, ...]) -> CutPackets | None:
        return CutPackets(b"pcap", 3, ("Frame 1",)) if self._services.reader.get(evidence, scope) else None


def test_packets_are_given_with_an_entry_in_the_history(services: Services) -> None:
    from soc_api.app import create_app
    from soc_api.security import COOKIE
    from soc_core.access.accounts import list_users, open_session

    with services.database.write() as connection:
        user = next(user for user in list_users(connection) if user.name == "school1")
        token = open_session(connection, user, now=NOW)
    client = TestClient(create_app(replace(services, packets=OnePacket(services))))
    client.cookies.set(COOKIE, token)
    url = url_of(client)
    answer = client.get(f"{url}/packets")
    assert answer.content == b"pcap"
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    page = client.get(f"{url.removeprefix('/api/v1')}/packets", headers={"HX-Request": "true"})
    assert "Frame 1" in page.text
    last = client.get(url).json()["history"][-2:]
    assert [(entry["actor"], entry["action"]) for entry in last] == [
        ("school1", "packets.downloaded"),
        ("school1", "packets.seen"),
    ]
    assert last[0]["detail"] == {"packets": 3}


def test_an_alert_without_capture_has_no_packets(log_in: LogIn) -> None:
    client = log_in("school1")
    assert client.get(f"{url_of(client)}/packets").status_code == 404
    assert len(client.get(url_of(client)).json()["history"]) == 1


def test_both_ways_of_listing_give_the_same(services: Services, schools: Mapping[str, School]) -> None:
    """Few units are merged, many are walked: the pages are the same, in order, without gap or repetition."""
    units = {code: school.unit for code, school in schools.items()}
    found = []
    for number in range(60):
        code = ("S1", "S2", "S3")[number % 3]
        event = make_event(code, units[code], number * 1_000)
        entity = Entity("ip", f"10.0.0.{number}")
        severity = list(Severity)[number % 5]
        found.append(
            replace(
                make_detection(code, event),
                id=make_detection_id("beacon", units[code], entity, str(number)),
                entity=entity,
                severity=severity,
            )
        )
    few = frozenset({units["S1"], units["S2"]})
    many = few | {f"u{number}" for number in range(MERGED_UNITS + 1)}
    with services.database.write() as connection:
        AlertSink(lambda: NOW).take(connection, found)
        for narrow in (AlertFilter(), AlertFilter(statuses=("new",)), AlertFilter(statuses=("closed",))):
            seen: list[list[str]] = []
            for ids in (few, many):
                listed: list[str] = []
                after: AlertCursor | None = None
                while page := list_alerts(connection, Scope(ids), narrow, limit=7, after=after):
                    listed += [alert.id for alert in page]
                    after = AlertCursor(page[-1].priority, page[-1].last_seen, page[-1].id)
                seen.append(listed)
            assert seen[0] == seen[1]
            assert len(seen[0]) == len(set(seen[0])) == count_alerts(connection, Scope(few), narrow)
