"""A log of a server that is read piece by piece, as it grows, gives the events that reading it once gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors import registry
from collectors.base import Collector, Reached, Resume
from collectors.live.files.content import PartSource
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, GOLDEN, read_all

SAMPLES = {
    "auditd.log": "auditd",
    "dhcp_windows.log": "dhcp",
    "dhcpd.leases": "dhcp",
    "dns_bind.log": "dns_query",
    "dns_unbound.log": "dns_query",
    "dns_windows.log": "dns_query",
    "dnsmasq.log": "dns_query",
    "iis.log": "iis",
    "kea.log": "dhcp",
    "kea_leases4.csv": "dhcp",
    "mysql_audit.json": "mysql",
    "mysql_error.log": "mysql",
    "mysql_general.log": "mysql",
    "mysql_percona.csv": "mysql",
    "mysql_percona.xml": "mysql",
    "mysql_server_audit.log": "mysql",
    "postgresql.csv": "postgresql",
    "postgresql.json": "postgresql",
    "postgresql.log": "postgresql",
    "radius.log": "radius",
    "radius_detail.log": "radius",
    "web_error_apache.log": "web_error",
}


def piece(collector: Collector, head: bytes, data: bytes, resume: Resume) -> tuple[list[Event], Reached]:
    """Return the events of a part and how far it came."""
    batches = list(collector.read(PartSource("x", head, data, resume, 0.0), CONTEXT))
    assert batches[-1].reached is not None
    return [event for batch in batches for event in batch.events], batches[-1].reached


def in_pieces(collector: Collector, data: bytes, lines_each: int) -> list[Event]:
    """Read ``data`` in pieces of some lines; return the events as a store keeps them, one of each id."""
    lines = data.splitlines(keepends=True)
    found: dict[object, Event] = {}
    resume = Resume(more=True)
    headers: dict[bytes, bytes] = {}
    for upto in range(lines_each, len(lines) + lines_each, lines_each):
        end = sum(map(len, lines[:upto]))
        if upto >= len(lines):
            resume = replace(resume, more=False)
        events, reached = piece(collector, data[:65_536], data[resume.position : end], resume)
        for event in events:
            assert found.setdefault(event["event.id"], event) == event, "the same id with other content"
        headers.update({key: data[place : place + size] for key, (place, size) in reached.headers.items()})
        first = resume.first_record
        if reached.first is not None and not first:
            place, size = reached.first
            first = data[place : place + size]
        resume = Resume(reached.position, 1, first, tuple(headers.values()), more=True)
    return list(found.values())


@pytest.mark.parametrize("sample", sorted(SAMPLES))
@pytest.mark.parametrize("lines_each", [1, 3, 7])
def test_pieces_give_what_the_whole_gives(sample: str, lines_each: int) -> None:
    collector = registry.collector(SAMPLES[sample])
    data = (GOLDEN / sample).read_bytes()
    whole, _, _ = read_all(collector, data)
    pieces = in_pieces(collector, data, lines_each)
    key = lambda event: str(event["event.id"])  # noqa: E731 - sorts both sides alike
    assert sorted(pieces, key=key) == sorted(whole, key=key)
