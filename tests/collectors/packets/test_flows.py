from __future__ import annotations

from pathlib import Path

import pytest

from collectors.opening import open_source
from collectors.packets import flows
from collectors.packets.flows import FlowWriter
from collectors.packets.machine import load_kernel
from collectors.packets.meter import Limits, Meter, Names, Row
from collectors.packets.reader import CaptureReader

CAPTURES = Path(__file__).parents[3] / "pcaps"
NAMES = (
    "tunnels.pcap.gz",
    "vlan.pcap.gz",
    "ipv6.pcap.gz",
    "fragments.pcap.gz",
    "webshell.pcapng",
    "mining.pcap",
)


def _records(path: Path) -> list[tuple[Row, Names]]:
    kernel = load_kernel()
    found: list[tuple[Row, Names]] = []
    with open_source(str(path)) as source:
        reader, meter = CaptureReader(source, kernel), Meter(kernel, Limits())
        for count in reader.chunks():
            for _ in meter.feed(reader, count):
                found += zip(meter.ended(), meter.names(), strict=True)
        for _ in meter.flush():
            found += zip(meter.ended(), meter.names(), strict=True)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_flow_reads_the_same_whatever_flows_came_before(name: str) -> None:
    records = _records(CAPTURES / name)
    writer = FlowWriter("2026-01-01T00:00:00.000000Z", {"organization.id": "unit"})
    for row, names in [*records, *reversed(records)]:
        alone = FlowWriter("2026-01-01T00:00:00.000000Z", {"organization.id": "unit"}).event(row, names)
        event = writer.event(row, names)
        assert list(event.items()) == list(alone.items())


def test_patterns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "_PATTERNS", 2)
    writer = FlowWriter("2026-01-01T00:00:00.000000Z", {})
    for row, names in _records(CAPTURES / "ipv6.pcap.gz"):
        writer.event(row, names)
        assert len(writer._patterns) <= 2
