"""Judge other people's recordings: scans that must be found, log-ins and browsing that must stay quiet.

The labels of 010 and 012 call a flow malicious when it goes *to* the watched host, whatever it is (see the data's
README); they are not used. What counts there is that the host's own traffic, which is benign, raises nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from collectors.base import ReadContext
from collectors.opening import OpenSource
from collectors.reading import collect, read_paths
from detectors.anomaly.beacon import Beacon
from detectors.anomaly.dns_tunnel import DnsTunnel
from detectors.anomaly.registry import default_detectors
from detectors.base import Site, WindowDetector, window_start
from soc_core.clock import parse_instant
from soc_core.model.detection import Detection, Severity
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan
from tests.detectors.anomaly.base import judge
from tests.shared_data import SHARED, needs

_ZEEK = SHARED / "anomaly" / "zeek"
pytestmark = needs(_ZEEK)


def _context(_source: OpenSource) -> ReadContext:
    return ReadContext(datetime(2026, 11, 23, tzinfo=UTC), organization_id="u1", keep_original=False)


def _read(*paths: Path) -> list[Event]:
    events, _ = collect(read_paths([str(path) for path in paths], _context))
    assert events
    return events


@cache
def _questions(path: Path) -> list[Event]:
    """Return the name look-ups of a capture, read once."""
    return [event for event in _read(path) if event.get("event.dataset") == "packets.dns"]


def _judge(
    events: Sequence[Event], *, inside: Sequence[str] = (), detectors: Sequence[WindowDetector] | None = None
) -> list[Detection]:
    site = Site(AddressPlan(inside))
    chosen = default_detectors() if detectors is None else detectors
    return [item for detector in chosen for item in judge(detector, events, site=site)]


def test_nmap_over_three_networks_is_found() -> None:
    found = _judge(_read(_ZEEK / "002-zeek-scenario-port-scanning__conn.log.gz"))
    assert {item.entity.value for item in found} == {"172.16.1.11"}
    assert {item.kind for item in found} == {"port_scan", "host_scan"}
    scanned = {item.peer for item in found if item.kind == "port_scan"}
    assert len(scanned) >= 20
    assert sum(item.severity is Severity.HIGH for item in found) >= 20


def test_the_vertical_scan_is_found() -> None:
    (found,) = _judge(_read(_ZEEK / "dataset__port-scans__vertical__conn.log"))
    assert (found.kind, found.entity.value, found.peer) == ("port_scan", "192.168.1.9", "45.33.32.156")
    assert found.severity.rank >= Severity.MEDIUM.rank


def test_the_horizontal_scan_of_forty_flows_is_found() -> None:
    (found,) = _judge(_read(_ZEEK / "dataset__port-scans__horizontal__conn.log"))
    assert (found.kind, found.entity.value) == ("host_scan", "10.0.2.112")
    assert found.severity is Severity.MEDIUM


@pytest.mark.parametrize(
    ("name", "host"), [("010", "147.32.83.234"), ("012", "147.32.83.161")], ids=["010", "012"]
)
def test_a_benign_host_that_is_attacked_raises_nothing_by_itself(name: str, host: str) -> None:
    events = _read(_ZEEK / f"{name}-zeek-mixed__data__conn.log.labeled.gz")
    own = [event for event in events if event.get("source.ip") == host]
    assert len(own) > 500
    assert _judge(own, inside=["147.32.0.0/16"]) == []
    found = _judge(events, inside=["147.32.0.0/16"])
    assert all(item.severity is Severity.LOW for item in found)  # the daily scans from the internet
    assert all(item.peer for item in found)


@pytest.mark.parametrize(
    "names",
    [
        ["004-zeek-scenario-ssh__ssh.log.gz"],
        ["006-zeek-scenario-ssh__ssh.log.gz", "006-zeek-scenario-ssh__conn.log.gz"],
    ],
    ids=["004", "006"],
)
def test_people_who_log_in_are_no_guessers(names: list[str]) -> None:
    assert _judge(_read(*(_ZEEK / name for name in names))) == []


@pytest.mark.parametrize("folder", ["test9", "test10"])
def test_mixed_logs_raise_nothing_high(folder: str) -> None:
    paths = [_ZEEK / f"dataset__{folder}-mixed-zeek-dir__{log}.log" for log in ("conn", "dns", "ssl")]
    found = _judge(_read(*paths))
    assert all(item.severity is Severity.LOW for item in found)


@pytest.mark.slow
def test_realistic_names_of_many_clients_are_no_tunnel() -> None:
    events = _read(_ZEEK / "brim" / "zeek-default__dns.log.gz")
    clients = {event.get("source.ip") for event in events}
    assert len(clients) >= 77
    assert _judge(events, detectors=[DnsTunnel()]) == []


@pytest.mark.slow
def test_realistic_web_calls_of_many_clients_are_no_beacons() -> None:
    """There is no conn.log here: each TLS session stands for a call, all of one size, the hardest case."""
    events = _read(_ZEEK / "brim" / "zeek-default__ssl.log.gz")
    for event in events:
        event["event.dataset"], event["source.bytes"] = "zeek.conn", 500
    assert _judge(events, detectors=[Beacon()]) == []


def test_realistic_logins_raise_nothing() -> None:
    names = ("ssh", "rdp", "kerberos", "ntlm", "ftp", "smtp")
    assert _judge(_read(*(_ZEEK / "brim" / f"zeek-default__{name}.log.gz" for name in names))) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "tunnel"),
    [("dnscat2-cname", True), ("dnscat2-txt", True), ("iodine-cname", True), ("normal_00000", False)],
)
def test_real_tunnels_are_found_and_a_crawl_is_not(part: str, tunnel: bool) -> None:
    (path,) = (SHARED / "anomaly" / "dns-tunnel").glob(f"*{part}*.pcap.xz")
    found = _judge(_questions(path), detectors=[DnsTunnel()])
    assert {(item.peer, item.severity) for item in found} == (
        {("ggy666.tk", Severity.HIGH)} if tunnel else set()
    )
    assert all(item.entity.value in {"192.168.68.62", "192.168.117.128"} for item in found)


@pytest.mark.slow
def test_five_minutes_of_a_tunnel_are_enough_nearly_always() -> None:
    hits = windows = 0
    for path in sorted((SHARED / "anomaly" / "dns-tunnel").glob("tunnel*.pcap.xz")):
        spans: dict[datetime, list[Event]] = defaultdict(list)
        for event in _questions(path):
            at = parse_instant(str(event["@timestamp"]))
            spans[window_start(at, timedelta(minutes=5))].append(event)
        windows += len(spans)
        hits += sum(bool(_judge(span, detectors=[DnsTunnel()])) for span in spans.values())
    assert windows == 24
    assert hits >= 23
