"""Tunnels that send, and tunnels that fetch, are found; antivirus, content networks and crawls are not."""

from __future__ import annotations

import base64
import random

import pytest

from detectors.anomaly import dns_tunnel
from detectors.anomaly.dns_tunnel import DnsTunnel, looks_like_tunnel
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker, judge, names

CLIENT = "192.168.1.66"


def label(chooser: random.Random, size: int) -> str:
    return base64.b32encode(chooser.randbytes(size)).decode().rstrip("=").lower()[:60]


def tunnel(
    count: int, *, size: int = 30, kind: str = "TXT", start: float = 60, client: str = CLIENT
) -> list[Event]:
    maker, chooser = Maker(), random.Random(count)
    return [
        maker.dns(start + n, client, f"{label(chooser, size)}.t.evil.example", kind) for n in range(count)
    ]


def test_a_tunnel_is_high_and_names_the_domain() -> None:
    (found,) = judge(DnsTunnel(), tunnel(120))
    assert (found.kind, found.entity.value, found.peer) == ("dns_tunnel", CLIENT, "evil.example")
    assert found.severity is Severity.HIGH
    assert names([found]) == {"names", "shape", "types"}
    assert found.evidence[0].startswith("20261120-")


@pytest.mark.parametrize(
    ("count", "size", "kind", "severity"),
    [
        (80, 30, "A", Severity.MEDIUM),
        (300, 30, "A", Severity.HIGH),
        (120, 5, "NULL", Severity.HIGH),
        (700, 8, "A", Severity.HIGH),
    ],
    ids=["long names", "many long names", "fetching", "fetching by addresses"],
)
def test_other_shapes_of_tunnels(count: int, size: int, kind: str, severity: Severity) -> None:
    (found,) = judge(DnsTunnel(), tunnel(count, size=size, kind=kind))
    assert found.severity is severity


def test_a_domain_asked_from_outside_is_never_high() -> None:
    (found,) = judge(DnsTunnel(), tunnel(300, client="203.0.113.5"))
    assert found.severity is Severity.MEDIUM


@pytest.mark.parametrize(
    "events",
    [tunnel(49), tunnel(90, size=5, kind="NULL"), tunnel(400, size=8, kind="A")],
    ids=["few", "short", "plain"],
)
def test_too_little_is_nothing(events: list[Event]) -> None:
    assert judge(DnsTunnel(), events) == []


def test_repeated_hash_names_of_antivirus_are_nothing() -> None:
    maker, chooser = Maker(), random.Random(3)
    pool = [label(chooser, 25) for _ in range(60)]
    events = [maker.dns(n, CLIENT, f"{chooser.choice(pool)}.av.example") for n in range(600)]
    assert judge(DnsTunnel(), events) == []


def test_many_hosts_of_a_content_network_and_a_crawl_are_nothing() -> None:
    maker = Maker()
    network = [maker.dns(n, CLIENT, f"edge{n % 200}.cdn.example") for n in range(2_000)]
    crawl = [maker.dns(n / 10, CLIENT, f"www.site{n}.example") for n in range(3_000)]
    reverse = [maker.dns(n, CLIENT, f"{n}.1.168.192.in-addr.arpa", "PTR") for n in range(3_000)]
    assert judge(DnsTunnel(), network + crawl + reverse) == []


def test_answers_count_only_where_they_are_the_only_record() -> None:
    events = tunnel(120)
    for event in events:
        event["dns.type"] = "answer"
    assert judge(DnsTunnel(), events) == []
    for event in events:
        event["event.dataset"] = "zeek.dns"
    assert len(judge(DnsTunnel(), events)) == 1


def test_a_tunnel_across_the_hour_is_told_once_and_one_that_goes_on_every_hour() -> None:
    assert len(judge(DnsTunnel(), tunnel(80, start=3_560))) == 1
    assert len(judge(DnsTunnel(), tunnel(3 * 3_600, start=0))) == 3


def test_names_are_bounded_over_all_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_tunnel, "MAX_NAMES_IN_ALL", 100)
    (found,) = judge(DnsTunnel(), tunnel(500))
    assert "overflow" in names([found])
    assert dict(found.reasons[0].values)["names"] == 100


def test_the_client_is_who_asks_even_when_the_sensor_took_the_answer_for_the_start() -> None:
    events = tunnel(120)
    for event in events:
        event["source.ip"], event["destination.ip"] = event["destination.ip"], event["source.ip"]
        event["source.port"], event["destination.port"] = 53, 40_000
    (found,) = judge(DnsTunnel(), events)
    assert found.entity.value == CLIENT


def test_an_empty_shape_is_no_tunnel() -> None:
    assert not looks_like_tunnel(dns_tunnel.measure(dns_tunnel.Questions(), dns_tunnel.Period.BOTH))


def test_the_query_log_of_a_name_server_is_as_good_as_packets() -> None:
    logged = [event | {"event.dataset": "dns.query"} for event in tunnel(120)]
    (found,) = judge(DnsTunnel(), logged)
    assert (found.entity.value, found.peer) == (CLIENT, "evil.example")
