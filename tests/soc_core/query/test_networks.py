"""Hold that many networks asked at once answer as each alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.query.evaluate import value_test
from soc_core.query.networks import networks_test
from soc_core.query.tree import Cidr

NETWORKS = st.one_of(
    st.ip_addresses().flatmap(
        lambda address: st.integers(0, address.max_prefixlen).map(lambda length: f"{address}/{length}")
    ),
    st.sampled_from(
        ["10.0.0.0/8", "10.0.0.0/9", "::ffff:0:0/96", "fe80::/10", "0.0.0.0/0", "::/0", "10.1.2.3"]
    ),
)
VALUES = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["10.0.0.1", "::ffff:10.1.2.3", "fe80::1%eth0", "10.0.0", "", "x", "1", 1, 1.5, True]),
)


@given(st.lists(NETWORKS, max_size=8), VALUES)
def test_together_as_alone(networks: list[str], value: str | int | float | bool) -> None:
    found = networks_test([(network, number) for number, network in enumerate(networks)])(value)
    alone = [n for n, network in enumerate(networks) if value_test(Cidr("source.ip", network))(value)]
    assert sorted(found) == alone


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"octet|IPv4 or IPv6"):
        networks_test([("10.0.0.300/8", 1)])
