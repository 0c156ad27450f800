"""What a person does in the console, in a real Chromium."""

from __future__ import annotations

import dataclasses

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from cases.alerts.attach import AlertSink
from soc_core.clock import format_instant
from soc_core.model.detection import Detection, Entity, Reason, Severity
from tests.browser.conftest import PHONE, Browser, Place

pytestmark = pytest.mark.browser
VIEWPORTS = {"1440": (1440, 900), "1280": (1280, 800), "phone": PHONE}
# No element may stick out of the page sideways: a page that scrolls both ways can't be used with one thumb.
SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_an_analyst_filters_reads_and_closes_an_alert(browser: Browser, place: Place) -> None:
    browser.log_in("analyst")
    browser.open("/alerts")
    assert (
        len([row for row in browser.all("tr[data-row]") if row.rect["y"] + row.rect["height"] <= 900]) >= 21
    )
    before = int(browser.find(".chips [aria-current] b").text)
    browser.find(".levels a[title='高']").click()
    browser.wait(".levels a[aria-current]", "高")
    assert {level.text for level in browser.all("tbody .level")} == {"高"}
    browser.find("input[type=search]").send_keys("192.168.1.45", Keys.ENTER)
    browser.wait(".total", "共 2 条")
    browser.wait("tr[data-row] a.opens", "DNS 隧道").click()
    panel = browser.wait("#detail article", "微机室 12 号机")
    assert browser.all("tr[data-row]"), "the list stays"
    assert "为什么这么判断" in panel.text
    assert len(browser.all("#detail ol.steps li")) == 3
    browser.find("[data-tab=events]").click()
    assert "t1.example" in browser.wait("[data-pane=events]").text
    assert not browser.find("[data-pane=do]").is_displayed()
    browser.find("[data-tab=packets]").click()
    browser.wait("[data-cut]").click()
    browser.wait(".packets", "没有可取的数据包")
    browser.save("alert-closing")
    browser.wait("details.act summary", "关闭").click()
    browser.wait(".choice", "演练").click()
    browser.wait("details.act textarea").send_keys("期末演练")
    browser.wait("button[value=close]").click()
    browser.wait("#detail .facts", "已关闭 · 演练")
    browser.wait(".total", "共 1 条")
    browser.find("[data-tab=history]").click()
    assert "期末演练" in browser.wait("[data-pane=history]").text
    browser.open("/alerts")
    assert int(browser.find(".chips [aria-current] b").text) == before - 1
    assert browser.faults() == []


def test_the_list_works_without_a_mouse(browser: Browser, place: Place) -> None:
    browser.log_in("analyst")
    browser.open("/alerts")
    rows = [row.get_attribute("data-row") for row in browser.all("tr[data-row]")]
    press(browser, "j", "j", "j", "k")
    press(browser, Keys.ENTER)
    browser.wait(f"#detail [data-alert='{rows[1]}']")
    press(browser, "j")
    browser.wait(f"#detail [data-alert='{rows[2]}']")
    press(browser, Keys.ESCAPE)
    browser.wait_gone("#detail article")
    press(browser, "/")
    assert browser.driver.switch_to.active_element.get_attribute("name") == "q"
    press(browser, "10.8.0.21", Keys.ENTER)
    browser.wait("tr[data-row]", "教务管理系统")
    assert browser.faults() == []


def test_a_new_alert_appears_by_itself(browser: Browser, place: Place) -> None:
    browser.log_in("analyst")
    browser.open("/alerts")
    browser.wait("tr[data-row]")
    now = format_instant(place.services.clock())
    entity = Entity("ip", "10.8.0.99", "校园网")
    found = Detection(
        id="detectionlive000000000000",
        rule_id="beacon",
        rule_kind="anomaly",
        kind="beacon",
        organization_id=place.units["9912010003"],
        entity=entity,
        severity=Severity.CRITICAL,
        first_seen=now,
        last_seen=now,
        reasons=(Reason("cases.severity.high"),),
        evidence=(),
    )
    elsewhere = dataclasses.replace(
        found,
        id="detectionelse000000000000",
        organization_id=place.units["9912020001"],
        entity=Entity("ip", "10.9.9.9"),
    )
    with place.services.database.write() as connection:
        AlertSink(place.services.clock).take(connection, [elsewhere, found])
    fresh = browser.wait("tr.fresh", "10.8.0.99")
    assert "刚刚" in fresh.text
    assert "10.9.9.9" not in browser.find("body").text


