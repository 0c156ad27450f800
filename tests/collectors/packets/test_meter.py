"""Flows: who began, when they end, what counts; every packet in exactly one place."""

from __future__ import annotations

import struct

import pytest

from collectors.base import Batch
from collectors.packets import collector, meter
from collectors.packets.meter import Limits
from tests.collectors.packets.making import (
    ACK,
    BEGIN,
    FIN,
    PSH,
    RST,
    SYN,
    connection,
    dns_query,
    ethernet,
    flows,
    ipv4,
    ipv6,
    pcap,
    read,
    tcp,
    tcp_frame,
    udp,
    udp_frame,
)


def test_connection() -> None:
    (flow,) = flows(pcap(connection(b"hello" * 10, b"answer" * 20)))
    assert (flow["source.ip"], flow["source.port"]) == ("10.0.0.1", 40000)
    assert (flow["destination.ip"], flow["destination.port"]) == ("10.0.0.2", 80)
    assert (flow["source.packets"], flow["destination.packets"], flow["network.packets"]) == (5, 3, 8)
    assert (flow["source.bytes"], flow["destination.bytes"]) == (5 * 40 + 50, 3 * 40 + 120)
    assert flow["network.bytes"] == 8 * 40 + 170
    assert flow["edusoc.flow.state"] == "closed"
    assert flow["edusoc.flow.end_reason"] == "closed"
    assert flow["edusoc.flow.tcp_flags_source"] == "FSPA"
    assert flow["edusoc.flow.tcp_flags_destination"] == "FSPA"
    assert flow["event.duration"] == 70_000_000
    assert flow["event.type"] == ["connection", "start", "end"]
    assert (flow["source.mac"], flow["destination.mac"]) == ("02-00-00-00-00-01", "02-00-00-00-00-09")


def test_syn_ack_first_names_the_other_side_as_originator() -> None:
    (flow,) = flows(pcap(connection(b"q", b"a")[1:]))
    assert (flow["source.ip"], flow["destination.port"]) == ("10.0.0.1", 80)


def test_late_syn_corrects_the_originator() -> None:
    frames = [tcp_frame(False, 7, ACK, b"early"), tcp_frame(True, 99, SYN), tcp_frame(False, 499, SYN | ACK)]
    (flow,) = flows(pcap([(BEGIN, frame) for frame in frames]))
    assert flow["source.ip"] == "10.0.0.1"
    assert (flow["source.packets"], flow["destination.packets"]) == (1, 2)


@pytest.mark.parametrize(
    ("frames", "state"),
    [
        ([(True, SYN)], "attempt"),
        ([(True, SYN), (False, RST | ACK)], "rejected"),
        ([(True, SYN), (False, SYN | ACK)], "established"),
        ([(True, SYN), (False, SYN | ACK), (True, RST)], "reset"),
        ([(True, ACK)], "partial"),
        ([(True, SYN), (False, SYN | ACK), (True, FIN | ACK), (False, FIN | ACK)], "closed"),
    ],
)
def test_states(frames: list[tuple[bool, int]], state: str) -> None:
    packets = [(BEGIN + place, tcp_frame(client, 5, flags)) for place, (client, flags) in enumerate(frames)]
    (flow,) = flows(pcap(packets))
    assert flow["edusoc.flow.state"] == state


def test_ports_used_again_are_a_new_flow() -> None:
    again = connection(b"one", b"two", start=BEGIN + 3)
    assert len(flows(pcap(connection(b"one", b"two") + again))) == 2


