"""One session's packets out of a capture, and its protocol tree."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.packets import session
from collectors.packets.session import cut_session, tree
from soc_core.errors import InputError
from tests.collectors.packets.making import (
    BEGIN,
    connection,
    dns_query,
    ethernet,
    flows,
    ipv4,
    pcap,
    pcapng,
    udp,
    udp_frame,
)
from tests.needs import need_tshark

START = datetime.fromtimestamp(BEGIN, UTC) - timedelta(minutes=1)
END = START + timedelta(hours=1)
WEB = connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")
NOISE = [(BEGIN, udp_frame(dns_query(), sport=number)) for number in range(1, 30)]


def _community(packets) -> str:
    (flow,) = flows(pcap(packets))
    return str(flow["network.community_id"])


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_cuts_both_directions_and_nothing_else(make, tmp_path: Path) -> None:
    source, target = tmp_path / "all.pcap", tmp_path / "cut.pcap"
    source.write_bytes(make(sorted(NOISE + WEB, key=lambda packet: packet[0])))
    cut = cut_session(source, _community(WEB), START, END, target, max_packets=100)
    assert (cut.packets, cut.more) == (len(WEB), False)
    assert target.read_bytes()[24:] == pcap(WEB)[24:]


def test_fragments_go_along(tmp_path: Path) -> None:
    datagram = udp(4000, 5000, b"x" * 200)
    first = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, datagram[:104], identity=9, fragment=0x2000))
    second = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, datagram[104:], identity=9, fragment=13))
    packets = [(BEGIN, first), (BEGIN, second)]
    source = tmp_path / "all.pcap"
    source.write_bytes(pcap(packets + NOISE))
    assert cut_session(source, _community(packets), START, END, tmp_path / "cut", max_packets=9).packets == 2


def test_bounds(tmp_path: Path) -> None:
    source, target = tmp_path / "all.pcap", tmp_path / "cut.pcap"
    source.write_bytes(pcap(WEB))
    community = _community(WEB)
    few = cut_session(source, community, START, END, target, max_packets=3)
    assert (few.packets, few.more) == (3, True)
    early = cut_session(source, community, START, START + timedelta(seconds=60.025), target, max_packets=9)
    assert early.packets == 3
    missing = tmp_path / "never"
    assert cut_session(source, "1:nothing", START, END, missing, max_packets=9).packets == 0
    assert cut_session(source, community, END, END, missing, max_packets=9).packets == 0
    assert not missing.exists()
    with pytest.raises(InputError):
        cut_session(tmp_path / "absent", community, START, END, target, max_packets=9)


def test_missing_tshark_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    found = tree(tmp_path / "x")
    assert found.lines == ()
    assert "tshark" in found.missing
    assert "\n" not in found.missing


def test_tree(tmp_path: Path) -> None:
    need_tshark()
    pytest.importorskip("pyshark")
    file = tmp_path / "web.pcap"
    file.write_bytes(pcap(WEB))
    found = tree(file)
    assert found.missing == ""
    text = "\n".join(found.lines)
    assert text.count("\n  ip") == len(WEB)
    assert "\n  http" in text


def test_tree_of_nonsense_and_of_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_tshark()
    file = tmp_path / "nonsense.pcap"
    file.write_bytes(b"nonsense")
    assert "no protocol tree" in tree(file).missing
    monkeypatch.setattr(session, "TREE_SECONDS", 0)
    assert "longer than 0 s" in tree(file).missing
