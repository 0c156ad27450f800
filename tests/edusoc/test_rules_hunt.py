"""Hunt through history by ``edusoc rules hunt``: what is told, what becomes an alert, and when nobody else writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from cases.alerts.tables import alerts
from edusoc.composition import Writer, open_writer
from soc_core.clock import utc_now
from soc_core.config import Settings
from soc_core.organisations.repository import load_tree, today
from tests.edusoc.test_rule_watching import FIRST, SECOND, Site, rule
from tests.edusoc.test_rules_life import SCHOOL, Shell
from tests.edusoc.test_rules_life import shell as shell  # noqa: PLC0414 # a fixture

Open = Callable[[], AbstractContextManager[Writer]]
HUNT = ("rules", "hunt", SECOND, "--days", "4000")


@pytest.fixture
def opened(shell: Shell) -> Open:
    """Have a history in which the new rule would have fired twice, and say how its store is opened for writing."""
    rules = shell.folder / "rules"
    settings = replace(Settings(), state=str(shell.folder / "state"), rules=str(rules))
    with open_writer(settings) as writer:
        with writer.database.read() as connection:
            unit = load_tree(connection, today(utc_now())).find(SCHOOL).id
        Site(writer, rules, unit).happen("two", "three", "two")
    (rules / "second.yml").write_text(rule("two", SECOND))
    return lambda: open_writer(settings)


def alerts_of(opened: Open) -> list[str]:
    with opened() as writer, writer.database.read() as connection:
        return list(connection.scalars(select(alerts.c.rule_id)))


def test_a_hunt_tells_and_stores_nothing(shell: Shell, opened: Open) -> None:
    [told] = shell.rows(*HUNT)
    [found] = told["rules"]
    assert (found["id"], found["detections"], found["known"]) == (SECOND, 2, 0)
    assert [one["detections"] for one in found["units"]] == [2]
    assert SECOND in shell.run(*HUNT, "--organisation", SCHOOL)
    assert alerts_of(opened) == []


def test_what_is_found_becomes_alerts_once(shell: Shell, opened: Open) -> None:
    assert shell.rows(*HUNT, "--open-alerts")[0]["rules"][0]["known"] == 0
    assert alerts_of(opened) == [SECOND, SECOND]
    assert shell.rows(*HUNT, "--open-alerts")[0]["rules"][0]["known"] == 2
    assert alerts_of(opened) == [SECOND, SECOND]


def test_what_is_off_becomes_no_alert(shell: Shell, opened: Open) -> None:
    shell.run("rules", "off", SECOND, "--organisation", SCHOOL, "--reason", "x")
    assert shell.rows(*HUNT, "--open-alerts")[0]["rules"][0]["detections"] == 2
    assert alerts_of(opened) == []


def test_no_alerts_are_opened_while_another_writes(shell: Shell, opened: Open) -> None:
    with opened():
        assert "writes here already" in shell.run(*HUNT, "--open-alerts", code=3)
        assert shell.rows(*HUNT)[0]["rules"][0]["detections"] == 2
    assert alerts_of(opened) == []


def test_rules_that_are_nowhere_or_broken_are_told(shell: Shell, tmp_path: Path) -> None:
    assert "there is no rule" in shell.run("rules", "hunt", "nothing", code=2)
    assert "--from" in shell.run("rules", "hunt", FIRST, "--from", "2026-11-21", "--to", "2026-11-20", code=2)
    broken = tmp_path / "broken.yml"
    broken.write_text(rule("two", SECOND).replace("condition: s", "condition: s and ("))
    assert "broken.yml" in shell.run("rules", "hunt", str(broken), code=1)