def test_a_school_contact_works_with_one_thumb(browser: Browser, place: Place) -> None:
    browser.size(*PHONE, mobile=True)
    browser.log_in("contact")
    assert browser.driver.current_url.endswith("/tasks")
    browser.wait("h1", "件事等您处理")
    browser.save("phone-tasks-zh")
    assert browser.driver.execute_script(SIDEWAYS) <= 0
    browser.find("a.task").click()
    assert len(browser.all("ol.steps li")) == 3
    for control in browser.all(".phone a, .phone button, .phone summary"):
        assert control.rect["height"] >= 44, control.text
    browser.save("phone-task-zh")
    browser.wait("button", "确认收到").click()
    browser.wait(".done", "已确认收到")
    browser.wait("a.button", "需要帮助").click()
    browser.wait("textarea").send_keys("找不到这台服务器")
    assert browser.find("a[href^='tel:']").text == "0990-5550100"
    browser.save("phone-help-zh")
    browser.wait("button", "发送求助").click()
    browser.wait(".done", "已发出求助")
    browser.wait("a.button", "已处理").click()
    browser.wait(".choice", "属实").click()
    browser.save("phone-done-zh")
    browser.wait("button", "提交").click()
    browser.wait(".done", "已处理：属实")
    assert browser.faults() == []


def test_language_and_theme_are_switched_and_kept(browser: Browser, place: Place) -> None:
    browser.log_in("analyst")
    browser.open("/alerts")
    browser.find("#language").click()
    browser.wait("h1", "Alerts")
    for theme, ground in (("dark", "rgb(18, 23, 26)"), ("light", "rgb(244, 246, 247)")):
        browser.find("#theme").click()
        browser.wait(f"html[data-theme={theme}] h1")
        assert ground in browser.find("body").value_of_css_property("background-color").replace(
            "rgba", "rgb"
        ).replace(", 1)", ")")
    browser.open("/overview")
    assert browser.find("html").get_attribute("data-theme") == "light"
    assert "Look at these first" in browser.find("main").text


def test_an_event_is_found_and_leads_to_its_like(browser: Browser, place: Place) -> None:
    browser.log_in("analyst")
    browser.open("/events")
    browser.find("input[type=search]").send_keys("dns.question.name:*.t1.example", Keys.ENTER)
    browser.wait(".total", "共 150 条")
    browser.find("tr[data-row] a.opens").click()
    browser.wait("#detail td a", "192.168.1.45").click()
    browser.wait(".total", "条")
    assert browser.find("input[type=search]").get_attribute("value") == 'source.ip:"192.168.1.45"'
    browser.choose("#hours", "最近 24 小时")
    assert "hours=24" in browser.driver.current_url
    assert browser.find("input[type=search]").get_attribute("value") == 'source.ip:"192.168.1.45"'
    assert browser.faults() == []


@pytest.mark.parametrize(("language", "theme"), [("zh", "light"), ("en", "dark")])
def test_every_page_looks_right_everywhere(browser: Browser, place: Place, language: str, theme: str) -> None:
    """Hold what can be held without eyes, and keep a picture of each page for those who have them."""
    browser.log_in("analyst")
    browser.open(f"/language/{language}")
    browser.open(f"/theme/{theme}")
    for size, (width, height) in VIEWPORTS.items():
        browser.size(width, height, mobile=size == "phone")
        for page in ("overview", "alerts", "events"):
            browser.open(f"/{page}")
            browser.save(f"{page}-{size}-{language}-{theme}")
            assert browser.driver.execute_script(SIDEWAYS) <= 0, (page, size)
            if page != "overview":
                browser.find("tr[data-row] a.opens").click()
                browser.wait("#detail article h1")
                browser.save(f"{page}-detail-{size}-{language}-{theme}")
                assert browser.driver.execute_script(SIDEWAYS) <= 0, (page, size)
    assert browser.faults() == []
