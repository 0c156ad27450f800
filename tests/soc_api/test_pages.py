from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from soc_api.app import create_app
from soc_api.services import Services, Tour, TourStep
from soc_core.access.accounts import Role, User, add_user
from tests.conftest import NOW
from tests.soc_api.conftest import PASSWORD, LogIn, School

pytestmark = pytest.mark.parametrize("services", ["sqlite"], indirect=True)
"""Pages ask what the API asks, whose tests run on each kind of database."""
ROOMS = (
    "/overview",
    "/overview?hours=24",
    "/alerts",
    "/alerts?status=all&severity=high",
    "/alerts?status=closed",
    "/alerts?q=nothing",
    "/events",
    "/events?q=n1.s1.example",
    "/events?q=nothing",
    "/events?q=usr.name:x",
    "/tasks",
)


def texts_of(page: str) -> str:
    """Return what a person reads: without tags, with titles and placeholders."""
    shown = " ".join(re.findall(r'(?:title|placeholder|aria-label)="([^"]*)"', page))
    return re.sub(r"<[^>]+>", " ", page) + shown


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "path",
    [*ROOMS, "{alert}", "{alert}?tab=history", "{task}", "{task}?form=done", "{task}?form=help", "{event}"],
)
def test_pages_render_in_both_languages(
    log_in: LogIn, schools: Mapping[str, School], path: str, language: str
) -> None:
    client = log_in("county")
    client.get(f"/language/{language}", follow_redirects=False)
    school = schools["S1"]
    answer = client.get(
        path.format(
            alert=f"/alerts/{school.alert}", task=f"/tasks/{school.alert}", event=f"/events/{school.event}"
        )
    )
    assert answer.status_code == 200
    read = texts_of(answer.text)
    assert not re.search(r"\b(pages|cases|detectors)\.[a-z_.]+", read), "a key is shown"
    if language == "en":
        assert (
            re.findall(
                r"[\u4e00-\u9fff]", re.sub(r"单位\w+|教师机\w+|中文|张三\w+|联络员\w+|显示名\w+", "", read)
            )
            == []
        )


@pytest.mark.parametrize("who", ["county", "auditor", "school1", "s1_overseer", "s1_developer"])
def test_every_role_has_its_pages(log_in: LogIn, schools: Mapping[str, School], who: str) -> None:
    client = log_in(who)
    home = client.get("/", follow_redirects=False).headers["location"]
    assert home == ("/tasks" if who == "school1" else "/overview")
    page = client.get(f"/alerts/{schools['S1'].alert}").text
    assert ('name="action"' in page) == (who in {"county", "school1", "s1_developer"})


