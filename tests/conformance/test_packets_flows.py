"""Meter other people's captures: no packet lost, and totals as tshark and Arkime have them.

Rules of ours that differ from Arkime's, so that its sessions and our flows can't be equal there:

- Arkime gives no Community ID to what has no ports and is not ICMP, or one that the reference implementation of
  Community ID does not give (ESP, AH);
- later fragments count in the flow of the first one; Arkime meters them apart;
- Community ID has one-way ICMP types: an error and its opposite are two flows, Arkime has one session;
- a datagram whose UDP length is impossible still counts in its flow;
- ERSPAN right on Ethernet, without GRE, is not IP for us (nor for tshark);
- Arkime's ICMPv6 errors are keyed by what they quote.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collectors.opening import open_source
from collectors.packets import layout
from collectors.packets.addressing import put_addressing
from collectors.packets.machine import load_kernel
from collectors.packets.meter import Limits, Meter, Names, Row
from collectors.packets.reader import CaptureReader
from collectors.reading import Statistics, collect, read_paths
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary
from tests.collectors.packets.making import read
from tests.needs import need_tshark
from tests.shared_data import SHARED, needs

_SHARED = SHARED / "pcaps"
pytestmark = needs(_SHARED)
CAPTURES = sorted(path for path in _SHARED.rglob("*") if path.suffix in (".pcap", ".pcapng", ".cap"))
TESTS = sorted(path for path in _SHARED.glob("arkime/*.test") if path.with_suffix(".pcap").exists())

# capture → Community IDs of Arkime that fall under a rule above
DIFFERENT = {
    "IKEv1": {"1:W/sKA6RLXpy2xnZVZwohsx6zKjo="},
    "IKEv2": {"1:W/sKA6RLXpy2xnZVZwohsx6zKjo="},
    "ah-esp": {"1:qAlkH6wIQvS03C2vMBIOoB7Vg+U="},
    "arkime_synthetic": {
        "1:9uNdsDdNvLKTmin0AyKIJEYCe2Y=",
        "1:Ymtm3YQjywobuzKtr4Y42SrOwwQ=",
        "fragments and impossible lengths",
    },
    "gre-sample": {"one-way ICMP"},
    "gtp-iphone": {"1:R7F0MUT6ZV1iG5f3xJ0Pro45tts="},
}


@dataclass
class Total:
    """Add up what has one Community ID."""

    records: int = 0
    packets: int = 0
    frame_bytes: int = 0
    ends: set[tuple[str, int, str, int]] = field(default_factory=set)


@pytest.fixture(scope="module")
def everything() -> dict[Path, tuple[list[Event], Statistics]]:
    return {path: collect(read_paths([str(path)])) for path in CAPTURES}


def test_every_capture_is_read_and_conserved(everything: dict[Path, tuple[list[Event], Statistics]]) -> None:
    assert len(CAPTURES) > 150
    for path, (events, statistics) in everything.items():
        assert statistics.conserved, path
        assert statistics.files_failed == 0, path
        assert statistics.counters.get("packets", 0) or path.stem == "empty", path
        assert len({event["event.id"] for event in events}) == len(events), path
        for event in events[:200]:
            assert_fits_dictionary(event)


def test_packet_counts_are_those_of_capinfos(everything: dict[Path, tuple[list[Event], Statistics]]) -> None:
    need_tshark()  # capinfos comes with it
    command = ["capinfos", "-M", "-c", "-T", "-r", *map(str, CAPTURES)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    counted = {Path(name): int(number) for name, number in (line.split("\t")[:2] for line in lines)}
    assert len(counted) > 150
    for path, number in counted.items():
        assert everything[path][1].counters.get("packets", 0) == number, path


@pytest.mark.slow
def test_ip_packets_are_those_of_tshark(
    everything: dict[Path, tuple[list[Event], Statistics]], tmp_path: Path
) -> None:
    """One tshark over all sound captures of one round; TCP and UDP payload need no dissection to count IP."""
    need_tshark()
    sound = [path for path, (_, statistics) in everything.items() if not _damaged(statistics)]
    merged = tmp_path / "all.pcapng"
    subprocess.run(["mergecap", "-a", "-w", merged, *sound], check=True, capture_output=True)
    command = ["tshark", "-n", "-r", merged, "-T", "fields", "-e", "frame.protocols"]
    command += [part for name in ("tcp", "udp", "sctp") for part in ("--disable-protocol", name)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    layers = [set(line.split(":")) for line in output.splitlines()]
    start = 0
    for path in sound:
        counters = everything[path][1].counters
        part = layers[start : start + counters.get("packets", 0)]
        start += len(part)
        ip = sum(bool(names & {"ip", "ipv6"}) for names in part)
        assert counters.get("packets_in_flows", 0) + counters.get("packets_malformed", 0) == ip, path
    assert start == len(layers)


def _damaged(statistics: Statistics) -> bool:
    return any("record" in bad.reason for bad in statistics.bad_samples)


def _add_row(totals: dict[str, Total], row: Row, names: Names) -> None:
    event: Event = {}
    put_addressing(event, row, names[1])
    total = totals[str(event["network.community_id"])]
    total.records += 1
    total.packets += row[layout.F_PACKETS] + row[layout.F_PACKETS + 1]
    total.frame_bytes += row[layout.F_WIRE] + row[layout.F_WIRE + 1]
    total.ends.add(_ends(event))


def _ends(event: Event) -> tuple[str, int, str, int]:
    sport, dport = event.get("source.port", 0), event.get("destination.port", 0)
    return str(event["source.ip"]), int(str(sport)), str(event["destination.ip"]), int(str(dport))


def _ours(path: Path) -> dict[str, Total]:
    totals: dict[str, Total] = defaultdict(Total)
    kernel = load_kernel()
    with open_source(str(path)) as source:
        reader, meter = CaptureReader(source, kernel), Meter(kernel, Limits())
        for count in reader.chunks():
            for _ in meter.feed(reader, count):
                for row, names in zip(meter.ended(), meter.names(), strict=True):
                    _add_row(totals, row, names)
        for _ in meter.flush():
            for row, names in zip(meter.ended(), meter.names(), strict=True):
                _add_row(totals, row, names)
    return totals


def _arkimes(path: Path) -> dict[str, Total]:
    totals: dict[str, Total] = defaultdict(Total)
    for session in json.loads(path.read_text())["sessions3"]:
        body = session["body"]
        network, source, destination = body["network"], body["source"], body["destination"]
        if "community_id" in network and "ip" in source:
            total = totals[network["community_id"]]
            total.records += 1
            total.packets += network["packets"]
            total.frame_bytes += network["bytes"]
            total.ends.add(
                (source["ip"], source.get("port", 0), destination["ip"], destination.get("port", 0))
            )
    return totals


def test_flows_are_arkimes_sessions() -> None:
    """Packets, bytes of frames and both ends with ports, by Community ID."""
    same, different = 0, defaultdict(list)
    for test in TESTS:
        ours = _ours(test.with_suffix(".pcap"))
        for community, theirs in _arkimes(test).items():
            mine = ours.get(community)
            if mine and (mine.packets, mine.frame_bytes) == (theirs.packets, theirs.frame_bytes):
                same += 1
                with_ports = any(ends[1] for ends in theirs.ends)
                if with_ports and mine.records == theirs.records:
                    assert mine.ends == theirs.ends, (test, community)
            else:
                different[test.stem].append(community)
    assert same >= 400
    assert set(different) <= set(DIFFERENT), different
    for name, found in different.items():
        assert len(found) <= len(DIFFERENT[name]) + (name == "arkime_synthetic"), (name, found)


@pytest.mark.slow
def test_damaged_captures_are_conserved() -> None:
    """Each small capture three times: cut, bits flipped in records, bits flipped in packets."""
    generator = random.Random(3)
    for path in CAPTURES:
        data = path.read_bytes()
        if len(data) > 40_000 or len(data) < 100:
            continue
        read(data[: generator.randrange(24, len(data))])
        for flips in (1, 20):
            damaged = bytearray(data)
            for _ in range(flips):
                damaged[generator.randrange(24, len(damaged))] ^= 1 << generator.randrange(8)
            read(bytes(damaged))


@pytest.mark.parametrize(
    ("capture", "datasets"),
    [
        ("arkime/https-connect.pcap", {"packets.http", "packets.tls"}),  # TLS after a proxy's CONNECT
        ("suricata-verify/smtp-startssl", {"packets.tls"}),  # TLS after STARTTLS
        ("suricata-verify/smb3-02-midstream", {"packets.smb"}),  # begun before the capture
    ],
)
def test_protocols_are_found_in_the_middle_of_a_conversation(capture: str, datasets: set[str]) -> None:
    paths = [str(path) for path in CAPTURES if path.is_relative_to(_SHARED / capture)]
    events, _ = collect(read_paths(paths))
    assert paths
    assert datasets <= {str(event["event.dataset"]) for event in events}
