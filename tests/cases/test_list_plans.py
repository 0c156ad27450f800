"""Lists of alerts are read from indices on every kind of database (decision 0008), seen in what its planner says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Select, insert, text

from cases.alerts.model import OPEN
from cases.alerts.repository import AlertFilter, _plans
from cases.alerts.tables import alerts
from soc_core.clock import format_instant
from soc_core.model.detection import Severity
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.state.database import Database
from tests.conftest import NOW

ALERTS = 20_000
UNITS = 20
FILTERS = {
    "all": AlertFilter(),
    "open": AlertFilter(statuses=tuple(OPEN)),
    "severity": AlertFilter(severities=(Severity.LOW,)),
    "address": AlertFilter(address="10.0.1.17"),
    "help": AlertFilter(help_wanted=True),
}


@pytest.fixture
def asking(database: Database) -> Iterator[tuple[Connection, list[str]]]:
    """Return a connection to many alerts, and the units they are of."""
    chance = random.Random(7)
    with database.write() as connection:
        units = [
            put_unit(connection, [Attribute("code", f"S{number}"), Attribute("name", "校")], {}, now=NOW)
            for number in range(UNITS)
        ]
        rows = [_row(number, chance.choice(units), chance) for number in range(ALERTS)]
        connection.execute(insert(alerts), rows)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))
    with database.read() as connection:
        if database.is_postgresql:
            # So few alerts it would read through; a million it would not. What counts is that the indices serve.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        yield connection, units


def _row(number: int, unit: str, chance: random.Random) -> dict[str, object]:
    rank = chance.randrange(5)
    at = format_instant(NOW)[:-8] + f".{chance.randrange(10**6):06d}Z"
    return {
        **dict.fromkeys(("kind", "entity_kind", "entity_zone", "rule_id", "rule_kind"), "x"),
        **dict.fromkeys(("first_seen", "last_seen", "created_at", "updated_at"), at),
        "id": f"a{number}",
        "organization_id": unit,
        "entity_value": f"10.0.{chance.randrange(4)}.{chance.randrange(255)}",
        "severity": rank,
        "priority": 14 * rank + chance.randrange(6),
        "status": "new" if chance.random() < 0.05 else "closed",
        "help_wanted": chance.random() < 0.001,
    }


def explained(connection: Connection, question: Select[tuple[object, ...]]) -> str:
    """Return what the planner will do."""
    compiled = question.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True, "literal_binds": True}
    )
    how = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{how} {compiled}"))


def test_no_list_reads_all_alerts(asking: tuple[Connection, list[str]]) -> None:
    connection, units = asking
    for name, wanted in FILTERS.items():
        for ids in (None, frozenset(units), frozenset(units[:1])):
            for question in _plans(connection, ids, wanted, [], 50):
                plan = explained(connection, question)
                assert re.search(r"ix_alerts_\w+", plan), f"{name}: {plan}"
                assert not re.search(r"Seq Scan on alerts|SCAN (alerts|shown)$", plan, re.MULTILINE), plan
