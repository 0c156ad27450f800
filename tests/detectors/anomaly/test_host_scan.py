"""Horizontal scans are found, slow ones too; discovery, dead servers and broken IPv6 are not."""

from __future__ import annotations

import pytest

from detectors.anomaly.host_scan import HostScan
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker, judge, names

WORM = "192.168.1.66"


def sweep(
    hosts: int,
    port: int = 445,
    *,
    step: float = 0.2,
    answered: int = 0,
    net: str = "192.168.2",
    source: str = WORM,
    start: float = 60,
    transport: str = "tcp",
) -> list[Event]:
    maker = Maker()
    return [
        maker.flow(
            start + step * n,
            source,
            f"{net}.{n + 1}",
            port,
            answered=n < answered,
            network__transport=transport,
        )
        for n in range(hosts)
    ]


def test_a_sweep_for_file_shares_is_high() -> None:
    (found,) = judge(HostScan(), sweep(40, answered=5))
    assert (found.kind, found.entity.value, found.peer) == ("host_scan", WORM, "")
    assert found.severity is Severity.HIGH
    assert names([found]) == {"hosts", "remote", "answered"}
    assert found.count == 40


@pytest.mark.parametrize(
    ("events", "severity"),
    [
        (sweep(12), Severity.MEDIUM),
        (sweep(20, 8_000), Severity.MEDIUM),
        (sweep(30, 8_000), Severity.HIGH),
        (sweep(30, 22, net="203.0.113"), Severity.HIGH),
        (sweep(30, 6_000, net="203.0.113"), Severity.MEDIUM),
        (sweep(30, 443, net="203.0.113"), Severity.MEDIUM),
        (sweep(40, source="203.0.113.5"), Severity.LOW),
        (sweep(40, 0, transport="icmp"), Severity.MEDIUM),
    ],
    ids=["few", "other port", "many", "remote access outside", "outside", "web", "from outside", "ping"],
)
def test_the_level_follows_port_side_and_number(events: list[Event], severity: Severity) -> None:
    (found,) = judge(HostScan(), events)
    assert found.severity is severity


def test_a_sweep_of_many_ports_tells_ten_and_counts_the_rest() -> None:
    maker = Maker()
    events = [
        maker.flow(60 + host, WORM, f"192.168.2.{host + 1}", 1_000 + port, answered=False)
        for port in range(25)
        for host in range(30 + port)
    ]
    found = judge(HostScan(), events)
    assert len(found) == 10
    counts = [
        dict(reason.values) for item in found for reason in item.reasons if reason.key.endswith("others")
    ]
    assert counts == [{"count": 15}]
    assert min(item.count for item in found) == 45  # the ten with the most hosts


def test_a_slow_sweep_over_five_hours_is_found_once() -> None:
    (found,) = judge(HostScan(), sweep(16, start=1_800, step=1_000))
    assert found.count >= 10


def test_every_tenth_host_without_answer_is_no_scan() -> None:
    assert judge(HostScan(), sweep(100, answered=90)) == []


@pytest.mark.parametrize("port", [1900, 5353, 5355, 6881, 27036, 7680, 137])
def test_discovery_and_bittorrent_are_left_out(port: int) -> None:
    assert judge(HostScan(), sweep(60, port)) == []


def test_dead_web_servers_through_the_day_are_no_scan() -> None:
    assert judge(HostScan(), sweep(60, 443, net="203.0.113", step=120)) == []


def test_broken_ipv6_is_no_scan() -> None:
    maker = Maker()
    six = [maker.flow(n, WORM, f"2001:db8::{n + 1:x}", 443, answered=False) for n in range(40)]
    four = sweep(40, 443, net="203.0.113", answered=40, start=0, step=1)
    assert judge(HostScan(), six + four) == []
    assert len(judge(HostScan(), six)) == 1


def test_broadcast_and_multicast_are_nobody() -> None:
    maker = Maker()
    events = [maker.flow(n, WORM, f"192.168.{n}.255", 5000, answered=False) for n in range(30)]
    events += [maker.flow(n, WORM, f"239.1.1.{n}", 5000, answered=False) for n in range(30)]
    assert judge(HostScan(), events) == []


def test_answers_that_took_another_way_are_no_failures() -> None:
    events = sweep(40, 443, net="203.0.113")
    for event in events:
        event["edusoc.flow.tcp_flags_source"] = "SAPF"
        event["source.packets"] = 8
    assert judge(HostScan(), events) == []
