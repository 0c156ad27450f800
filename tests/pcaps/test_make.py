from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dpkt
import pytest

from collectors.base import ReadContext
from collectors.opening import find_inputs
from collectors.reading import Statistics, read_paths
from pcaps.labels import Label, load_labels
from pcaps.make import ROOT, Made, main, make, make_all, make_logs
from pcaps.scenarios.registry import log_scenarios, scenarios
from pcaps.scenarios.scenario import Scenario
from pcaps.wire.capture import unpack
from soc_core.clock import format_instant, parse_instant
from soc_core.model.event import TIMESTAMP

LABELS = {label.scenario: label for label in load_labels(ROOT)}
CAPTURES = [label for label in LABELS.values() if label.packets]
QUICK = [scenario for scenario in scenarios() if LABELS[scenario.name].packets < 5_000]
LIMIT = 5_000_000


def _records(label: Label) -> Iterator[tuple[float, bytes]]:
    for path in label.paths:
        stream = io.BytesIO(unpack(path.read_bytes(), path.name))
        yield from dpkt.pcap.UniversalReader(stream)


def test_there_is_a_label_for_each_scenario_and_no_other() -> None:
    made = {scenario.name for scenario in scenarios()} | {scenario.name for scenario in log_scenarios()}
    assert made == set(LABELS)


def test_all_that_is_bundled_is_small_and_belongs_to_a_scenario() -> None:
    bundled = {path for label in LABELS.values() for path in label.paths}
    data = [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".md", ".yml"}
    ]
    assert set(data) == bundled
    assert sum(path.stat().st_size for path in bundled) < LIMIT


@pytest.mark.parametrize("label", CAPTURES, ids=lambda label: label.scenario)
def test_another_reader_sees_as_many_packets_in_order_and_in_time(label: Label) -> None:
    times = [time for time, _ in _records(label)]
    assert len(times) == label.packets
    assert times == sorted(times)
    assert label.start.timestamp() <= times[0] <= times[-1] <= label.end.timestamp()


@pytest.mark.parametrize(
    "label", [label for label in CAPTURES if label.scenario != "malformed"], ids=lambda label: label.scenario
)
def test_checksums_are_right_by_another_reader(label: Label) -> None:
    """IPv4 headers must be right in every packet; TCP, UDP and ICMPv6 in every packet that is whole."""
    whole = 0
    for _, data in _records(label):
        header = dpkt.ethernet.Ethernet(data).data
        if isinstance(header, dpkt.ip.IP):
            raw = bytes(header)
            assert dpkt.in_cksum(raw[: header.hl * 4]) == 0
            header = header.data if header.p == dpkt.ip.IP_PROTO_IP6 else header
        right = _transport_is_right(header)
        assert right is not False
        whole += right is True
    assert whole > 10


def _transport_is_right(header: object) -> bool | None:
    """Return whether the transport checksum holds, ``None`` where there is none or it can't be computed."""
    if isinstance(header, dpkt.ip.IP):
        start, protocol, length = header.hl * 4, header.p, header.len - header.hl * 4
        if header.mf or header.offset:
            return None
    elif isinstance(header, dpkt.ip6.IP6):
        start, protocol, length = 40, header.nxt, header.plen
    else:
        return None
    body = bytes(header)[start:]
    known = {6, 17} if start == 20 else {6, 17, 58}
    if protocol not in known or len(body) != length or (protocol == 17 and body[6:8] == b"\0\0"):
        return None
    pseudo = header.src + header.dst + struct.pack("!II", length, protocol)
    return bool(dpkt.in_cksum(pseudo + body) == 0)


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_making_again_gives_what_is_bundled(scenario: Scenario) -> None:
    assert [made.path for made in make(scenario) if made.differs(ROOT)] == []


@pytest.mark.slow
def test_making_the_large_ones_again_gives_what_is_bundled() -> None:
    large = [scenario.name for scenario in scenarios() if scenario not in QUICK]
    assert [made.path for files in make_all(large) for made in files if made.differs(ROOT)] == []


def test_logs_made_again_are_what_is_bundled() -> None:
    for scenario in log_scenarios():
        assert [made.path for made in make_logs(scenario) if made.differs(ROOT)] == []


def test_check_tells_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pcaps.make.ROOT", tmp_path)
    assert main(["mining"]) == 0
    assert main(["mining", "--check"]) == 0
    (tmp_path / "mining.pcap").write_bytes(b"something else")
    (tmp_path / "mining.label.yml").unlink()
    assert main(["mining", "--check"]) == 1
    assert capsys.readouterr().out.split("\n")[:2] == ["differs: mining.pcap", "differs: mining.label.yml"]
    assert (tmp_path / "mining.pcap").read_bytes() == b"something else"
    assert main(["no_such_scenario"]) == 2


def test_packed_files_compare_by_content(tmp_path: Path) -> None:
    made = Made("a.pcap.gz", b"content")
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(b"content", 1, mtime=5))
    assert not made.differs(tmp_path)
    (tmp_path / "a.pcap.gz").write_bytes(b"no gzip at all")
    assert made.differs(tmp_path)


@pytest.mark.parametrize("label", LABELS.values(), ids=lambda label: label.scenario)
def test_our_collectors_read_every_packet_and_record_at_its_time(label: Label) -> None:
    statistics = Statistics()
    first, last = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    for batch in read_paths(
        find_inputs([str(path) for path in label.paths]), lambda source: ReadContext(label.end)
    ):
        statistics.add(batch)
        for event in batch.events:
            instant = parse_instant(str(event[TIMESTAMP]))
            first, last = min(first, instant), max(last, instant)
    assert statistics.files_failed == 0
    assert statistics.conserved
    assert statistics.counters.get("packets", 0) == label.packets
    assert label.start <= first <= last <= label.end, (format_instant(first), format_instant(last))
    if label.records:
        assert (statistics.events, statistics.bad) == (label.records, 0)
    elif label.scenario != "malformed":
        assert statistics.bad == 0


def test_the_one_who_connects_is_the_client_in_every_conversation() -> None:
    """Flows end within one window of the reader here; still no side may be taken for the other."""
    label = LABELS["ssh_bruteforce"]
    clients = {
        (event["source.ip"], event["edusoc.ssh.client"])
        for batch in read_paths(
            find_inputs([str(path) for path in label.paths]), lambda source: ReadContext(label.end)
        )
        for event in batch.events
        if event["event.dataset"] == "packets.ssh"
    }
    assert clients == {
        ("203.0.113.66", "SSH-2.0-libssh2_1.10.0"),
        ("192.168.10.8", "SSH-2.0-OpenSSH_for_Windows_9.5"),
    }
