"""Rows of SNMP tables: what fits is read, anything else is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.live.neighbour_tables import Neighbour, addresses, mac_text, port_names, ports

CARD = bytes.fromhex("00005e005301")
MAC = "00-00-5E-00-53-01"
rows = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2**32 - 1), max_size=24).map(tuple),
        st.one_of(st.binary(max_size=8), st.integers(-(2**31), 2**31), st.just(CARD)),
    ),
    max_size=10,
)


@given(rows, rows, rows, rows)
def test_any_rows_go_through(one: list, two: list, three: list, four: list) -> None:  # type: ignore[type-arg]
    names = port_names(four)
    for neighbour in (*addresses(one, two, names), *ports(one, two, three, names)):
        assert len(neighbour.mac) == 17


def test_cards_of_groups_and_nobody_are_none() -> None:
    assert mac_text(CARD) == MAC
    assert [mac_text(raw) for raw in (b"\0" * 6, b"\xff" * 6, b"\x01\x00\x5e\0\0\1", b"short")] == [""] * 4


def test_both_tables_of_addresses() -> None:
    v6 = (7, 2, 16, *bytes.fromhex("20010db8000000000000000000000005"))
    zoned = (7, 4, 20, *bytes.fromhex("fe800000000000000000000000000005"), 0, 0, 0, 7)
    found = addresses(
        [((7, 10, 1, 2, 3), CARD)],
        [((7, 1, 4, 10, 1, 2, 3), CARD), (v6, CARD), (zoned, CARD)],
        {7: "Vlanif7"},
    )
    assert found == [
        Neighbour(MAC, "10.1.2.3", "Vlanif7"),
        Neighbour(MAC, "2001:db8::5", "Vlanif7"),
        Neighbour(MAC, "fe80::5", "Vlanif7"),
    ]


def test_plain_bridges_have_no_vlans() -> None:
    plain = [(tuple(CARD), 4), ((0, 0, 94, 0, 83, 2), 0)]
    assert ports([], plain, [((4,), 104)], {104: "GE0/0/4"}) == [Neighbour(MAC, port="GE0/0/4")]
    assert ports([((20, *CARD), 4)], plain, [], {}) == [Neighbour(MAC, port="port 4", vlan="20")]
