"""What an attacker tries: floods, forged requests, hostile texts in events, and what errors give away.

Whether somebody sees another unit's things is tested in ``test_isolation``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Scope

from soc_api import limits
from soc_api.app import create_app
from soc_api.live.endpoints import _changes, _counted
from soc_api.security import COOKIE
from soc_api.services import Services
from soc_api.session import endpoints as session_endpoints
from soc_core.access.accounts import MAX_FAILURES, disable_user, record_failure
from soc_core.errors import StoreError
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import Search
from tests.conftest import NOW
from tests.soc_api.conftest import PASSWORD, LogIn, School, make_event

SESSION = "/api/v1/session"
HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


# --- what comes in


@pytest.mark.parametrize("path", ["/login", SESSION, "/api/v1/alerts/a/notes", "/nowhere"])
def test_a_body_larger_than_any_form_is_refused_unread(app: FastAPI, path: str) -> None:
    answer = TestClient(app).post(path, content=b"x" * (limits.MAX_BODY + 1))
    assert answer.status_code == 413
    assert all(name in answer.headers for name in HEADERS)


def run_asgi(app: FastAPI, receive: Callable[[], object]) -> list[Message]:
    """Send one POST whose body comes from ``receive``; return what the application sends."""
    sent: list[Message] = []

    async def receiving() -> Message:
        made = receive()
        return await made if asyncio.iscoroutine(made) else made  # type: ignore[return-value]

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/login",
        "raw_path": b"/login",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"x")],
        "client": ("192.0.2.1", 1),
        "server": ("x", 80),
    }
    asyncio.run(app(scope, receiving, send))
    return sent


def test_a_body_without_length_is_counted_while_it_comes(app: FastAPI) -> None:
    taken = 0

    def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 4_096, "more_body": True}

    sent = run_asgi(app, receive)
    assert sent[0]["status"] == 413
    assert taken <= limits.MAX_BODY // 4_096 + 1


def test_a_body_that_never_ends_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.01)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    assert run_asgi(app, receive)[0]["status"] == 408


def test_who_goes_away_while_sending_gets_nothing(app: FastAPI) -> None:
    assert run_asgi(app, lambda: {"type": "http.disconnect"}) == []


# --- log-in


def test_a_name_like_an_address_locks_no_address(app: FastAPI) -> None:
    client = TestClient(app)
    for _ in range(3):
        client.post(SESSION, json={"name": "@10.1.1.1", "password": "x"})
    services: Services = app.state.services
    with services.database.read() as connection:
        assert session_endpoints.recent_failures(connection, "@10.1.1.1", now=NOW) == 0
        assert session_endpoints.recent_failures(connection, "@testclient", now=NOW) == 3


def test_knocking_on_a_locked_name_does_not_keep_it_locked(app: FastAPI, services: Services) -> None:
    with services.database.write() as connection:
        for _ in range(MAX_FAILURES):
            record_failure(connection, "county", now=NOW)
    client = TestClient(app)
    for _ in range(3):
        assert "too many" in client.post(SESSION, json={"name": "county", "password": "x"}).text
    with services.database.read() as connection:
        assert session_endpoints.recent_failures(connection, "county", now=NOW) == MAX_FAILURES


def test_a_flood_of_log_ins_holds_no_threads(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of passwords wait for each other; who comes when too many wait is sent away, in both doors."""
    client = TestClient(app)
    for _ in range(session_endpoints.MOST_WAITING):
        assert session_endpoints.WAITING.acquire(blocking=False)
    try:
        answer = client.post(SESSION, json={"name": "county", "password": PASSWORD})
        page = client.post("/login", data={"name": "county", "password": PASSWORD})
    finally:
        for _ in range(session_endpoints.MOST_WAITING):
            session_endpoints.WAITING.release()
    assert answer.status_code == page.status_code == 503
    assert client.post(SESSION, json={"name": "county", "password": PASSWORD}).status_code == 200


def test_a_session_that_was_planted_is_not_taken_over(app: FastAPI) -> None:
    credentials = {"name": "county", "password": PASSWORD}
    answer = TestClient(app, cookies={COOKIE: "planted"}).post(SESSION, json=credentials)
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=")
    assert "planted" not in answer.headers["set-cookie"]
    planted = TestClient(app, cookies={COOKIE: "planted"})
    assert planted.get(SESSION).status_code == 401


# --- what one account may take


