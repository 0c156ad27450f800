from __future__ import annotations

from fastapi import FastAPI
from fastapi.testclient import TestClient

from soc_api.services import Services
from soc_core.access.accounts import MAX_ADDRESS_FAILURES, MAX_FAILURES, record_failure
from tests.conftest import NOW
from tests.soc_api.conftest import PASSWORD, LogIn

SESSION = "/api/v1/session"


def test_logging_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(app: FastAPI) -> None:
    for scheme, secure in (("http", False), ("https", True)):
        client = TestClient(app, base_url=f"{scheme}://testserver")
        answer = client.post(SESSION, json={"name": "county", "password": PASSWORD})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert ("secure" in cookie) == secure
        assert ("strict-transport-security" in answer.headers) == secure
        assert client.get(SESSION).json()["name"] == "county"


def test_an_absent_name_fails_like_a_wrong_password(app: FastAPI) -> None:
    client = TestClient(app)
    answers = [
        client.post(SESSION, json={"name": name, "password": "not the password"})
        for name in ("county", "nobody")
    ]
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].json() == answers[1].json()


def test_wrong_passwords_lock_the_name_whether_it_exists_or_not(app: FastAPI, services: Services) -> None:
    client = TestClient(app)
    for name in ("county", "nobody"):
        with services.database.write() as connection:
            for _ in range(MAX_FAILURES - 1):
                record_failure(connection, name, now=NOW)
        assert "wrong" in client.post(SESSION, json={"name": name, "password": "x"}).json()["detail"]
        locked = client.post(SESSION, json={"name": name, "password": PASSWORD})
        assert locked.status_code == 401
        assert "too many" in locked.json()["detail"]
    page = client.post("/login", data={"name": "county", "password": PASSWORD})
    assert "15 分钟" in page.text


def test_many_failures_from_one_address_stop_it(app: FastAPI, services: Services) -> None:
    client = TestClient(app)
    with services.database.write() as connection:
        for number in range(MAX_ADDRESS_FAILURES):
            record_failure(connection, f"name{number}", now=NOW)
            record_failure(connection, "@testclient", now=NOW)
    answer = client.post(SESSION, json={"name": "county", "password": PASSWORD})
    assert answer.status_code == 401
    assert "too many" in answer.json()["detail"]


def test_another_sites_form_logs_nobody_in(app: FastAPI) -> None:
    client = TestClient(app)
    form = {"name": "county", "password": PASSWORD}
    answer = client.post("/login", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_logging_out_ends_the_session(log_in: LogIn) -> None:
    client = log_in("county")
    cookie = dict(client.cookies)
    assert client.delete(SESSION).status_code == 204
    client.cookies.update(cookie)
    assert client.get(SESSION).status_code == 401
    assert client.get("/overview", follow_redirects=False).headers["location"] == "/login"


def test_the_log_out_button_needs_its_token(log_in: LogIn) -> None:
    client = log_in("county")
    assert client.post("/logout", data={"csrf": "x"}).status_code == 403
    token = client.headers["X-CSRF-Token"]
    assert client.post("/logout", data={"csrf": token}, follow_redirects=False).status_code == 303
    assert client.get(SESSION).status_code == 401


def test_answers_carry_the_security_headers(log_in: LogIn) -> None:
    client = log_in("county")
    for url in ("/login", "/overview", "/api/v1/alerts", "/static/console.css", "/nothing"):
        headers = client.get(url).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/v1/alerts").headers["cache-control"] == "no-store"
    assert client.get("/alerts").headers["cache-control"] == "no-store"
