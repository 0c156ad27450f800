"""Nobody sees, counts, changes or follows what belongs to another school: every path, every role.

The application itself lists the paths. One that is not in ``CALLS`` fails the first test, so a new route can't be
forgotten; what each route answers is searched for anything that only the other school may see.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount, Route

from cases.alerts.repository import AlertFilter, get_alert, history_of, list_alerts
from soc_api.security import COOKIE
from soc_api.services import Services
from soc_core.access.accounts import Role
from soc_core.jobs import outbox
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW
from tests.soc_api.conftest import RULE, LogIn, School

FREE = "free"
"""The route serves nothing of any unit."""


@dataclass(frozen=True)
class Call:
    """Say how a route is asked for another school's things and what it may answer at most."""

    statuses: Sequence[int]
    path: str = ""
    body: Mapping[str, object] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)


CHANGE = {"version": "1", "action": "close", "reason": "drill"}
SUPPRESSION = {
    "rule": "*",
    "organisation": "{unit}",
    "entity": "10.0.0.1",
    "reason": "x",
    "expires_at": "2026-12-01T00:00:00Z",
}
CALLS: Mapping[tuple[str, str], Call | str] = {
    ("GET", "/"): FREE,
    ("GET", "/api/v1/openapi.json"): FREE,
    ("GET", "/login"): FREE,
    ("POST", "/login"): FREE,
    ("POST", "/demo/enter"): FREE,
    ("POST", "/logout"): FREE,
    ("GET", "/language/{language}"): FREE,
    ("GET", "/theme/{theme}"): FREE,
    ("POST", "/api/v1/session"): FREE,
    ("DELETE", "/api/v1/session"): FREE,
    ("GET", "/api/v1/session"): Call((200,)),
    ("GET", "/api/v1/alerts"): Call((200,), "?organisation={unit}&address=peer-"),
    ("GET", "/api/v1/alerts/{alert_id}"): Call((404,)),
    ("PATCH", "/api/v1/alerts/{alert_id}"): Call((403, 404), body={"status": "in_progress"}),
    ("POST", "/api/v1/alerts/{alert_id}/notes"): Call((403, 404), body={"comment": "x"}),
    ("GET", "/api/v1/alerts/{alert_id}/packets"): Call((403, 404)),
    ("GET", "/api/v1/events"): Call((200,), "?organisation={unit}&q=organization.id:{unit}"),
    ("GET", "/api/v1/events/count"): Call((200,), "?organisation={unit}"),
    ("GET", "/api/v1/events/aggregate"): Call(
        (200,), "?kind=terms&field=dns.question.name&organisation={unit}"
    ),
    ("GET", "/api/v1/events/{event_id}"): Call((404,)),
    ("GET", "/api/v1/organisations"): Call((200,)),
    ("GET", "/api/v1/organisations/{organisation_id}"): Call((404,)),
    ("GET", "/api/v1/agents"): Call((200,), "?organisation={unit}"),
    ("GET", "/api/v1/agents/{agent_id}"): Call((404,)),
    ("GET", "/api/v1/agents/{agent_id}/senders"): Call((404,)),
    ("GET", "/api/v1/store/health"): Call((200, 403)),
    ("GET", "/api/v1/store/retention"): Call((200, 403), "?organisation={unit}&limit=500"),
    ("GET", "/api/v1/whereabouts"): Call(
        (200,), "?organisation={unit}&address=192.168.1.10&at=2026-11-23T08:00:00Z"
    ),
    ("GET", "/api/v1/rules"): Call((404,), "?organisation={unit}"),
    ("GET", "/api/v1/rules/{rule_id}"): Call((404,), "?organisation={unit}"),
    ("PATCH", "/api/v1/rules/{rule_id}"): Call(
        (403, 404), "?organisation={unit}", body={"state": "off", "reason": "x"}
    ),
    ("POST", "/api/v1/rules/{rule_id}/hunt"): Call((404,), "?organisation={unit}", body={"days": 1}),
    ("GET", "/api/v1/suppressions"): Call((200,), "?organisation={unit}"),
    ("POST", "/api/v1/suppressions"): Call((403, 404), body=SUPPRESSION),
    ("GET", "/api/v1/suppressions/{suppression_id}"): Call((404,)),
    ("POST", "/api/v1/suppressions/{suppression_id}/end"): Call((403, 404), body={"reason": "x"}),
    ("GET", "/rules"): Call((404,), "?organisation={unit}"),
    ("GET", "/rules/{rule_id}"): Call((404,), "?organisation={unit}"),
    ("POST", "/rules/{rule_id}"): Call(
        (403, 404), "?organisation={unit}", form={"state": "off", "reason": "x"}
    ),
    ("GET", "/api/v1/indicators/lists"): FREE,
    ("GET", "/api/v1/indicators/check"): FREE,
    ("GET", "/api/v1/indicators/hits"): "asked by test_indicators.py",
    ("GET", "/api/v1/live"): "followed by test_the_live_stream",
    ("GET", "/overview"): Call((200,), "?organisation={unit}&hours=4320"),
    ("GET", "/alerts"): Call((200,), "?organisation={unit}&status=all&q=peer-"),
    ("GET", "/alerts/{alert_id}"): Call((404,)),
    ("POST", "/alerts/{alert_id}"): Call((403, 404), form=CHANGE),
    ("GET", "/alerts/{alert_id}/packets"): Call((404,)),
    ("GET", "/alerts/{alert_id}/whereabouts"): Call((404,)),
    ("GET", "/events"): Call((200,), "?organisation={unit}&q=organization.id:{unit}"),
    ("GET", "/events/{event_id}"): Call((404,)),
    ("GET", "/agents"): Call((200,), "?organisation={unit}"),
    ("GET", "/audit"): Call((200, 404), "?organisation={unit}"),
    ("GET", "/tasks"): Call((200,)),
    ("GET", "/tasks/{alert_id}"): Call((404,)),
    ("POST", "/tasks/{alert_id}"): Call((403, 404), form=CHANGE),
}
ASKED = [key for key, call in CALLS.items() if isinstance(call, Call)]
INSIDERS = ["school1", *(f"s1_{role.value}" for role in Role if role is not Role.CONTACT)]


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Return every (method, path) the application answers, whatever routers it is nested in."""
    found: set[tuple[str, str]] = set()
    waiting: list[object] = list(app.routes)
    while waiting:
        item = waiting.pop()
        if isinstance(item, Route):
            found |= {(method, item.path) for method in item.methods or ()}
        elif isinstance(item, Mount):
            assert item.path == "/static"
        else:
            inner = getattr(item, "original_router", None)
            assert isinstance(inner, APIRouter), f"an unknown kind of route: {item}"
            waiting.extend(inner.routes)
    return found


def ask(client: TestClient, key: tuple[str, str], other: School) -> tuple[int, str]:
    """Ask a route for the other school's things; return the status and the answer without what was asked itself."""
    method, path = key
    call = CALLS[key]
    assert isinstance(call, Call)
    names = {
        "alert_id": other.alert,
        "event_id": other.event,
        "agent_id": other.agent,
        "organisation_id": other.unit,
        "unit": other.unit,
        "rule_id": RULE,
        "suppression_id": other.suppression,
    }
    url = (path + call.path).format(**names)
    form = {**call.form, "csrf": client.headers.get("X-CSRF-Token", "")} if call.form else None
    body = {name: str(value).format(**names) for name, value in call.body.items()}
    answer = client.request(
        method,
        url,
        json=body or None,
        data=form,
        headers={"If-Match": '"1"'},
        follow_redirects=False,
    )
    text = html.unescape(unquote(answer.text))
    for name in (other.unit, other.alert, other.event, other.agent, other.suppression):
        if name in url or name in str(body):
            text = text.replace(name, "")
    return answer.status_code, text