def test_idle_udp_is_split_and_active_tcp_gets_interim_records() -> None:
    idle = [(BEGIN, udp_frame(b"x" * 20, dport=9)), (BEGIN + 500, udp_frame(b"x" * 20, dport=9))]
    assert [flow["edusoc.flow.end_reason"] for flow in flows(pcap(idle))] == ["idle_timeout", "end_of_input"]
    long = [(BEGIN + 400 * number, tcp_frame(number % 2 == 0, number, ACK, b"x")) for number in range(12)]
    parts = flows(pcap(long))
    assert [flow["edusoc.flow.part"] for flow in parts] == [1, 2, 3]
    assert [flow["edusoc.flow.end_reason"] for flow in parts] == [
        "active_timeout",
        "active_timeout",
        "end_of_input",
    ]
    assert [flow["event.type"] for flow in parts] == [
        ["connection", "start"],
        ["connection"],
        ["connection", "end"],
    ]
    assert sum(int(str(flow["network.packets"])) for flow in parts) == 12
    assert len({flow["network.community_id"] for flow in parts}) == 1
    assert len({flow["event.id"] for flow in parts}) == 3


def test_one_strange_time_does_not_end_other_flows() -> None:
    packets = [(BEGIN + number, udp_frame(b"x" * 20, dport=9)) for number in range(200)]
    packets.insert(100, (4_000_000_000.0, udp_frame(b"y" * 20, dport=10)))
    assert len(flows(pcap(packets))) == 2


def test_time_going_backwards() -> None:
    packets = [(BEGIN - number * 7200, udp_frame(b"x" * 20, dport=9)) for number in range(50)]
    found = flows(pcap(packets))
    assert sum(int(str(flow["network.packets"])) for flow in found) == 50
    assert all(int(str(flow["event.duration"])) >= 0 for flow in found)


def test_vlan_is_named_and_may_be_on_one_direction_only() -> None:
    ask = ipv4("10.0.0.1", "10.0.0.2", 17, udp(5, 6, b"data"))
    answer = ipv4("10.0.0.2", "10.0.0.1", 17, udp(6, 5, b"data"))
    (flow,) = flows(pcap([(BEGIN, ethernet(ask)), (BEGIN, ethernet(answer, vlans=[8, 9]))]))
    assert (flow["network.vlan.id"], flow["network.inner.vlan.id"]) == ("8", "9")
    (flow,) = flows(pcap([(BEGIN, ethernet(ask, vlans=[7]))]))
    assert flow["network.vlan.id"] == "7"
    assert "network.inner.vlan.id" not in flow


def test_virtual_networks_are_kept_apart() -> None:
    def tunnelled(number: int) -> bytes:
        header = bytes([8, 0, 0, 0, 0, 0, number, 0])
        return ethernet(ipv4("172.16.0.1", "172.16.0.2", 17, udp(9000, 4789, header + ethernet(INNER))))

    found = flows(pcap([(BEGIN, tunnelled(1)), (BEGIN, tunnelled(2))]))
    assert [flow["edusoc.tunnel.id"] for flow in found] == [["1"], ["2"]]


def test_icmp_echo_is_one_flow() -> None:
    ask, answer = b"\x08\0\0\0\0\1\0\1", b"\0\0\0\0\0\1\0\1"
    packets = [
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 1, ask))),
        (BEGIN + 1, ethernet(ipv4("10.0.0.2", "10.0.0.1", 1, answer))),
    ]
    (flow,) = flows(pcap(packets))
    assert (flow["icmp.type"], flow["icmp.code"], flow["destination.packets"]) == (8, 0, 1)
    assert "source.port" not in flow


def test_fragments_belong_to_the_flow_of_the_first() -> None:
    datagram = udp(4000, 5000, b"x" * 200)
    first = ipv4("10.0.0.1", "10.0.0.2", 17, datagram[:104], identity=9, fragment=0x2000)
    second = ipv4("10.0.0.1", "10.0.0.2", 17, datagram[104:], identity=9, fragment=13)
    (flow,) = flows(pcap([(BEGIN, ethernet(first)), (BEGIN, ethernet(second))]))
    assert (flow["edusoc.flow.fragments"], flow["source.packets"], flow["destination.port"]) == (2, 2, 5000)


