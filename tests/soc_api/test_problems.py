"""Answer errors in the language that the request asks for."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from soc_api.problems import STATUS, install, title_of
from soc_core.reasons import reason_text
from tests.soc_api.conftest import LogIn

CHINESE = re.compile("[\u4e00-\u9fff]")
ZH = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
EVENT = "20261120-" + "0" * 26
CASES = (
    ("/api/v1/alerts/a0", 404, "未找到", "没有告警“a0”，或您无权查看"),
    (f"/api/v1/events/{EVENT}", 404, "未找到", f"没有日志记录“{EVENT}”，或您无权查看"),
    (
        "/api/v1/alerts?start=2026-11-20T08:00:00Z&end=2026-11-19T08:00:00Z",
        422,
        "请求无效",
        "start 须早于 end",
    ),
    ("/api/v1/alerts?severity=odd", 422, "请求的内容不符合要求", ""),
    ("/api/v1/events?q=usr.name:x", 422, "请求无效", "第 1 个字符：没有字段“usr.name”；是不是“user.name”？"),
    ("/api/v1/events?cursor=x", 422, "请求无效", "翻页位置不属于这次查询；请去掉 cursor，从第一页开始"),
    ("/api/v1/nothing", 404, "未找到", ""),
)


@pytest.mark.parametrize(("url", "status", "title", "detail"), CASES)
def test_a_problem_is_said_in_the_asked_language(
    log_in: LogIn, url: str, status: int, title: str, detail: str
) -> None:
    client = log_in("county")
    chinese, english, unasked = (
        client.get(url, headers=ZH),
        client.get(url, headers={"Accept-Language": "en"}),
        client.get(url),
    )
    assert (chinese.status_code, chinese.json()["title"], chinese.json().get("detail", "")) == (
        status,
        title,
        detail,
    )
    assert english.json() == unasked.json()
    assert not CHINESE.search(english.text)
    assert [answer.headers["content-language"] for answer in (chinese, english, unasked)] == [
        "zh",
        "en",
        "en",
    ]
    assert all("Accept-Language" in answer.headers["vary"] for answer in (chinese, english, unasked))


def test_faults_are_said_in_the_asked_language(log_in: LogIn) -> None:
    client = log_in("county")
    url = "/api/v1/alerts?limit=0&unknown=1"
    faults = client.get(url, headers=ZH).json()
    assert faults["title"] == "请求的内容不符合要求"
    assert {fault["where"]: fault["what"] for fault in faults["errors"]} == {
        "query.limit": "不能小于 1",
        "query.unknown": "没有这一项",
    }
    assert not CHINESE.search(client.get(url).text)


def test_bodies_that_are_no_json_are_said_in_the_asked_language(app: FastAPI) -> None:
    client = TestClient(app)
    headers = {**ZH, "Content-Type": "application/json"}
    answer = client.post("/api/v1/session", content=b"{", headers=headers)
    assert answer.json()["errors"][0]["what"] == "不是有效的 JSON"
    refused = client.post("/api/v1/session", content=b"x" * 70_000, headers=headers)
    assert (refused.status_code, refused.json()["title"]) == (413, "内容过大")
    assert refused.json()["detail"] == "请求内容过大"
    assert refused.headers["content-language"] == "zh"


def test_who_is_not_logged_in_or_not_allowed_is_told_so(app: FastAPI, log_in: LogIn) -> None:
    said = TestClient(app).get("/api/v1/alerts", headers=ZH).json()
    assert (said["title"], said["detail"]) == ("未登录", "请先登录；登录接口：POST /api/v1/session")
    foreign = TestClient(app).post("/api/v1/session", headers={**ZH, "Sec-Fetch-Site": "cross-site"})
    assert foreign.json()["detail"] == "请求来自其他网站"
    client = log_in("county")
    assert client.put("/api/v1/alerts", headers=ZH).json()["title"] == "这个地址不支持这种操作"
    del client.headers["X-CSRF-Token"]
    said = client.patch("/api/v1/alerts/a0", json={}, headers=ZH).json()
    assert (said["title"], said["detail"]) == ("没有权限", "CSRF 令牌缺失或不对；请带上请求头 X-CSRF-Token")


def test_every_title_has_its_chinese() -> None:
    install(FastAPI(), lambda request, error: pytest.fail("no page"))
    for title in {title for *_, title in STATUS} | {title_of(500), "There was an error parsing the body"}:
        assert CHINESE.search(reason_text(title, "zh")), title


def test_the_description_names_the_language(app: FastAPI) -> None:
    answer = app.openapi()["paths"]["/api/v1/alerts"]["get"]["responses"]["422"]
    assert answer["headers"]["Content-Language"]["schema"] == {"type": "string", "enum": ["zh", "en"]}
