"""SQL over an export finds what the matcher finds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from detectors.sigma import load_rules
from detectors.sigma.conversion import Options, convert, write
from detectors.sigma.conversion.sql import to_sql
from detectors.sigma.mapping import bundled_rules
from detectors.sigma.matcher import Matcher
from detectors.sigma.samples import read_cases
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event, make_event_id
from soc_core.query.tree import OneOf, Range, Text
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.exporting import export_events
from soc_core.store.interface import SYSTEM_SCOPE, Search

BEGIN, END = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def samples() -> list[Event]:
    found: list[Event] = []
    for path in sorted(bundled_rules().rglob("*.samples.yml")):
        for case in read_cases(path):
            for event in case.events:
                name = make_event_id(str(event[TIMESTAMP]), b"sample", len(found), b"")
                found.append({**event, EVENT_ID: name, "organization.id": "u", "edusoc.zone": "default"})
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    place = tmp_path_factory.mktemp("sql")
    store = EmbeddedStore(place / "events", writer=True)
    try:
        assert store.append(samples()).rejected == ()
        everything = Search(SYSTEM_SCOPE, BEGIN, END)
        export_events(store, everything, place / "export", {})
        return place / "export", [event for batch in store.scan(everything) for event in batch]
    finally:
        store.close()


def test_finds_what_the_matcher_finds(exported: tuple[Path, list[Event]]) -> None:
    folder, events = exported
    rules = load_rules([bundled_rules()])
    options = Options("sql", str, folder=str(folder))
    found = list(convert(rules, options))
    converted = {one.head.id for one in found if one.text}
    assert len(converted) >= 80
    matcher = Matcher([rule for rule in rules.rules if rule.id in converted])
    expected = {(rule.id, event[EVENT_ID]) for event in events for rule in matcher.match(event)}
    preamble, *statements = write(found, options).split(";\n")
    connection = duckdb.connect()
    connection.execute(preamble)
    connection.execute("CREATE TABLE held AS SELECT * FROM events; DROP VIEW events")
    connection.execute("ALTER TABLE held RENAME TO events")  # read once
    got = set()
    for statement in filter(str.strip, statements):
        relation = connection.sql(statement)
        got |= set(relation.project(f'rule_id, "{EVENT_ID}"').fetchall())
    assert got == expected
    assert len({rule for rule, _ in got}) >= 80


def test_values_are_written_out() -> None:
    assert to_sql(OneOf("user.name", ("o'hara?",))).condition == "(lower(\"user.name\") IN ('o''hara?'))"
    assert "lower(substr(v, 7)) IN ('1')" in to_sql(OneOf("other", ("1",))).condition
    many = to_sql(OneOf("user.name", tuple(f"u{number}" for number in range(40)))).condition
    assert "unnest(['u0', 'u1'" in many
    assert to_sql(Range("destination.port", gt=5)).condition == '("destination.port" > 5)'


def test_what_sql_cant_say_is_named() -> None:
    (reason,) = to_sql(Range("user.name", gt=5, numeric=True)).reasons
    assert reason.key == "detectors.sigma.problem.convert_number"
    assert to_sql(Text("user.name", "contains", "x")).reasons == ()