def test_every_route_is_covered(app: FastAPI) -> None:
    found = {key for key in routes_of(app) if key[0] != "HEAD"}
    documented = {(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item}
    assert len(found) > 25
    assert documented <= found
    assert found == set(CALLS)


@pytest.mark.parametrize("key", ASKED, ids=" ".join)
def test_another_schools_things_look_like_they_do_not_exist(
    log_in: LogIn, services: Services, schools: Mapping[str, School], key: tuple[str, str]
) -> None:
    call, other = CALLS[key], schools["S3"]
    assert isinstance(call, Call)
    for who in INSIDERS:
        client = log_in(who)
        for headers in ({}, {"HX-Request": "true"}):
            client.headers.update(headers)
            status, text = ask(client, key, other)
            assert status in call.statuses, who
            assert [secret for secret in other.secrets if secret in text] == [], who
    with services.database.read() as connection:
        alert = get_alert(connection, SYSTEM_SCOPE, other.alert)
        assert alert is not None
        assert (alert.status, alert.version) == ("new", 1)
        assert [entry.action for entry in history_of(connection, SYSTEM_SCOPE, other.alert)] == ["created"]


@pytest.mark.parametrize("key", ASKED, ids=" ".join)
def test_nobody_sees_anything_without_logging_in(
    log_in: LogIn, schools: Mapping[str, School], key: tuple[str, str]
) -> None:
    status, text = ask(log_in(""), key, schools["S1"])
    assert status in {303, 401, 403}
    assert [secret for secret in schools["S1"].secrets if secret in text] == []


@pytest.mark.parametrize("key", [key for key in ASKED if key[0] == "GET"], ids=" ".join)
def test_the_search_for_leaks_finds_what_is_there(
    log_in: LogIn, schools: Mapping[str, School], key: tuple[str, str]
) -> None:
    """The same questions asked by who may see the school do show it: the tests above could fail."""
    status, text = ask(log_in("school3"), key, schools["S3"])
    if key[1].startswith("/api/v1/store/"):
        assert status == 403  # test_store.py asks as those who may
        return
    assert status in {200, 404}
    if key == ("GET", "/api/v1/rules"):
        assert (
            '"state":"silent"' in text
        )  # set there by the school; the list names nothing but the unit asked for
        return
    if status == 200 and not key[1].endswith(("/count", "/packets")):
        assert any(secret in text for secret in schools["S3"].secrets)


@pytest.mark.parametrize(
    ("who", "codes"),
    [("county", {"S1", "S2"}), ("school1", {"S1"}), ("school3", {"S3"}), ("auditor", {"S1", "S2"})],
)
def test_lists_and_counts_hold_only_what_is_below(
    log_in: LogIn, schools: Mapping[str, School], who: str, codes: set[str]
) -> None:
    client = log_in(who)
    mine = {schools[code].unit for code in codes}
    alerts = client.get("/api/v1/alerts").json()
    assert {item["organisation_id"] for item in alerts["items"]} == mine
    assert (alerts["total"], alerts["total_exact"]) == (len(mine), True)
    events = client.get("/api/v1/events").json()["items"]
    assert {item["organization.id"] for item in events} == mine
    assert client.get("/api/v1/events/count").json() == {"count": 5 * len(mine)}
    question = {"kind": "terms", "field": "organization.id"}
    buckets = client.get("/api/v1/events/aggregate", params=question).json()["buckets"]
    assert {bucket["key"] for bucket in buckets} == mine
    units = {item["id"]: item for item in client.get("/api/v1/organisations").json()["items"]}
    assert mine <= set(units)
    assert (schools["S3"].unit in units) == (who == "school3")
    root = next(iter(units.values()))
    assert root["open_alerts"] == {"high": len(mine)}
    assert root["parent_id"] is None


def test_a_unit_that_moves_takes_its_alerts_along_at_once(
    log_in: LogIn, services: Services, schools: Mapping[str, School]
) -> None:
    from soc_core.model.organisation import Attribute
    from soc_core.organisations.repository import load_tree, put_unit, today

    client = log_in("county")
    assert client.get("/api/v1/alerts").json()["total"] == 2
    with services.database.write() as connection:
        tree = load_tree(connection, today(NOW))
        moved = [Attribute("code", "S2"), Attribute("parent_id", tree.find("D").id)]
        put_unit(connection, moved, {}, now=NOW)
    assert client.get("/api/v1/alerts").json()["total"] == 1
    assert client.get(f"/api/v1/alerts/{schools['S2'].alert}").status_code == 404


def test_a_cursor_of_one_question_or_person_opens_no_other(log_in: LogIn) -> None:
    client = log_in("county")
    cursor = client.get("/api/v1/events", params={"limit": 2}).json()["cursor"]
    assert cursor
    assert client.get("/api/v1/events", params={"limit": 2, "cursor": cursor}).status_code == 200
    stolen = client.get("/api/v1/events", params={"q": "event.kind:event", "cursor": cursor})
    assert stolen.status_code == 422
    assert client.get("/api/v1/alerts", params={"cursor": cursor}).status_code == 422
    other = log_in("school3").get("/api/v1/events", params={"limit": 2, "cursor": cursor})
    assert {item["organization.id"] for item in other.json().get("items", [])} <= {
        item["organization.id"] for item in log_in("school3").get("/api/v1/events").json()["items"]
    }


def test_people_of_other_units_can_not_be_given_an_alert(
    log_in: LogIn, schools: Mapping[str, School]
) -> None:
    client = log_in("school1")
    page = client.get(f"/alerts/{schools['S1'].alert}").text
    assert "显示名s1_analyst" in page
    assert "显示名county" not in page
    form = {"csrf": client.headers["X-CSRF-Token"], "version": "1", "action": "hand", "person": "school3"}
    assert client.post(f"/alerts/{schools['S1'].alert}", data=form).status_code == 422
    patch = {"assigned_to": "school3"}
    answer = client.patch(f"/api/v1/alerts/{schools['S1'].alert}", json=patch, headers={"If-Match": '"1"'})
    assert answer.status_code == 422


def follow(app: FastAPI, client: TestClient, path: str, until: str, headers: Mapping[str, str]) -> str:
    """Return what a stream sends up to the text ``until``; the client then goes away."""
    token = client.cookies.get(COOKIE) or ""
    sent: list[bytes] = []
    done = asyncio.Event()
    raw = [(b"host", b"testserver"), (b"cookie", f"{COOKIE}={token}".encode())]
    raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    bare, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }

    asked = False

    async def receive() -> dict[str, object]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, object]) -> None:
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        sent.append(body)
        if until.encode() in b"".join(sent):
            done.set()

    async def run() -> None:
        await asyncio.wait_for(app(scope, receive, send), timeout=20)

    asyncio.run(run())
    return b"".join(sent).decode()