def test_ipv6_with_extension_headers() -> None:
    hop = bytes([60, 0, 1, 4, 0, 0, 0, 0])
    options = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    packet = ipv6("2001:db8::1", "fe80::2", 0, hop + options + udp(1000, 2000, b"hello"))
    (flow,) = flows(pcap([(BEGIN, ethernet(packet, 0x86DD))]))
    assert (flow["source.ip"], flow["destination.ip"], flow["destination.port"]) == (
        "2001:db8::1",
        "fe80::2",
        2000,
    )
    assert flow["network.type"] == "ipv6"
    assert flow["source.bytes"] == len(packet)


INNER = ipv4("192.168.1.1", "192.168.1.2", 17, udp(1111, 2222, b"inside"))
GRE = struct.pack(">HH", 0, 0x0800)
VXLAN = bytes([8, 0, 0, 0, 0, 0, 42, 0])
GENEVE = struct.pack(">BBHI", 0, 0, 0x6558, 43 << 8)
GTP = struct.pack(">BBHI", 0x30, 255, len(INNER), 44)


@pytest.mark.parametrize(
    ("protocol", "payload", "names", "identity"),
    [
        (47, GRE + INNER, ["gre"], None),
        (17, udp(9000, 4789, VXLAN + ethernet(INNER)), ["vxlan"], ["42"]),
        (17, udp(9000, 6081, GENEVE + ethernet(INNER)), ["geneve"], ["43"]),
        (17, udp(2152, 2152, GTP + INNER), ["gtp-u"], ["44"]),
        (17, udp(9000, 4790, bytes([12, 0, 0, 1, 0, 0, 45, 0]) + INNER), ["vxlan"], ["45"]),
        (
            17,
            udp(9000, 4790, bytes([12, 0, 0, 4, 0, 0, 45, 0]) + bytes([0, 2, 1, 1]) + b"\0" * 4 + INNER),
            ["vxlan"],
            ["45"],
        ),
        (4, INNER, ["ipip"], None),
        (4, ipv4("10.1.0.1", "10.1.0.2", 47, GRE + INNER), ["ipip", "gre"], None),
    ],
)
def test_tunnels(protocol: int, payload: bytes, names: list[str], identity: list[str] | None) -> None:
    (flow,) = flows(pcap([(BEGIN, ethernet(ipv4("172.16.0.1", "172.16.0.2", protocol, payload)))]))
    assert (flow["source.ip"], flow["destination.port"]) == ("192.168.1.1", 2222)
    assert flow["edusoc.tunnel.type"] == names
    assert flow["edusoc.tunnel.source.ip"] == ["172.16.0.1"]
    assert flow["edusoc.tunnel.destination.ip"] == ["172.16.0.2"]
    assert flow.get("edusoc.tunnel.id") == identity
    assert flow["source.bytes"] == len(INNER)


def test_tunnel_with_nonsense_inside_stays_an_outer_flow() -> None:
    packet = ipv4("172.16.0.1", "172.16.0.2", 47, GRE + b"\x45\0" + b"\xff" * 10)
    (flow,) = flows(pcap([(BEGIN, ethernet(packet))]))
    assert (flow["source.ip"], flow["network.transport"]) == ("172.16.0.1", "gre")


def test_what_is_not_ip_and_what_is_malformed_is_counted() -> None:
    packets = [
        (BEGIN, ethernet(b"\0" * 28, 0x0806)),
        (BEGIN, ethernet(b"\0" * 28, 0x88CC)),
        (BEGIN, b""),
        (BEGIN, ethernet(b"\x45\0\0")),
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, b"\0" * 4))),
        (BEGIN, udp_frame(b"x" * 20, dport=9)),
    ]
    _, statistics = read(pcap(packets))
    counters = statistics.counters
    assert (counters["packets"], counters["packets_in_flows"]) == (6, 1)
    assert (counters["packets_non_ip"], counters["packets_malformed"]) == (3, 2)
    assert [bad.reason for bad in statistics.bad_samples] == [
        "IP header is cut short",
        "transport header is cut short",
    ]


