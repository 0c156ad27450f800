import gzip
import re

import pytest

from soc_api.pages.rendering import HERE
from tests.soc_api.conftest import LogIn


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "path", ["/overview", "/alerts", "/alerts?status=all&severity=high", "/events", "/events?q=n1"]
)
def test_pages_render_in_both_languages(log_in: LogIn, path: str, language: str) -> None:
    client = log_in("county")
    client.get(f"/language/{language}", follow_redirects=False)
    answer = client.get(path)
    assert answer.status_code == 200
    assert not re.search(r"\b(pages|cases|detectors)\.[a-z_.]+", re.sub(r"<[^>]+>", "", answer.text)), (
        "a key is shown"
    )
    if language == "en":
        shown = re.sub(r"<[^>]+>|单位\w+|教师机\w+|中文|张三", "", answer.text)
        assert not re.search(r"[\u4e00-\u9fff]", shown)


def test_an_alert_opens_beside_the_list_and_alone(log_in: LogIn) -> None:
    client = log_in("school1")
    item = client.get("/api/v1/alerts").json()["items"][0]
    alone = client.get(f"/alerts/{item['id']}").text
    beside = client.get(f"/alerts/{item['id']}", headers={"HX-Request": "true"}).text
    assert "<html" in alone
    assert "<html" not in beside
    for text in (alone, beside):
        assert "教师机S1" in text
        assert text.count("<li>") >= 4


def test_an_alert_is_handled_on_the_page(log_in: LogIn) -> None:
    client = log_in("school1")
    item = client.get("/api/v1/alerts").json()["items"][0]
    form = {"csrf": client.headers["X-CSRF-Token"], "version": "1", "status": "closed", "close_reason": ""}
    refused = client.post(f"/alerts/{item['id']}", data=form, headers={"HX-Request": "true"})
    assert refused.status_code == 409
    done = client.post(
        f"/alerts/{item['id']}", data={**form, "close_reason": "drill"}, headers={"HX-Request": "true"}
    )
    assert "演练" in done.text
    forged = client.post(f"/alerts/{item['id']}", data={**form, "csrf": "x"})
    assert forged.status_code == 403


def test_a_bad_query_is_explained(log_in: LogIn) -> None:
    assert "column 1" in log_in("county").get("/events", params={"q": "usr.name:x"}).text


def test_nobody_enters_a_real_installation_through_the_demos_door(log_in: LogIn) -> None:
    client = log_in("")
    assert client.post("/demo/enter", data={"name": "county"}, follow_redirects=False).status_code == 404


def test_pages_carry_no_inline_code(log_in: LogIn) -> None:
    client = log_in("county")
    for path in ("/overview", "/alerts", "/events", "/login"):
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\son[a-z]+=|\sstyle=", text)


def test_what_a_page_loads_is_small(log_in: LogIn) -> None:
    static = sum(len(gzip.compress(path.read_bytes())) for path in (HERE / "static").iterdir())
    page = len(gzip.compress(log_in("county").get("/alerts").content))
    assert static + page < 150_000
