"""Rules and suppressions through the API: by role and unit, with versions and idempotency keys; and their page."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from intake.rules.model import STREAM
from soc_api.services import Services
from soc_core.access.accounts import Role
from soc_core.audit.journal import latest_links
from tests.soc_api.conftest import RULE, LogIn, School

OFF = {"state": "off", "reason": "in lessons"}
PATH = f"/api/v1/rules/{RULE}"
QUIET = {"rule": RULE, "entity": "10.0.0.9", "reason": "a scanner", "expires_at": "2026-12-01T00:00:00Z"}


def test_rules_are_listed_as_they_stand_in_a_unit(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("county")
    page = client.get("/api/v1/rules").json()
    assert (page["total"], page["cursor"]) == (1, "")
    [rule] = page["items"]
    assert (rule["id"], rule["state"], rule["state_from"], rule["title"]) == (RULE, "on", "", "本地规则")
    below = client.get("/api/v1/rules", params={"organisation": schools["S1"].unit}).json()["items"][0]
    assert (below["state"], below["state_from"]) == ("silent", schools["S1"].unit)
    for query, found in (("?state=on", 1), ("?state=off", 0), ("?q=本地", 1), ("?q=T1110", 1), ("?q=zz", 0)):
        assert client.get(f"/api/v1/rules{query}").json()["total"] == found


def test_a_rule_is_shown_with_source_samples_and_statistics(log_in: LogIn) -> None:
    answer = log_in("school1").get(PATH, params={"language": "en"})
    body = answer.json()
    assert (answer.headers["etag"], body["title"]) == ('"1"', "A rule of the place")
    assert "bad.example" in body["yaml"]
    assert (body["statistics"]["fired"], body["statistics"]["false_positive_rate"]) == (0, None)
    assert (body["setting"]["state"], body["setting"]["reason"]) == ("silent", "设置原因S1")
    assert log_in("school1").get("/api/v1/rules/nothing").status_code == 404


def test_setting_needs_the_version_seen(log_in: LogIn, services: Services) -> None:
    client = log_in("s1_analyst")
    assert client.patch(PATH, json=OFF).status_code == 428
    assert client.patch(PATH, json=OFF, headers={"If-Match": '"7"'}).status_code == 412
    changed = client.patch(PATH, json=OFF, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["state"], changed.json()["setting"]["version"]) == (
        200,
        "off",
        2,
    )
    inherited = client.patch(PATH, json={"state": None, "reason": "over"}, headers={"If-Match": '"2"'})
    assert (inherited.json()["state"], inherited.json()["state_from"]) == ("on", "")
    assert client.patch(PATH, json={"reason": "x"}, headers={"If-Match": '"3"'}).status_code == 422
    with services.database.read() as connection:
        [last, *_] = latest_links(connection, STREAM)
    assert (last.kind, '"actor":"s1_analyst"' in last.body) == ("rule.set", True)


def test_what_the_county_sets_holds_below_without_saying_where(
    log_in: LogIn, schools: Mapping[str, School]
) -> None:
    county = log_in("county")
    body = {"severity": "critical", "budget": 3, "reason": "an important time"}
    assert county.patch(PATH, json=body, headers={"If-Match": '"0"'}).status_code == 200
    seen = log_in("school1").get(PATH).json()
    assert (seen["severity"], seen["severity_from"], seen["own_severity"]) == ("critical", "above", "high")
    assert (seen["budget"], seen["budget_from"]) == (3, "above")
    assert log_in("school3").get(PATH).json()["severity"] == "high"


@pytest.mark.parametrize("role", list(Role))
def test_who_may_set_rules(log_in: LogIn, role: Role) -> None:
    client = log_in("school1" if role is Role.CONTACT else f"s1_{role.value}")
    expected = 200 if role.may_tune else 403
    assert client.patch(PATH, json=OFF, headers={"If-Match": '"1"'}).status_code == expected
    made = client.post("/api/v1/suppressions", json=QUIET)
    assert made.status_code == (201 if role.may_tune else 403)
    assert client.get(PATH).status_code == client.get("/api/v1/suppressions").status_code == 200


def test_suppressions_are_made_once_listed_and_ended(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("county")
    url, key = "/api/v1/suppressions", {"Idempotency-Key": "k1"}
    wanted = {**QUIET, "organisation": schools["S2"].unit}
    made = [client.post(url, json=wanted, headers=key).json() for _ in range(2)]
    assert made[0] == made[1]
    assert client.post(url, json={**wanted, "entity": "x"}, headers=key).status_code == 422
    assert (made[0]["owner"], made[0]["active"], made[0]["hits"]) == ("county", True, 0)
    listed = client.get(url, params={"organisation": schools["S2"].unit}).json()["items"]
    assert {item["id"] for item in listed} == {made[0]["id"], schools["S2"].suppression}
    one = f"{url}/{made[0]['id']}"
    etag = client.get(one).headers["etag"]
    assert client.post(f"{one}/end", json={"reason": "gone"}).status_code == 428
    assert client.post(f"{one}/end", json={"reason": "gone"}, headers={"If-Match": '"9"'}).status_code == 412
    ended = client.post(f"{one}/end", json={"reason": "gone"}, headers={"If-Match": etag})
    assert (ended.status_code, ended.json()["active"]) == (200, False)
    assert made[0]["id"] not in {item["id"] for item in client.get(url).json()["items"]}
    assert made[0]["id"] in {item["id"] for item in client.get(url, params={"ended": True}).json()["items"]}


@pytest.mark.parametrize("rule", ["indicator.domain.0123456789abcdef", "beacon", "health.agent_silent"])
def test_what_detectors_find_that_are_no_rules_is_suppressed_too(log_in: LogIn, rule: str) -> None:
    made = log_in("county").post("/api/v1/suppressions", json={**QUIET, "rule": rule})
    assert (made.status_code, made.json()["rule"]) == (201, rule)


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"reason": " "},
        {"query": "source.ip:("},
        {"rule": "*", "entity": ""},
        {"rule": "no-such-rule"},
        {"rule": "indicator.no-such.0123456789abcdef"},
        {"entity_kind": "ip", "entity": ""},
    ],
)
def test_suppressions_without_sense_are_refused(log_in: LogIn, wrong: dict[str, str]) -> None:
    answer = log_in("county").post("/api/v1/suppressions", json={**QUIET, **wrong})
    assert answer.status_code == (404 if "no-such" in str(wrong) else 422)


def test_the_page_shows_and_sets_rules(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("s1_analyst")
    page = client.get("/rules").text
    assert "本地规则" in page
    assert "静默" in page
    panel = client.get(f"/rules/{RULE}", headers={"HX-Request": "true"}).text
    assert "设置原因S1" in panel
    assert "<html" not in panel
    form = {"csrf": client.headers["X-CSRF-Token"], "state": "on", "reason": "again"}
    assert "启用" in client.post(f"/rules/{RULE}", data=form).text
    assert client.get(PATH).json()["state"] == "on"
    assert "须写明原因" in client.post(f"/rules/{RULE}", data={**form, "reason": ""}).text
    assert client.post(f"/rules/{RULE}", data={**form, "csrf": "no"}).status_code == 403
    looks = log_in("s1_auditor")
    form["csrf"] = looks.headers["X-CSRF-Token"]
    assert looks.post(f"/rules/{RULE}", data=form).status_code == 403