def test_an_alert_opens_beside_the_list_and_alone(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("school1")
    alone = client.get(f"/alerts/{schools['S1'].alert}").text
    beside = client.get(f"/alerts/{schools['S1'].alert}", headers={"HX-Request": "true"}).text
    assert "<html" in alone
    assert "<html" not in beside
    for text in (alone, beside):
        assert "教师机S1" in text
        assert text.count("<li>") >= 4


def test_an_alert_is_handled_on_the_page(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("school1")
    url, htmx = f"/alerts/{schools['S1'].alert}", {"HX-Request": "true"}
    form = {"csrf": client.headers["X-CSRF-Token"], "version": "1", "action": "close"}
    refused = client.post(url, data=form, headers=htmx)
    assert (refused.status_code, "请选择关闭原因" in refused.text) == (422, True)
    assert client.post(url, data={**form, "csrf": "x", "reason": "drill"}).status_code == 403
    handed = client.post(url, data={**form, "action": "hand", "person": "s1_analyst"}, headers=htmx)
    assert "由 显示名s1_analyst 处理" in handed.text
    stale = client.post(url, data={**form, "reason": "drill"}, headers=htmx)
    assert (stale.status_code, "别人刚改过" in stale.text) == (409, True)
    done = client.post(
        url, data={**form, "version": "2", "reason": "drill", "comment": "<b>拔线</b>"}, headers=htmx
    )
    assert "演练" in done.text
    assert "&lt;b&gt;拔线" in done.text
    closed = client.post(url, data={**form, "version": "3", "action": "take"}, headers=htmx)
    assert closed.status_code == 200


def test_a_contact_works_through_a_task(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("school1")
    url = f"/tasks/{schools['S1'].alert}"
    form = {"csrf": client.headers["X-CSRF-Token"], "version": "1"}
    page = client.get(url).text
    assert page.count("<li><span>") == 3
    for button in ("确认收到", "已处理", "需要帮助"):
        assert button in page
    taken = client.post(url, data={**form, "action": "take"})
    assert "已确认收到" in taken.text
    assert ">确认收到</button>" not in taken.text
    helped = client.post(url, data={**form, "version": "2", "action": "help", "comment": "找不到这台机器"})
    assert "已发出求助" in helped.text
    assert "联络员C" in client.get(f"{url}?form=help").text
    county = log_in("county").get("/alerts?help=1").text
    assert schools["S1"].alert in county
    unsaid = client.post(url, data={**form, "version": "3", "action": "close"})
    assert (unsaid.status_code, "请选择关闭原因" in unsaid.text) == (422, True)
    done = client.post(url, data={**form, "version": "3", "action": "close", "reason": "true_positive"})
    assert "谢谢" in done.text
    assert "没有要处理的事" in client.get("/tasks").text
    assert schools["S1"].alert not in log_in("county").get("/alerts?help=1").text


def test_the_auditor_sees_who_did_what(
    log_in: LogIn, schools: Mapping[str, School], monkeypatch: pytest.MonkeyPatch
) -> None:
    from soc_api.pages import audit

    client, auditor = log_in("school1"), log_in("auditor")
    assert "还没有人处理过告警" in auditor.get("/audit").text
    url = f"/api/v1/alerts/{schools['S1'].alert}"
    client.post(f"{url}/notes", json={"comment": "先拔线"})
    close = {"status": "closed", "close_reason": "drill"}
    client.patch(url, json=close, headers={"If-Match": '"1"'})
    page = auditor.get("/audit").text
    assert re.findall(r'class="w-did">([^<]+)<', page) == ["做了什么", "关闭 · 演练", "写了说明"]
    assert "先拔线" in page
    assert client.get("/audit").status_code == 404
    monkeypatch.setattr(audit, "PAGE", 1)
    following = re.search(r'class="button next" href="([^"]+)"', auditor.get("/audit").text)
    assert following is not None
    older = auditor.get(following[1].replace("&amp;", "&")).text
    assert "写了说明" in older
    assert "演练" not in older


def test_numbers_lead_to_the_list_they_count(log_in: LogIn) -> None:
    client = log_in("county")
    page = client.get("/overview").text
    tiles = re.findall(r'<a class="tile" href="([^"]+)">.*?<b>([\d,]+)</b>', page, re.DOTALL)
    tiles += re.findall(r'<a class="count" href="([^"]+)" [^>]*>([\d,]+)</a>', page)
    assert len(tiles) >= 9
    for link, number in tiles:
        shown = client.get(link.replace("&amp;", "&")).text
        found = re.search(r"共 ([\d,]+) 条", shown)
        assert found is not None
        assert found[1] == number, link


def test_a_bad_query_is_explained(log_in: LogIn) -> None:
    page = log_in("county").get("/events", params={"q": "usr.name:x"}).text
    assert "第 1 个字符" in page
    assert "source.ip:192.168.1.0/24" in page


def test_a_page_that_ends_early_says_so_and_goes_on(
    log_in: LogIn, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soc_core.store.budget.MOST_EXAMINED", 1)
    monkeypatch.setattr("soc_core.store.embedded.reader.JUDGED", 1)
    monkeypatch.setattr("soc_api.pages.events.PAGE", 1)
    services.reader.bound_questions(60)
    client, url = log_in("county"), "/events?hours=4320&q=source.ip:2001:db8::/31"  # SQL can't say it
    page = client.get(url).text
    assert "部分结果：在限定的时间内只检查了" in page
    following = re.search(r'class="button next" href="([^"]+)">继续往前找', page)
    assert following is not None
    assert client.get(html.unescape(following[1])).status_code == 200
    api = client.get(
        "/api/v1/events?limit=1&q=source.ip:2001:db8::/31", headers={"Accept-Language": "zh"}
    ).json()
    assert (api["items"], api["partial"][:5]) == ([], "在限定的时")
    assert api["cursor"]


def test_older_events_follow_without_gap(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from soc_api.pages import events

    monkeypatch.setattr(events, "PAGE", 4)
    client = log_in("county")
    url, seen = "/events", []
    for _ in range(4):
        page = client.get(url).text
        seen += re.findall(r'data-row="([^"]+)"', page)
        following = re.search(r'class="button next" href="([^"]+)"', page)
        if following is None:
            break
        url = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 10


def test_every_value_of_an_event_leads_to_its_like(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("school1")
    page = client.get(f"/events/{schools['S1'].event}").text
    links = re.findall(r'<td><a href="(/events\?[^"]+)">', page)
    assert len(links) >= 9
    for link in links:
        shown = client.get(link.replace("&amp;", "&")).text
        assert schools["S1"].event in shown, link


def test_errors_on_pages_are_pages(log_in: LogIn) -> None:
    client = log_in("county")
    for url in ("/alerts/a0", "/events/20261123-00000000000000000000000000", "/nothing"):
        answer = client.get(url)
        assert answer.status_code == 404
        assert "没有这个页面" in answer.text
    assert client.get("/alerts?status=odd").status_code == 422
    beside = client.get("/alerts/a0", headers={"HX-Request": "true"})
    assert "<html" not in beside.text
    assert client.get("/language/fr").status_code == 404
    assert client.get("/theme/pink").status_code == 404


def test_theme_and_language_stay_chosen(log_in: LogIn) -> None:
    client = log_in("county")
    back = client.get("/theme/dark", headers={"Referer": "http://testserver/alerts"}, follow_redirects=False)
    assert back.headers["location"] == "http://testserver/alerts"
    away = client.get("/theme/dark", headers={"Referer": "http://elsewhere.example/"}, follow_redirects=False)
    assert away.headers["location"] == "/"
    assert 'data-theme="dark"' in client.get("/alerts").text
    client.get("/language/en", follow_redirects=False)
    assert '<html lang="en"' in client.get("/alerts").text


def test_nobody_enters_a_real_installation_through_the_demos_door(log_in: LogIn) -> None:
    client = log_in("")
    assert client.post("/demo/enter", data={"name": "county"}, follow_redirects=False).status_code == 404


def test_the_demos_doors_open_for_demo_accounts_only(
    services: Services, schools: Mapping[str, School]
) -> None:
    with services.database.write() as connection:
        visitor = User("visitor", "访客", Role.ANALYST, schools["S1"].unit, "zh", demo=True)
        add_user(connection, visitor, PASSWORD, now=NOW)
    tour = Tour("visitor", [TourStep({"zh": "看查询", "en": "See a query"}, "/events?q=dns.question.name:*")])
    client = TestClient(create_app(replace(services, demo=True, tours=[tour])))
    page = client.get("/").text
    assert "看查询" in page
    assert "演示数据" in page
    assert client.post("/demo/enter", data={"name": "county"}, follow_redirects=False).status_code == 404
    for path, lands in (
        ("", "/overview"),
        ("/events?q=dns.question.name:*", "/events?q=dns.question.name:*"),
        ("//elsewhere.example", "/overview"),
        ("/\\elsewhere.example", "/overview"),
        ("https://elsewhere.example", "/overview"),
    ):
        entered = client.post("/demo/enter", data={"name": "visitor", "path": path}, follow_redirects=False)
        assert entered.headers["location"] == lands
    assert "单位S1" in client.get("/overview").text


def test_pages_carry_no_inline_code(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("county")
    for path in ("/overview", "/alerts", f"/alerts/{schools['S1'].alert}", "/events", "/login", "/tasks"):
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style", text)
        assert not re.search(r"\son[a-z]+=|\sstyle=|javascript:", text)
        assert set(re.findall(r'(?:src|href)="(https?:)?//', text)) == set()


def test_what_a_page_loads_is_small(log_in: LogIn) -> None:
    client = log_in("county")
    for path in ("/overview", "/alerts", "/events"):
        page = client.get(path)
        loaded = [
            page,
            *(client.get(url) for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)),
        ]
        assert len(loaded) >= 5
        assert all(answer.status_code == 200 for answer in loaded)
        assert page.headers["content-encoding"] == "gzip"
        assert sum(int(answer.headers["content-length"]) for answer in loaded) < 150_000
        assert all("max-age" in answer.headers["cache-control"] for answer in loaded[1:])


def test_a_province_shows_the_way_instead_of_a_thousand_units(log_in: LogIn, services: Services) -> None:
    from soc_core.model.organisation import Attribute
    from soc_core.organisations.repository import load_tree, put_unit, today

    with services.database.write() as connection:
        county = load_tree(connection, today(NOW)).find("C").id
        for number in range(150):
            values = [Attribute("code", f"T{number}"), Attribute("name", f"教学点{number}")]
            town = put_unit(connection, [*values, Attribute("parent_id", county)], {}, now=NOW)
        values = [Attribute("code", "T0-1"), Attribute("name", "深处"), Attribute("parent_id", town)]
        deep = put_unit(connection, values, {}, now=NOW)
    client = log_in("county")
    assert "深处" not in client.get("/alerts").text
    assert "深处" in client.get(f"/alerts?organisation={town}").text
    assert "深处" in client.get(f"/overview?organisation={deep}").text
    assert client.get("/overview").text.count('class="unit ') == 152