def test_a_histogram_has_a_bounded_number_of_bars(log_in: LogIn) -> None:
    bounds = "start=2026-01-01T00:00:00Z&end=2026-11-01T00:00:00Z"
    client = log_in("county")
    path = f"/api/v1/events/aggregate?kind=histogram&{bounds}"
    assert client.get(f"{path}&interval_seconds=1").status_code == 422
    assert client.get(f"{path}&interval_seconds=86400").status_code == 200


def test_an_account_asks_a_few_questions_at_once(app: FastAPI, log_in: LogIn) -> None:
    turns: limits.Turns = app.state.questions
    school, other = log_in("school1"), log_in("school3")
    with turns.take("school1"):
        assert school.get("/api/v1/events").status_code == 200
        held = [turns.take("school1") for _ in range(limits.QUESTIONS_AT_ONCE - 1)]
        for turn in held:
            turn.__enter__()
        for path in ("/api/v1/events", "/api/v1/events/count", "/api/v1/events/aggregate"):
            answer = school.get(path)
            assert answer.status_code == 429
            assert answer.headers["content-type"] == "application/problem+json"
        assert school.get("/events").status_code == school.get("/overview").status_code == 429
        assert other.get("/api/v1/events").status_code == 200
        for turn in held:
            turn.__exit__(None, None, None)
    assert school.get("/api/v1/events").status_code == 200


def test_all_together_ask_some_questions_at_once(app: FastAPI, log_in: LogIn) -> None:
    school = log_in("school1")
    turns: limits.Turns = app.state.questions
    held = [turns.take(f"account {n}") for n in range(limits.QUESTIONS_OF_ALL)]
    for turn in held:
        turn.__enter__()
    answer = school.get("/api/v1/events", headers={"Accept-Language": "zh"})
    assert (answer.status_code, answer.json()["detail"]) == (503, "请稍后再试")
    assert school.get("/alerts").status_code == 200
    held.pop().__exit__(None, None, None)
    assert school.get("/api/v1/events").status_code == 200


def test_turns_come_back_whatever_happens() -> None:
    turns = limits.Turns(1)
    with pytest.raises(ZeroDivisionError), turns.take("a"):
        raise ZeroDivisionError
    with turns.take("a"):
        assert turns.full("a")
        assert not turns.full("b")
        with pytest.raises(limits.TooManyError), turns.take("a"):
            pass
    assert not turns.full("a")


def test_an_account_follows_a_few_streams_at_once(app: FastAPI, log_in: LogIn) -> None:
    turns: limits.Turns = app.state.streams
    held = [turns.take("school1") for _ in range(limits.STREAMS_AT_ONCE)]
    for turn in held:
        turn.__enter__()
    assert log_in("school1").get("/api/v1/live").status_code == 429


# --- what comes out


class Broken:
    """Fail like a store whose disk is damaged."""

    def search(self, request: Search) -> None:
        raise StoreError(
            "a segment can't be read: IO Error: /srv/secret/place", todo="run: edusoc store verify"
        )

    def get(self, event_ids: object, scope: object) -> None:
        raise ZeroDivisionError("/srv/secret/place")


def test_errors_give_no_paths_away_and_carry_the_headers(services: Services, log_in: LogIn) -> None:
    broken = create_app(replace(services, reader=Broken()))  # type: ignore[arg-type]
    inside = log_in("county")
    client = TestClient(broken, cookies=dict(inside.cookies), raise_server_exceptions=False)
    for path, status in (
        ("/api/v1/events", 503),
        ("/api/v1/events/20261120-00000000000000000000000000", 500),
        ("/events/20261120-00000000000000000000000000", 500),
    ):
        answer = client.get(path)
        assert answer.status_code == status
        assert "secret" not in answer.text
        assert all(name in answer.headers for name in HEADERS), path
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/login", "/overview", "/language/en", "/tasks", "/nowhere"])
def test_nothing_private_is_kept_in_caches(log_in: LogIn, path: str) -> None:
    for client in (log_in(""), log_in("school1")):
        answer = client.get(path, follow_redirects=False)
        assert answer.headers["cache-control"] == "no-store"
        assert all(name in answer.headers for name in HEADERS)


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:a=b", "javascript:x"],
)
def test_a_door_leads_nowhere_else(services: Services, path: str) -> None:
    client = TestClient(create_app(replace(services, demo=True)))
    answer = client.post("/demo/enter", data={"name": "nobody", "path": path}, follow_redirects=False)
    assert answer.status_code == 404
    back = client.get("/theme/dark", headers={"Referer": "https://evil.example/x"}, follow_redirects=False)
    assert back.headers["location"] == "/"


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{0.__class__}{key}%s",
    "</style><style>*{display:none}",
    "x\u202egpj.exe",
    "a\x1b[2J\x07b\x9b31m",
    "a\r\nSet-Cookie: x=y\r\n\r\ndata: forged\n\n",
    "=cmd|' /C calc'!A0",
)


