from __future__ import annotations

import communityid
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.network import community_id, put_side, put_totals, put_transport, put_url
from soc_core.model.event import Event

_MAKER = communityid.CommunityID()
_ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
_PORTS = st.integers(0, 65535)


@given(_ADDRESSES, st.sampled_from([6, 17, 132]), _PORTS, _PORTS)
def test_community_id_equals_the_reference(
    addresses: tuple[object, object], number: int, one: int, two: int
) -> None:
    source, destination = (str(address) for address in addresses)
    wanted = _MAKER.calc(communityid.FlowTuple(number, source, destination, one, two))
    assert community_id(source, destination, number, one, two) == wanted


@pytest.mark.parametrize("kind", [0, 3, 5, 8, 9, 10, 11, 13, 14, 17, 18])
def test_community_id_of_icmp(kind: int) -> None:
    for source, destination in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")):
        wanted = _MAKER.calc(communityid.FlowTuple(1, source, destination, kind, 1))
        assert community_id(source, destination, 1, kind, 1) == wanted


@pytest.mark.parametrize("kind", [1, 128, 129, 130, 133, 134, 135, 136, 143, 144])
def test_community_id_of_icmp6(kind: int) -> None:
    wanted = _MAKER.calc(communityid.FlowTuple(58, "fe80::2", "fe80::1", kind, 0))
    assert community_id("fe80::2", "fe80::1", 58, kind, 0) == wanted


def test_community_id_without_ports() -> None:
    event: Event = {"source.ip": "10.0.0.1", "destination.ip": "10.0.0.2"}
    put_transport(event, "GRE")
    wanted = _MAKER.calc(communityid.FlowTuple(47, "10.0.0.1", "10.0.0.2"))
    assert event["network.community_id"] == wanted


def test_names_that_are_no_address_stay_as_given() -> None:
    event: Event = {}
    put_side(event, "source", "pc-1", "many")
    assert event == {"source.address": "pc-1", "edusoc.extra": ["source.port=many"]}


def test_totals_need_both_sides() -> None:
    event: Event = {"source.bytes": 1, "destination.bytes": 2, "source.packets": 3}
    put_totals(event)
    assert event["network.bytes"] == 3
    assert "network.packets" not in event


@pytest.mark.parametrize(
    ("host", "path", "wanted"),
    [
        ("www.example:8080", "/a/b.php?x=1#f", {"domain": "www.example", "port": 8080, "path": "/a/b.php",
                                                "query": "x=1",
                                                "fragment": "f", "extension": "php"}),
        ("[2001:db8::1]", "/", {"domain": "2001:db8::1", "path": "/"}),
        (None, "http://u@proxy.example/x", {"domain": "proxy.example", "scheme": "http", "path": "/x"}),
        (None, "*", {"path": "*"}),
    ],
)  # fmt: skip
def test_url_parts(host: str | None, path: str, wanted: dict[str, object]) -> None:
    event: Event = {}
    put_url(event, host=host, path=path)
    assert event == {"url.original": path, **{f"url.{name}": value for name, value in wanted.items()}}
