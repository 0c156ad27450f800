"""Give every collector its default tests: a subclass names the collector and a golden sample, the rest comes for free.

Golden answers lie beside the samples as ``<sample>.expected.json``. After a wanted change write them anew with
``EDUSOC_UPDATE_GOLDEN=1 pytest tests/collectors`` and read the difference.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors import registry
from collectors.base import BATCH_EVENTS, Batch, Collector, ReadContext
from collectors.opening import open_bytes
from soc_core.clock import format_instant, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.event import BadRecord, Event

GOLDEN = Path(__file__).parent / "golden"
CONTEXT = ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="unit-1", zone="teaching")
ALWAYS = (
    "@timestamp", "event.id", "event.kind", "event.category", "event.type", "event.dataset", "event.created",
    "event.module", "organization.id", "edusoc.zone",
)  # fmt: skip
KINDS: dict[str, type | tuple[type, ...]] = {
    "keyword": str, "text": str, "date": str, "ip": str, "long": int, "double": (int, float), "boolean": bool,
}  # fmt: skip


def read_all(
    collector: Collector, data: bytes, context: ReadContext = CONTEXT
) -> tuple[list[Event], list[BadRecord], list[Batch]]:
    """Return all events, bad records and batches of ``data``."""
    with open_bytes(data) as source:
        batches = list(collector.read(source, context))
    return [e for b in batches for e in b.events], [r for b in batches for r in b.bad], batches


def assert_fits_dictionary(event: Event) -> None:
    """Assert that every field is in the dictionary, with the right type and in canonical form."""
    for name, value in event.items():
        assert name in FIELDS, f"{name} is not in the dictionary"
        field = FIELDS[name]
        assert isinstance(value, list) == field.multi, f"{name} is {value!r}"
        for item in value if isinstance(value, list) else [value]:
            assert isinstance(item, KINDS[field.type]), f"{name} is {value!r}"
            assert field.type == "boolean" or not isinstance(item, bool), f"{name} is {value!r}"
            if field.type == "date":
                assert format_instant(parse_instant(str(item))) == item
        assert value not in ([], ""), f"{name} is empty"


class CollectorTests:
    """Hold the tests; subclasses set the class variables."""

    name: ClassVar[str]
    samples: ClassVar[tuple[str, ...]] = ()

    def collector(self) -> Collector:
        return registry.collector(self.name)

    def sample(self, index: int = 0) -> bytes:
        return (GOLDEN / self.samples[index]).read_bytes()

    def inputs(self) -> list[bytes]:
        return [self.sample(index) for index in range(len(self.samples))]

    def test_golden(self) -> None:
        for sample in self.samples:
            events, bad, _ = read_all(self.collector(), (GOLDEN / sample).read_bytes())
            found = {
                "events": events,
                "bad": [[record.position, record.line, record.reason] for record in bad],
            }
            path = GOLDEN / f"{sample}.expected.json"
            if os.environ.get("EDUSOC_UPDATE_GOLDEN"):
                path.write_text(
                    json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
                )
            assert found == json.loads(path.read_text(encoding="utf-8"))

    def test_is_recognised_by_content(self) -> None:
        for data in self.inputs():
            with open_bytes(data, name="wrong-name.bin") as source:
                assert registry.recognise(source).name == self.name

    def test_events_fit_the_dictionary_and_are_complete(self) -> None:
        for data in self.inputs():
            events, _, _ = read_all(self.collector(), data)
            assert events
            for event in events:
                assert_fits_dictionary(event)
                assert [name for name in ALWAYS if name not in event] == []
                assert str(event["event.id"]).startswith(str(event["@timestamp"])[:10].replace("-", ""))

    def test_same_input_gives_same_events_and_ids_are_unique(self) -> None:
        for data in self.inputs():
            first, _, _ = read_all(self.collector(), data)
            second, _, _ = read_all(self.collector(), data)
            assert first == second
            assert len({event["event.id"] for event in first}) == len(first)

    def test_packed_gives_the_same_ids(self) -> None:
        for data in self.inputs():
            plain, _, _ = read_all(self.collector(), data)
            packed, _, _ = read_all(self.collector(), gzip.compress(data))
            assert plain == packed

    def test_units_and_zones_have_their_own_ids(self) -> None:
        ids = []
        for unit, zone in (("unit-1", "a"), ("unit-1", "b"), ("unit-2", "a")):
            context = replace(CONTEXT, organization_id=unit, zone=zone)
            events, _, _ = read_all(self.collector(), self.inputs()[0], context)
            ids.append({event["event.id"] for event in events})
        assert not ids[0] & ids[1]
        assert not ids[0] & ids[2]

    def test_original_is_left_out_when_not_wanted(self) -> None:
        events, _, _ = read_all(self.collector(), self.inputs()[0], replace(CONTEXT, keep_original=False))
        assert not [event for event in events if "event.original" in event]

    def test_truncation_keeps_what_is_whole(self) -> None:
        for data in self.inputs():
            whole, _, _ = read_all(self.collector(), data)
            ids = {event["event.id"] for event in whole}
            counts = []
            for cut in range(0, len(data), max(1, len(data) // 40)):
                events, _, _ = read_all(self.collector(), data[:cut])
                # At most the record that the cut goes through may look different.
                assert len([event for event in events if event["event.id"] not in ids]) <= 1
                counts.append(len(events))
            assert counts == sorted(counts)

    # Subclasses share the method; without a database of examples that is harmless.
    @settings(
        max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(st.binary(max_size=300), st.data())
    def test_garbage_raises_nothing(self, junk: bytes, draw: st.DataObject) -> None:
        data = draw.draw(st.sampled_from(self.inputs()))[:6000]
        place = draw.draw(st.integers(0, len(data)))
        for bytes_ in (
            junk,
            data[:place] + junk + data[place:],
            data[:place] + junk + data[place + len(junk) :],
        ):
            events, bad, batches = read_all(self.collector(), bytes_ or b"\n")
            for event in events:
                assert_fits_dictionary(event)
            assert all(len(record.raw) <= 4096 and record.reason for record in bad)
            assert all(len(batch.events) <= BATCH_EVENTS for batch in batches)

    def test_empty_and_blank_give_nothing(self) -> None:
        for data in (b"\n", b"\r\n\r\n", b" ", b"\0" * 1000):
            events, _, _ = read_all(self.collector(), data)
            assert events == []


class TextCollectorTests(CollectorTests):
    """Add what holds for collectors of lines and JSON."""

    def test_growing_adds_only_new_ids(self) -> None:
        for data in self.inputs():
            lines = data.splitlines(keepends=True)
            short, _, _ = read_all(self.collector(), b"".join(lines[: len(lines) // 2]))
            whole, _, _ = read_all(self.collector(), data)
            assert {e["event.id"] for e in short} <= {e["event.id"] for e in whole}

    def test_windows_line_ends_change_no_field(self) -> None:
        for data in self.inputs():
            if b"\0" in data:
                continue
            first, _, _ = read_all(self.collector(), data)
            second, _, _ = read_all(self.collector(), data.replace(b"\n", b"\r\n"))
            ids = {"event.id", "event.original"}
            strip = [
                [{k: v for k, v in e.items() if k not in ids} for e in events] for events in (first, second)
            ]
            assert strip[0] == strip[1]

    def test_utf16_gives_the_same_fields(self) -> None:
        data = self.inputs()[0]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            pytest.skip("the sample is mixed text")
        first, _, _ = read_all(self.collector(), data)
        second, _, _ = read_all(self.collector(), b"\xff\xfe" + text.encode("utf-16-le"))
        assert first == second