def test_hostile_texts_of_events_stay_texts(
    built: object, services: Services, schools: dict[str, School]
) -> None:
    store = EmbeddedStore(services.reader.directory, writer=True)  # type: ignore[attr-defined]
    events = []
    for number, text in enumerate(HOSTILE):
        event = make_event("S1", schools["S1"].unit, 100 + number)
        names = ("url.original", "user_agent.original", "file.name", "process.command_line", "message")
        events.append({**event, **dict.fromkeys(names, text), "edusoc.extra": [f"ssid={text}"]})
    store.append(events)
    store.close()
    app = create_app(services)
    with services.database.write() as connection:
        from soc_core.access.accounts import list_users, open_session

        [user] = [user for user in list_users(connection) if user.name == "school1"]
        token = open_session(connection, user, now=NOW)
    client = TestClient(app, cookies={COOKIE: token})
    paths = ["/events", "/events?q=message:*", *(f"/events/{event['event.id']}" for event in events)]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        for bad in ("<script>alert", "<img src=x", "</style><style>", ">49<"):
            assert bad not in answer.text, path
        for sign in "\u202e\x1b\x07\x9b":
            assert sign not in answer.text, (path, repr(sign))
        assert "x-forged" not in answer.headers


def test_a_closed_account_loses_page_and_stream_at_once(services: Services, log_in: LogIn) -> None:
    client = log_in("school1")
    assert client.get("/api/v1/alerts").status_code == 200
    token = client.cookies[COOKIE]
    assert _changes(services, token, 0) is not None
    with services.database.write() as connection:
        disable_user(connection, "school1")
    assert _changes(services, token, 0) is None
    assert client.get("/api/v1/alerts").status_code == 401
    assert client.get("/alerts", follow_redirects=False).headers["location"] == "/login"


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_the_ends_of_time_are_no_fault(log_in: LogIn, instant: str) -> None:
    client, when = log_in("school1"), quote(instant)
    for path in ("/overview", "/alerts", "/events", "/audit"):
        assert client.get(f"{path}?at={when}").status_code < 500, path
    for path in ("/api/v1/alerts", "/api/v1/events", "/api/v1/events/count", "/api/v1/events/aggregate"):
        for name in ("start", "end"):
            assert client.get(f"{path}?{name}={when}").status_code == 422, (path, name)


NASTY = ("\0", "x" * 3_000, "99999999999999999999", "'\"><", "../../etc/passwd", "%ff", "\u202e", "[]")
PLACES = (
    *("/overview?organisation=", "/overview?hours=", "/alerts?cursor=", "/alerts?q=", "/events?q="),
    *("/events?cursor=", "/audit?before=", "/api/v1/alerts?cursor=", "/api/v1/alerts?address="),
    *("/api/v1/events?cursor=", "/api/v1/events?q=", "/api/v1/events/aggregate?kind=terms&field="),
    *("/alerts/", "/tasks/", "/events/", "/api/v1/alerts/", "/api/v1/events/", "/static/", "/language/"),
)


@pytest.mark.parametrize("place", PLACES)
def test_no_parameter_brings_the_server_out_of_step(log_in: LogIn, place: str) -> None:
    client = log_in("school1")
    for nasty in NASTY:
        answer = client.get(place + quote(nasty, safe=""), follow_redirects=False)
        assert answer.status_code < 500, nasty
        assert "<script" not in answer.text.replace("<script src", "")
        assert "root:x" not in answer.text


def test_a_stream_that_is_left_gives_its_turn_back() -> None:
    turns = limits.Turns(1)

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x"
            await asyncio.sleep(0)

    async def follow() -> None:
        stream = _counted(turns, "a", endless())
        assert not turns.full("a")  # nobody reads yet
        assert await anext(stream) == "x"
        assert turns.full("a")
        assert [message async for message in _counted(turns, "a", endless())] == []
        task = asyncio.create_task(_all(stream))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not turns.full("a")

    asyncio.run(follow())


async def _all(stream: AsyncIterator[str]) -> None:
    async for _ in stream:
        pass
