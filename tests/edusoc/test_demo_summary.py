"""The summary: whole cards for what matters, a line for the rest, plain verdicts, the same for programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cases.alerts.card import AlertCard, Duty
from cases.alerts.model import Alert, Status
from edusoc.demo.build import Counts
from edusoc.demo.checking import Check
from edusoc.demo.scenes import Scene
from edusoc.demo.summary import SHORT, Report, UnitData, as_json, as_lines
from pcaps.labels import Ban, Expectation, Label
from soc_core import i18n
from soc_core.model.detection import Entity, Severity

ANCHOR = datetime(2026, 11, 24, 6, tzinfo=UTC)
AT = "2026-11-24T05:00:00.000000Z"
WANTED = Expectation("beacon", "10.0.0.9", Severity.HIGH)


@pytest.fixture(autouse=True)
def catalogue() -> None:
    i18n.load("cases")


def card(number: int, severity: Severity) -> AlertCard:
    alert = Alert(
        id=f"a{number}", organization_id="u", kind="beacon", entity=Entity("ip", "10.0.0.9"), peer="",
        rule_id="beacon", rule_kind="anomaly", severity=severity, priority=50, status=Status.NEW, close_reason="",
        assigned_to="", help_wanted=False, first_seen=AT, last_seen=AT, detection_count=1, event_count=1, version=1,
        created_at=AT, updated_at=AT,
    )  # fmt: skip
    return AlertCard(
        alert=alert, language="zh", title=f"标题{number}", sentence=f"句子{number}", unit="某校",
        unit_path=("省", "某校"), device="某机", device_known=True, description="", reasons=("因为",),
        falsepositives=(), triage="", steps=("一", "二", "三"), duty=Duty(contact="某老师"), techniques=(),
        graded_protection=(), evidence=(),
    )  # fmt: skip


def report(*cards: AlertCard, found: tuple[str, ...] = (), missing: bool = False) -> Report:
    label = Label(
        "sample", Path(), ("sample.pcap",), {"zh": "样例甲", "en": "sample A"}, True, ANCHOR, ANCHOR, 1, 0, {},
        (WANTED,), (Ban(Severity.HIGH),),
    )  # fmt: skip
    check = Check(
        Scene(label, "99", "校园网", 0), dict.fromkeys(found, WANTED), [WANTED] if missing else [], []
    )
    units = [UnitData("99", "某校", 7, AT, 0, silent=False), UnitData("98", "静校", 0, "", 183, silent=True)]
    return Report("zh", ANCHOR, cards, 2, [check], units, Counts(events=7, accepted=7), {"total": 1.0})


def test_serious_and_labelled_alerts_get_whole_cards_and_others_a_line() -> None:
    cards = (card(1, Severity.CRITICAL), card(2, Severity.LOW), card(3, Severity.LOW))
    lines = list(as_lines(report(*cards, found=("a2",))))
    assert "· 标题1" in lines
    assert "★ 标题2" in lines
    assert "  · 句子3" in lines
    assert not any("标题3" in line for line in lines)
    assert [line.strip() for line in lines if line.strip()[:2] in {"1.", "2.", "3."}] == [
        "1. 一",
        "2. 二",
        "3. 三",
    ] * 2
    assert lines.index("★ 标题2") < lines.index("  · 句子3")


def test_a_flood_of_small_alerts_is_cut_and_counted() -> None:
    lines = list(as_lines(report(*(card(number, Severity.LOW) for number in range(SHORT + 5)))))
    assert sum(line.startswith("  · 句子") for line in lines) == SHORT
    assert any("其余 5 条" in line for line in lines)


def test_what_is_missing_or_unread_fails_and_is_said() -> None:
    good = report(card(1, Severity.HIGH), found=("a1",))
    assert good.passed
    missing = report(card(1, Severity.HIGH), missing=True)
    assert not missing.passed
    text = "\n".join(as_lines(missing))
    assert "✗ [攻击] 样例甲 · 某校" in text
    assert "没有发现：beacon，设备 10.0.0.9，级别至少为高" in text
    unread = replace(good, counts=Counts(failures=["x.pcap: truncated"]))
    assert not unread.passed
    assert "x.pcap" in "\n".join(as_lines(unread))


def test_units_show_silence_and_gaps() -> None:
    text = "\n".join(as_lines(report()))
    assert "  · 某校：日志记录 7 条，最近 2026-11-24 13:00" in text
    assert "  ! 静校：日志记录 0 条，最近 —" in text
    assert "留存期内缺 183 天" in text


def test_programs_get_the_same() -> None:
    body = as_json(report(card(1, Severity.HIGH), card(2, Severity.LOW), found=("a1",)))
    assert body["passed"] is True
    assert body["closed"] == 2
    alerts = body["alerts"]
    assert isinstance(alerts, list)
    assert [(row["id"], row["labelled"]) for row in alerts] == [("a1", True), ("a2", False)]