def test_full_table_ends_old_flows_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "Limits", lambda: Limits(flows=64))
    packets = [
        (BEGIN + number / 1000, udp_frame(b"x" * 20, sport=number + 1, dport=9)) for number in range(5000)
    ]
    events, statistics = read(pcap(packets))
    assert statistics.counters["packets_in_flows"] == 5000
    assert statistics.counters["flows_evicted"] == 5000 - 64
    assert sum(event["edusoc.flow.end_reason"] == "evicted" for event in events) == 5000 - 64


def test_output_rooms_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = [
        (BEGIN + number / 1000, udp_frame(dns_query(f"n{number}.example.com"), sport=number + 1))
        for number in range(300)
    ]
    whole, _ = read(pcap(packets))
    for name in ("OUT_ROOM", "ITEM_ROOM", "BAD_ROOM"):
        monkeypatch.setattr(meter, name, 64)
    again, _ = read(pcap(packets))
    key = "event.id"
    assert sorted(whole, key=lambda event: str(event[key])) == sorted(
        again, key=lambda event: str(event[key])
    )


def test_snapped_packets_keep_their_lengths() -> None:
    frame = tcp_frame(True, 1, PSH | ACK, b"x" * 1000)
    capture = pcap([])[:24] + struct.pack("<IIII", 1, 0, 60, len(frame)) + frame[:60]
    (flow,) = flows(capture)
    assert flow["source.bytes"] == 1040


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (101, b""),
        (12, b""),
        (228, b""),
        (0, struct.pack("<I", 2)),
        (108, struct.pack(">I", 2)),
        (113, b"\0\0\0\1\0\6\2\0\0\0\0\1\0\0" + b"\x08\0"),
        (276, b"\x08\0" + b"\0" * 18),
        (9, b"\xff\x03\0\x21"),
        (50, b"\x21"),
        (104, b"\x0f\0\x08\0"),
        (107, b"\x18\x41\x03\xcc"),
        (105, b"\x08\1\0\0" + b"\2\0\0\0\0\1" * 3 + b"\0\0" + b"\xaa\xaa\3\0\0\0\x08\0"),
        (
            127,
            b"\0\0\x08\0\0\0\0\0" + b"\x08\1\0\0" + b"\2\0\0\0\0\1" * 3 + b"\0\0" + b"\xaa\xaa\3\0\0\0\x08\0",
        ),
        (239, b"\2\0\0\0" + struct.pack("<HH", 4 + 33, 9)),
        (1, b"\2\0\0\0\0\1" * 2 + b"\x88\x64\x11\0\0\1\0\x23\0\x21"),
        (1, b"\2\0\0\0\0\1" * 2 + b"\x88\x47\0\1\1\x40"),
    ],
)
def test_link_types(link: int, head: bytes) -> None:
    packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(5, 6, b"hello"))
    (flow,) = flows(pcap([(BEGIN, head + packet)], link=link))
    assert (flow["source.ip"], flow["destination.port"]) == ("10.0.0.1", 6)


def test_batches_are_bounded() -> None:
    packets = [(BEGIN, udp_frame(b"x" * 20, sport=number + 1, dport=9)) for number in range(5000)]
    from tests.collectors.packets.making import read_batches

    batches: list[Batch] = read_batches(pcap(packets))
    assert max(len(batch.events) for batch in batches) <= 1000
    assert sum(len(batch.events) for batch in batches) == 5000


def test_tcp_and_sctp_and_others() -> None:
    packets = [
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 132, struct.pack(">HHII", 7, 8, 0, 0) + b"chunk"))),
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 89, b"ospf" * 8))),
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, 3, SYN)))),
        (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 200, b"other"))),
    ]
    assert {flow["network.transport"] for flow in flows(pcap(packets))} == {"sctp", "ospf", "tcp", "200"}
