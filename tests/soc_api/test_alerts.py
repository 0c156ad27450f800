from soc_api.services import Services
from soc_core.access.accounts import MAX_FAILURES
from tests.soc_api.conftest import PASSWORD, LogIn


def test_an_alert_says_who_what_why_and_what_to_do(log_in: LogIn) -> None:
    client = log_in("school1")
    [item] = client.get("/api/v1/alerts").json()["items"]
    detail = client.get(f"/api/v1/alerts/{item['id']}").json()
    assert "教师机S1" in detail["device"]
    assert detail["organisation"] == "单位S1"
    assert "203.0.113.9" in detail["sentence"]
    assert len(detail["steps"]) == 3
    assert detail["duty"]["supervisor"] == "张三"
    assert detail["reasons"] == ["高"]
    assert detail["evidence"]
    english = client.get(f"/api/v1/alerts/{item['id']}", params={"language": "en"}).json()
    assert english["organisation"] == "Unit S1"


def test_handling_an_alert(log_in: LogIn) -> None:
    client = log_in("school1")
    [item] = client.get("/api/v1/alerts").json()["items"]
    url = f"/api/v1/alerts/{item['id']}"
    seen = client.get(url)
    taken = client.patch(
        url, json={"status": "in_progress", "comment": "在查"}, headers={"If-Match": seen.headers["etag"]}
    )
    assert taken.json()["status"] == "in_progress"
    stale = client.patch(
        url, json={"status": "closed", "close_reason": "drill"}, headers={"If-Match": seen.headers["etag"]}
    )
    assert stale.status_code == 409
    bare = client.patch(url, json={"status": "closed"}, headers={"If-Match": '"2"'})
    assert bare.status_code == 422
    closed = client.patch(
        url, json={"status": "closed", "close_reason": "drill"}, headers={"If-Match": '"2"'}
    )
    assert closed.json()["close_reason"] == "drill"
    assert [entry["actor"] for entry in closed.json()["history"]] == ["system", "school1", "school1"]


def test_an_auditor_only_looks(log_in: LogIn) -> None:
    client = log_in("auditor")
    item = client.get("/api/v1/alerts").json()["items"][0]
    answer = client.patch(
        f"/api/v1/alerts/{item['id']}", json={"status": "closed"}, headers={"If-Match": '"1"'}
    )
    assert answer.status_code == 403
    assert client.get(f"/api/v1/alerts/{item['id']}/packets").status_code == 403


def test_a_change_needs_the_csrf_token(log_in: LogIn) -> None:
    client = log_in("school1")
    item = client.get("/api/v1/alerts").json()["items"][0]
    del client.headers["X-CSRF-Token"]
    answer = client.patch(
        f"/api/v1/alerts/{item['id']}", json={"status": "closed"}, headers={"If-Match": '"1"'}
    )
    assert answer.status_code == 403


def test_pages_of_alerts_join_without_gap(log_in: LogIn) -> None:
    client = log_in("county")
    first = client.get("/api/v1/alerts", params={"limit": 1}).json()
    second = client.get("/api/v1/alerts", params={"limit": 1, "cursor": first["cursor"]}).json()
    assert first["total"] == 2
    assert first["items"][0]["id"] != second["items"][0]["id"]
    assert second["cursor"] == ""


def test_problems_are_problem_details(log_in: LogIn) -> None:
    client = log_in("county")
    for url in (
        "/api/v1/alerts?severity=odd",
        "/api/v1/events?q=usr.name:x",
        "/api/v1/alerts/a0",
        "/api/v1/nothing",
    ):
        answer = client.get(url)
        assert answer.status_code in {404, 422}
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_wrong_passwords_lock_the_name(log_in: LogIn, services: Services) -> None:
    client = log_in("")
    wrong = {"name": "county", "password": "not the password"}
    for _ in range(MAX_FAILURES):
        assert client.post("/api/v1/session", json=wrong).status_code == 401
    right = client.post("/api/v1/session", json={"name": "county", "password": PASSWORD})
    assert right.status_code == 401
    assert "too many" in right.json()["detail"]


def test_logging_out_ends_the_session(log_in: LogIn) -> None:
    client = log_in("county")
    cookie = dict(client.cookies)
    assert client.delete("/api/v1/session").status_code == 204
    client.cookies.update(cookie)
    assert client.get("/api/v1/session").status_code == 401


def test_answers_carry_the_security_headers(log_in: LogIn) -> None:
    for url in ("/login", "/api/v1/alerts", "/static/console.css"):
        headers = log_in("county").get(url).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
