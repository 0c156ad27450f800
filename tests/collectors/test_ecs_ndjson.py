from __future__ import annotations

from dataclasses import replace

import orjson

from collectors.ecs_ndjson import EcsNdjson
from collectors.nesting import nest
from collectors.suricata import Suricata
from tests.collectors.base import CONTEXT, GOLDEN, TextCollectorTests, read_all


class TestEcsNdjson(TextCollectorTests):
    name = "ecs_ndjson"
    samples = ("ecs.json",)


def test_values_take_the_types_of_the_dictionary() -> None:
    events, bad, _ = read_all(EcsNdjson(), (GOLDEN / "ecs.json").read_bytes())
    event = events[0]
    assert event["event.category"] == ["authentication"]
    assert event["source.port"] == 443
    assert event["dns.answers.data"] == ["203.0.113.8", "203.0.113.9"]
    assert event["edusoc.extra"] == ["own.field=1", "own.field=2", "process.pid=many", "event.id=abc"]
    assert [record.line for record in bad] == [4]


def test_own_export_comes_back_unchanged() -> None:
    events, _, _ = read_all(Suricata(), (GOLDEN / "suricata.json").read_bytes())
    for flat in (True, False):
        export = b"\n".join(orjson.dumps(event if flat else nest(event)) for event in events)
        again, bad, _ = read_all(EcsNdjson(), export)
        assert bad == []
        assert again == events


def test_export_of_one_unit_can_be_imported_for_another() -> None:
    events, _, _ = read_all(Suricata(), (GOLDEN / "suricata.json").read_bytes())
    lines = [orjson.dumps(event) for event in events]
    other = replace(CONTEXT, organization_id="unit-2")
    once, _, _ = read_all(EcsNdjson(), b"\n".join(lines), other)
    overlapping, _, _ = read_all(EcsNdjson(), b"\n".join(lines[3:]), other)
    assert {e["event.id"] for e in overlapping} < {e["event.id"] for e in once}
    assert not {e["event.id"] for e in events} & {e["event.id"] for e in once}
    assert {e["organization.id"] for e in once} == {"unit-2"}