def publish(services: Services, school: School, topic: str) -> int:
    with services.database.write() as connection:
        outbox.publish(connection, topic, school.unit, {"alert_id": school.alert}, now=NOW)
        return outbox.last_sequence(connection)


@pytest.mark.parametrize("who", INSIDERS)
def test_the_live_stream_tells_of_no_other_school(
    app: FastAPI, log_in: LogIn, services: Services, schools: Mapping[str, School], who: str
) -> None:
    publish(services, schools["S3"], "alert.updated")
    last = publish(services, schools["S1"], "alert.updated")
    text = follow(app, log_in(who), "/api/v1/live?after=0", f"id: {last}\n", {})
    assert schools["S1"].alert in text
    assert [secret for secret in schools["S3"].secrets if secret in text] == []


def test_a_listener_that_comes_back_misses_nothing(
    app: FastAPI, log_in: LogIn, services: Services, schools: Mapping[str, School]
) -> None:
    seen = publish(services, schools["S1"], "alert.updated")
    missed = publish(services, schools["S1"], "alert.closed")
    client = log_in("school1")
    text = follow(app, client, "/api/v1/live?after=0", f"id: {missed}\n", {"Last-Event-ID": str(seen)})
    assert text.count("event: alert.") == 1
    assert "event: alert.closed" in text


def test_the_live_stream_ends_with_the_session(
    app: FastAPI, log_in: LogIn, services: Services, schools: Mapping[str, School]
) -> None:
    from soc_api.live.endpoints import _changes

    client = log_in("school1")
    token = client.cookies.get(COOKIE) or ""
    assert client.delete("/api/v1/session").status_code == 204
    publish(services, schools["S1"], "alert.updated")
    assert _changes(services, token, 0) is None
    assert client.get("/api/v1/live").status_code == 401


def test_the_systems_scope_still_sees_all(services: Services) -> None:
    with services.database.read() as connection:
        assert len(list_alerts(connection, SYSTEM_SCOPE, AlertFilter())) == 3
