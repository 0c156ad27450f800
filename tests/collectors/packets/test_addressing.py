"""Community IDs as the reference implementation gives them; texts in canonical form."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import communityid
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.network import community_id
from collectors.packets.addressing import address_text, instant_text, mac_text
from soc_core.clock import EPOCH, format_instant
from tests.collectors.packets.making import BEGIN, ethernet, flows, ipv4, ipv6, pcap, tcp, udp

PORTS = st.integers(0, 65535)
ORACLE = communityid.CommunityID()


def _flow(version: int, source: str, destination: str, protocol: int, payload: bytes):
    packet = (
        ipv4(source, destination, protocol, payload)
        if version == 4
        else ipv6(source, destination, protocol, payload)
    )
    (flow,) = flows(pcap([(BEGIN, ethernet(packet, 0x0800 if version == 4 else 0x86DD))]))
    return flow


@settings(deadline=None)  # the first example may wait for the compiler
@given(st.data(), st.sampled_from([4, 6]), st.sampled_from([6, 17, 132, 47, 50, 89]), PORTS, PORTS)
def test_community_id_of_transports(
    data: st.DataObject, version: int, protocol: int, sport: int, dport: int
) -> None:
    source, destination = (str(data.draw(st.ip_addresses(v=version))) for _ in range(2))
    payload = {
        6: tcp(sport, dport, 1, 2),
        17: udp(sport, dport, b"x"),
        132: struct.pack(">HHII", sport, dport, 0, 0),
    }
    if protocol == 17 and {sport, dport} & {2152, 3544, 4789, 4790, 6081, 8472}:
        return
    flow = _flow(version, source, destination, protocol, payload.get(protocol, b"\xff" * 20))
    ports = (sport, dport) if protocol in payload else (None, None)
    expected = ORACLE.calc(communityid.FlowTuple(protocol, source, destination, *ports))
    assert flow["network.community_id"] == expected
    assert community_id(source, destination, protocol, ports[0] or 0, ports[1] or 0) == expected


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("swap", [False, True])
def test_community_id_of_icmp(version: int, swap: bool) -> None:
    ends = ("10.0.0.1", "10.0.0.2") if version == 4 else ("2001:db8::1", "fe80::2")
    source, destination = reversed(ends) if swap else ends
    make = communityid.FlowTuple.make_icmp if version == 4 else communityid.FlowTuple.make_icmp6
    for kind in range(256):
        flow = _flow(version, source, destination, 1 if version == 4 else 58, bytes([kind, 3]) + b"\0" * 10)
        assert flow["network.community_id"] == ORACLE.calc(make(source, destination, kind, 3)), kind
        assert (flow["icmp.type"], flow["icmp.code"]) == (kind, 3)


@given(st.integers(0, 253_402_300_799_999_999))
def test_instants(microseconds: int) -> None:
    assert instant_text(microseconds) == format_instant(EPOCH + timedelta(microseconds=microseconds))


def test_instant_of_known_time() -> None:
    assert instant_text(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
    assert datetime(2023, 11, 14, 22, 13, 20, 1, UTC).timestamp() == 1_700_000_000.000001


@given(st.ip_addresses(v=6))
def test_ipv6_text(address) -> None:
    high, low = struct.unpack(">qq", address.packed)
    text = address_text(high, low, 6)
    assert text == str(address) or address.ipv4_mapped is not None or text.count(".") == 3


def test_mac_text() -> None:
    assert mac_text(0x00005E005323) == "00-00-5E-00-53-23"
