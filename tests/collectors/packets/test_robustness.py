"""No capture, however damaged, raises, hangs or loses count of a packet."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collectors.packets.making import (
    ACK,
    BEGIN,
    PSH,
    SYN,
    Timed,
    connection,
    dns_query,
    ethernet,
    ipv4,
    ipv6,
    pcap,
    pcapng,
    read,
    tcp_frame,
    udp,
    udp_frame,
)

HELLO = (
    bytes.fromhex("160301004d010000490303") + bytes(32) + bytes.fromhex("000002002f0100001e0000") + b"\0" * 28
)
SMB = b"\0\0\0\x44\xfeSMB\x40\0" + b"\0" * 62
INNER = ipv4("192.168.1.1", "192.168.1.2", 17, udp(1111, 53, dns_query()))
PACKETS: list[Timed] = [
    (BEGIN, udp_frame(dns_query())),
    (BEGIN, udp_frame(dns_query(answer="192.0.2.1"), 53, 5000, "10.0.0.2", "10.0.0.1")),
    (BEGIN, ethernet(b"\0" * 28, 0x0806)),
    (
        BEGIN,
        ethernet(
            ipv6("2001:db8::1", "2001:db8::2", 44, bytes([17, 0, 0, 1, 0, 0, 0, 9]) + udp(1, 2, b"x" * 16)),
            0x86DD,
        ),
    ),
    (BEGIN, ethernet(ipv4("10.0.0.1", "10.0.0.2", 47, struct.pack(">HHI", 0x2000, 0x0800, 5) + INNER))),
    (
        BEGIN,
        ethernet(
            ipv4(
                "10.0.0.1",
                "10.0.0.2",
                17,
                udp(1, 4789, bytes([8, 0, 0, 0, 0, 0, 1, 0]) + ethernet(INNER, vlans=[3])),
            )
        ),
    ),
    *connection(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", start=BEGIN + 1
    ),
    *connection(HELLO, HELLO, dport=443, start=BEGIN + 2),
    *connection(b"SSH-2.0-a\r\n", b"SSH-2.0-b\r\n", dport=22, start=BEGIN + 3),
    *connection(SMB, SMB, dport=445, start=BEGIN + 4),
]


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_truncated_at_every_byte(make) -> None:
    whole = make(PACKETS)
    for size in range(4, len(whole), 3):
        read(whole[:size])


@pytest.mark.parametrize("make", [pcap, pcapng])
@pytest.mark.parametrize("seed", range(10))
def test_flipped_bits(make, seed: int) -> None:
    generator = random.Random(seed)
    whole = make(PACKETS)
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(generator.choice((1, 3, 30))):
            damaged[generator.randrange(24, len(damaged))] ^= 1 << generator.randrange(8)
        read(bytes(damaged))


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_inside_packets_only(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(60):
        packets = []
        for moment, frame in PACKETS:
            damaged = bytearray(frame)
            damaged[generator.randrange(12, len(damaged))] = generator.randrange(256)
            packets.append(
                (
                    moment,
                    bytes(damaged[: generator.choice((len(damaged), generator.randrange(len(damaged))))]),
                )
            )
        _, statistics = read(pcap(packets))
        assert statistics.counters["packets"] == len(packets)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frames=st.lists(st.tuples(st.integers(0, 1 << 31), st.binary(max_size=120)), max_size=12),
    link=st.sampled_from(
        [0, 1, 9, 10, 12, 50, 101, 104, 105, 107, 108, 113, 127, 192, 228, 229, 239, 276, 999]
    ),
)
def test_any_bytes_on_any_link(frames: list[tuple[int, bytes]], link: int) -> None:
    _, statistics = read(pcap([(float(moment), data) for moment, data in frames], link=link))
    assert statistics.counters.get("packets", 0) == len(frames)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 3000),
            st.sampled_from([b"", b"G", HELLO, SMB, SMB[:3], HELLO[:4], b"x" * 900]),
        ),
        max_size=25,
    )
)
def test_any_order_of_segments(segments: list[tuple[bool, int, bytes]]) -> None:
    frames = [
        tcp_frame(client, offset, PSH | ACK if data else SYN, data) for client, offset, data in segments
    ]
    read(pcap([(BEGIN + number, frame) for number, frame in enumerate(frames)]))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_after_a_header(noise: bytes, ng: bool) -> None:
    read((pcapng([]) if ng else pcap([])) + noise)


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFF, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("make", [pcap, pcapng])
def test_huge_lengths(make, length: int) -> None:
    capture = bytearray(make(PACKETS))
    struct.pack_into("<I", capture, 24 + 8 if make is pcap else 28 + 20 + 4, length)
    read(bytes(capture))


def test_endless_small_blocks_and_zeros() -> None:
    read(pcapng([]) + b"\0" * 300_000)
    read(pcap([]) + b"\0" * 300_000)
    read(pcap([]) + b"\xff" * 300_000)


def test_memory_of_open_streams_is_bounded() -> None:
    """A direction with a hole holds no more than its budget, however much comes after it."""
    frames = [tcp_frame(True, 99, SYN, dport=22), tcp_frame(True, 100, PSH | ACK, b"SSH-2.0-x", dport=22)]
    frames += [
        tcp_frame(True, 200 + 1000 * number, PSH | ACK, b"y" * 1000, dport=22) for number in range(200)
    ]
    read(pcap([(BEGIN + number / 1e6, frame) for number, frame in enumerate(frames)]))


@pytest.mark.parametrize("seed", range(6))
def test_what_stands_behind_a_packet_does_not_matter(seed: int) -> None:
    """The kernel has no bounds checks: were it to look beyond a packet's end, other bytes there would change flows."""
    generator = random.Random(seed)
    for _ in range(25):
        frames = []
        for _, frame in PACKETS:
            damaged = bytearray(frame[: generator.randrange(1, len(frame) + 1)])
            for _ in range(generator.randrange(3)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            frames.append(bytes(damaged))
        results = []
        for filler in (b"\0", b"\xff", b"\x11"):
            spaced = []
            for frame in frames:
                spaced += [(BEGIN, frame), (BEGIN, filler * 12 + b"\x08\x06" + filler * 200)]
            events, statistics = read(pcap(spaced))
            kept = [{k: v for k, v in event.items() if k != "edusoc.capture.offset"} for event in events]
            results.append((kept, statistics.counters))
        assert results[0] == results[1] == results[2]
