"""The demo as a user runs it: labels hold, both languages speak, a second run adds nothing, nor does kill -9."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import RowMapping

from soc_core.clock import format_instant, parse_instant
from tests.demo_run import ROOT, DemoRun, demo_command, environment, run_demo

pytestmark = pytest.mark.slow
SMALL = ("ssh_bruteforce", "dns_tunnel", "host_scan")


@dataclass(frozen=True)
class Contents:
    """All of a state without ids: unit ids are drawn anew in each installation, and other ids follow from them."""

    events: list[tuple[str, ...]]
    alerts: list[tuple[str, ...]]
    detections: list[tuple[str, ...]]


@dataclass(frozen=True)
class Ran:
    """Two runs of the whole demo on one state: the first tells people in Chinese, the second programs in English."""

    first: subprocess.CompletedProcess[str]
    before: Contents
    second: subprocess.CompletedProcess[str]
    after: Contents
    report: Any


@pytest.fixture(scope="module")
def ran(demo_run: DemoRun, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    again = tmp_path_factory.mktemp("again") / "state"
    shutil.copytree(demo_run.state, again)
    second = run_demo(again, "--json", "--language", "en")
    assert second.stdout, second.stderr
    return Ran(demo_run.ended, contents(demo_run.state), second, contents(again), json.loads(second.stdout))


def test_every_label_holds(ran: Ran) -> None:
    wrong = [check for check in ran.report["checks"] if not check["passed"]]
    assert wrong == []
    assert ran.report["passed"]
    assert ran.first.returncode == ran.second.returncode == 0, ran.first.stdout
    assert sum(check["attack"] for check in ran.report["checks"]) >= 15
    assert sum(not check["attack"] for check in ran.report["checks"]) >= 3


def test_a_second_run_adds_nothing(ran: Ran) -> None:
    assert ran.after == ran.before
    assert ran.report["counts"]["accepted"] == 0
    assert ran.report["counts"]["duplicates"] == ran.report["counts"]["events"] > 20_000


def test_every_event_is_marked_and_today_is_now(ran: Ran) -> None:
    anchor = format_instant(datetime.fromisoformat(ran.report["anchor"]))
    assert all("edusoc.demo=True" in event for event in ran.before.events)
    times = [field for event in ran.before.events for field in event if field.startswith("@timestamp=")]
    assert max(times) <= f"@timestamp={anchor}"
    assert min(times) < f"@timestamp={format_instant(parse_instant(anchor) - timedelta(days=183))}"
    yesterday = format_instant(parse_instant(anchor) - timedelta(days=1))
    fresh = [alert for alert in ran.report["alerts"] if alert["labelled"] and alert["last_seen"] > yesterday]
    assert len(fresh) >= 5


def test_every_alert_can_be_acted_on(ran: Ran) -> None:
    labelled = [alert for alert in ran.report["alerts"] if alert["labelled"]]
    assert len(labelled) >= 15
    for alert in labelled:
        assert alert["unit"]
        assert alert["device"]
        assert alert["what"]
        assert alert["why"], alert
        assert len(alert["do"]) == 3, alert
        words = [alert["title"], *alert["why"], *alert["do"]]
        assert not any(part in text for text in words for part in ("detectors.", "cases.", "{")), alert
        assert not any("\u4e00" <= letter <= "\u9fff" for text in words for letter in text), alert


def test_the_model_of_usual_flows_takes_part(ran: Ran) -> None:
    hints = [alert for alert in ran.report["alerts"] if alert["kind"] == "unusual_flow"]
    assert hints
    assert {alert["severity"] for alert in hints} <= {"low", "medium"}
    assert "192.168.30.30" in {alert["entity"] for alert in hints}  # the file server that sends much data out


def test_units_show_silence_and_gaps(ran: Ran) -> None:
    units = {unit["code"]: unit for unit in ran.report["units"]}
    assert [code for code, unit in units.items() if unit["silent"]] == ["9912100005"]
    assert units["9912100002"]["days_missing"] == 22
    assert units["9912100001"]["days_missing"] == 0
    assert all(unit["events"] > 200 for unit in units.values())


def test_the_chinese_summary_says_what_it_is_and_what_to_do(ran: Ran) -> None:
    for words in (
        "演示数据", "不出具测评结论", "未经网络安全专用产品认证/检测", "请这样做：", "为什么这么判断：", "谁负责：",
        "没有数据，请检查采集", "留存期内缺 22 天", "核对通过",
    ):  # fmt: skip
        assert words in ran.first.stdout


def contents(state: Path) -> Contents:
    """Return all events, alerts and detections."""
    from sqlalchemy import select

    from cases.alerts.tables import alerts, detections
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today
    from soc_core.state.database import Database
    from soc_core.store.embedded import EmbeddedStore
    from soc_core.store.interface import SYSTEM_SCOPE, Search

    database = Database.in_directory(state)
    store = EmbeddedStore(state / "events", writer=False)
    with database.read() as connection:
        codes = {unit.id: unit.code for unit in load_tree(connection, today(utc_now())).units.values()}
        rows = connection.execute(select(alerts)).mappings().all()
        numbers = connection.execute(select(detections)).mappings().all()
    everything = Search(SYSTEM_SCOPE, parse_instant("2000-01-01"), parse_instant("2100-01-01"))
    ours = ("event.id", "event.ingested", "organization.id", "edusoc.source")
    events = sorted(
        (
            codes[str(event["organization.id"])],
            *(f"{name}={event[name]}" for name in sorted(event) if name not in ours),
        )
        for batch in store.scan(everything)
        for event in batch
    )
    store.close()
    database.close()
    named = ("kind", "entity_zone", "entity_value", "severity", "priority", "first_seen", "last_seen")
    counted = (*named, "detection_count", "event_count", "status", "close_reason")
    single = (
        "kind",
        "entity_value",
        "peer",
        "severity",
        "score",
        "first_seen",
        "last_seen",
        "count",
        "rule_id",
    )

    def said(found: Sequence[RowMapping], names: Sequence[str]) -> list[tuple[str, ...]]:
        return sorted((codes[row["organization_id"]], *(str(row[name]) for name in names)) for row in found)

    return Contents(events, said(rows, counted), said(numbers, single))


def killed_after(state: Path, stage: str, *arguments: str) -> None:
    """Run the demo and kill it as soon as it says that ``stage`` is done."""
    process = subprocess.Popen(
        demo_command(state, *arguments), cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process:
        for line in process.stderr:
            if stage in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


def test_kill_nine_and_again_gives_the_same_as_once(tmp_path: Path) -> None:
    arguments = ("--language", "en", *(part for name in SMALL for part in ("--scenario", name)))
    whole = run_demo(tmp_path / "once", *arguments)
    assert whole.returncode == 0, whole.stdout
    for words in ("Alerts · demo data", "What to do:", "Why we think so:", "[attack]", "Checked:"):
        assert words in whole.stdout
    (tmp_path / "killed").mkdir()
    shutil.copy(
        tmp_path / "once" / "demo.json", tmp_path / "killed"
    )  # the same anchor, also across a full hour
    for stage in ("importing history", "importing captures"):
        killed_after(tmp_path / "killed", stage, *arguments)
    again = run_demo(tmp_path / "killed", *arguments)
    assert again.returncode == 0, again.stdout
    once, killed = contents(tmp_path / "once"), contents(tmp_path / "killed")
    assert len(once.events) > 5_000
    assert len(once.alerts) >= len(SMALL)
    assert killed == once


def test_a_busy_port_is_said_before_any_work(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "edusoc", "demo", "--port", port, "--state", str(tmp_path / "s")],
            cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s").exists()
