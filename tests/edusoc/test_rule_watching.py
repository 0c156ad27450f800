"""Rules change while the pipeline runs: no event is lost or seen twice, and what is broken is not taken over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cases.alerts.tables import alerts
from detectors.sigma.judging import SAMPLED
from edusoc.composition import Writer, open_writer
from intake.health import Findings
from intake.rules.archives import collect
from intake.rules.counting import costs_of
from intake.rules.library import Shelf
from intake.rules.model import RuleState
from intake.rules.repository import SettingChange, change_setting
from intake.rules.running import list_runs
from intake.rules.sets import RuleSetInfo
from soc_core import i18n
from soc_core.clock import format_instant
from soc_core.config import Settings
from soc_core.errors import EdusocError
from soc_core.model.event import Event, make_event_id
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.store.interface import SYSTEM_SCOPE
from tests.conftest import NOW
from tests.detectors.sigma.base import rule_text

FIRST = "11111111-2222-4333-8444-555555555551"
SECOND = "11111111-2222-4333-8444-555555555552"


def rule(word: str, identity: str, *, level: str = "high", status: str = "test") -> str:
    text = rule_text(f"s:\n  event.action: {word}\ncondition: s", identity=identity)
    lines = [line for line in text.splitlines() if not line.startswith(("level:", "status:", "title:"))]
    return "\n".join([*lines, f"title: Finds {word}", f"level: {level}", f"status: {status}", ""])


class Site:
    """Hold a running pipeline whose rules lie in a folder."""

    def __init__(self, writer: Writer, rules: Path, unit: str) -> None:
        self.writer, self.rules, self.unit, self.number = writer, rules, unit, 0

    def happen(self, *words: str) -> None:
        made: list[Event] = []
        for word in words:
            self.number += 1
            at = format_instant(NOW + timedelta(seconds=self.number))
            made.append(
                {
                    "@timestamp": at,
                    "event.id": make_event_id(at, b"t", self.number, b""),
                    "event.dataset": "test",
                    "event.action": word,
                    "source.ip": f"10.0.0.{self.number}",
                }
            )
        self.writer.pipeline.take(made, organization_id=self.unit, zone="default")
        self.writer.pipeline.advance()

    def found(self) -> list[str]:
        with self.writer.database.read() as connection:
            return sorted(connection.scalars(select(alerts.c.rule_id)))

    def fault(self) -> str:
        with self.writer.database.read() as connection:
            return list_runs(connection)[0].fault


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "first.yml").write_text(rule("one", FIRST))
    settings = replace(Settings(), state=str(tmp_path / "state"), rules=str(rules))
    with open_writer(settings, lambda: NOW) as writer:
        with writer.database.write() as connection:
            unit = put_unit(connection, [Attribute("code", "S1"), Attribute("name", "学校")], {}, now=NOW)
        writer.watch.look()  # rules know of the units
        yield Site(writer, rules, unit)


def test_a_new_rule_alerts_without_restart(site: Site) -> None:
    site.happen("one", "two")
    assert site.found() == [FIRST]
    assert not site.writer.watch.look()
    (site.rules / "second.yml").write_text(rule("two", SECOND))
    assert site.writer.watch.look()
    site.happen("two", "one")
    assert site.found() == [FIRST, FIRST, SECOND]
    assert site.writer.pipeline.progress.examined == 4


def test_a_rule_broken_by_an_edit_goes_on_as_it_was(site: Site) -> None:
    whole = (site.rules / "first.yml").read_text()
    (site.rules / "first.yml").write_text(whole.replace("condition: s", "condition: s and ("))
    (site.rules / "second.yml").write_text(rule("two", SECOND))
    for _ in range(2):
        assert not site.writer.watch.look()
    assert "first.yml" in site.fault()
    site.happen("one", "two")
    assert site.found() == [FIRST]
    (site.rules / "first.yml").write_text(whole)
    assert site.writer.watch.look()
    assert site.fault() == ""
    site.happen("one", "two")
    assert site.found() == [FIRST, FIRST, SECOND]


def test_an_edit_taken_back_is_in_order_again(site: Site) -> None:
    file = site.rules / "first.yml"
    whole, times = file.read_bytes(), file.stat()
    file.write_bytes(b"title: [")
    assert not site.writer.watch.look()
    assert site.fault()
    file.write_bytes(whole)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    site.writer.watch.look()
    assert site.fault() == ""


def test_an_empty_folder_leaves_the_rules(site: Site) -> None:
    (site.rules / "first.yml").unlink()
    assert not site.writer.watch.look()
    assert site.fault() == "no rule is left"
    site.happen("one")
    assert site.found() == [FIRST]


@pytest.mark.parametrize("error", [EdusocError("no room"), RecursionError("no room"), MemoryError("no room")])
def test_detectors_that_cannot_be_built_leave_the_old_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_rules: object) -> None:
        raise error

    monkeypatch.setattr(site.writer.watch, "_build", refuse)
    (site.rules / "second.yml").write_text(rule("two", SECOND))
    assert not site.writer.watch.look()
    assert site.fault() == "no room"
    site.happen("one", "two")
    assert site.found() == [FIRST]


def test_imported_rules_start_silent_unless_tested_and_high(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "foreign"
    source.mkdir()
    (source / "a.yml").write_text(rule("two", SECOND))
    (source / "b.yml").write_text(rule("three", SECOND[:-1] + "3", level="medium"))
    (source / "c.yml").write_text(rule("four", SECOND[:-1] + "4", status="experimental"))
    (source / "d.yml").write_text(rule("five", FIRST))  # an id of ours: ours wins
    sets = site.writer.watch.library.sets
    digest, _folder = sets.stage("foreign", collect(source))
    sets.put(RuleSetInfo("foreign", "folder", str(source), digest, format_instant(NOW), "x"))
    assert site.writer.watch.look()
    site.happen("one", "two", "three", "four", "five")
    assert site.found() == [FIRST, SECOND]
    sets.remove("foreign")
    assert site.writer.watch.look()
    site.happen("two")
    assert site.found() == [FIRST, SECOND]


def test_a_rule_that_is_off_everywhere_is_not_evaluated(site: Site) -> None:
    for state in (RuleState.OFF, RuleState.ON):
        change = SettingChange(FIRST, "", "x", "why", frozenset({"state"}), state)
        with site.writer.database.write() as connection:
            change_setting(connection, SYSTEM_SCOPE, change, now=NOW)
        assert site.writer.watch.look()
        before = site.writer.pipeline.progress.detections
        site.happen("one")
        assert site.writer.pipeline.progress.detections - before == (state is RuleState.ON)


def test_what_rules_cost_is_added_up(site: Site) -> None:
    # A rule that compares fields is judged for each event; verdicts of others are remembered and cost nothing.
    text = (site.rules / "first.yml").read_text()
    compared = text.replace("event.action: one", "event.action: one\n    event.action|fieldref: event.action")
    (site.rules / "first.yml").write_text(compared)
    assert site.writer.watch.look()
    for _ in range(3):
        site.happen(*["one"] * SAMPLED)
        site.writer.watch.note_costs()
    with site.writer.database.read() as connection:
        found = costs_of(connection)
    assert found[FIRST][1] >= SAMPLED
    assert found[FIRST][0] > 0
    site.writer.watch.note_costs()
    with site.writer.database.read() as connection:
        assert costs_of(connection) == found


def test_broken_rules_are_an_alert(site: Site) -> None:
    watch = site.writer.watch
    watch.findings = Findings(site.writer.pipeline, lambda: NOW, lambda: site.unit)
    (site.rules / "first.yml").write_text("title: [")
    assert not watch.look()
    site.writer.pipeline.advance()
    assert site.found() == ["health.rules_broken"]
    i18n.load("cases")
    assert i18n.text("cases.kinds.rules_broken.title", "zh") == "规则文件有误，新规则没有启用"


def test_a_file_mended_while_the_broken_one_is_read_is_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, watch = site.rules / "first.yml", site.writer.watch
    whole = file.read_text()
    load = watch.library.load

    def load_then_mend() -> Shelf:
        shelf = load()
        file.write_text(whole + "# mended\n")
        return shelf

    file.write_text(whole.replace("condition: s", "condition: s and ("))
    monkeypatch.setattr(watch.library, "load", load_then_mend)
    assert not watch.look()
    monkeypatch.setattr(watch.library, "load", load)
    assert watch.look()
    assert site.fault() == ""
