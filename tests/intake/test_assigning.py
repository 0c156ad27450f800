"""Events of keys that cover many units belong to whoever holds the address, on the day, by the longest prefix."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from intake.assigning import AddressResolver, ResolverCache, assign
from soc_core.model.event import Event
from soc_core.organisations.networks import PlannedNetwork, list_networks, put_network, put_networks, zones_on
from soc_core.organisations.repository import OrganisationTree, load_tree
from soc_core.state.database import Database

DAY = date(2026, 11, 23)
AT = "2026-11-23T04:00:00.000000Z"
PLAN = [
    PlannedNetwork("county", "edunet", "10.0.0.0/8"),
    PlannedNetwork("s1", "edunet", "10.1.0.0/16"),
    PlannedNetwork("s2", "edunet", "10.1.7.0/24", date(2026, 9, 1)),
    PlannedNetwork("s3", "edunet", "10.2.0.0/16", None, date(2026, 9, 1)),
    PlannedNetwork("s4", "edunet", "10.2.0.0/16", date(2026, 9, 1), None),
    PlannedNetwork("s1", "edunet", "2001:db8:1::/48"),
    PlannedNetwork("s5", "edunet", "10.9.0.0/16"),
    PlannedNetwork("s6", "edunet", "10.9.0.0/16"),
    PlannedNetwork("s7", "other", "10.1.0.0/16"),
]
ALL = {item.organization_id for item in PLAN}
RESOLVER = AddressResolver(PLAN)


def unit_of(address: str, day: date = DAY, within: set[str] = ALL, zone: str = "edunet") -> str:
    return RESOLVER.unit_of(address, zone, day, within)


def test_the_longest_prefix_of_the_day_decides() -> None:
    assert unit_of("10.1.2.3") == "s1"
    assert unit_of("10.1.7.3") == "s2"
    assert unit_of("10.1.7.3", date(2026, 8, 31)) == "s1"
    assert unit_of("10.2.0.1", date(2026, 8, 31)) == "s3"
    assert unit_of("10.2.0.1", date(2026, 9, 1)) == "s4"
    assert unit_of("10.200.0.1") == "county"
    assert unit_of("2001:db8:1::5") == "s1"
    assert unit_of("10.1.2.3", zone="other") == "s7"


def test_what_nobody_or_several_hold_decides_nothing() -> None:
    assert unit_of("192.0.2.1") == ""
    assert unit_of("10.9.0.1") == ""
    assert unit_of("no address") == ""
    assert unit_of("10.1.2.3", zone="default") == ""


def test_only_units_the_key_covers() -> None:
    assert unit_of("10.1.7.3", within={"s1", "county"}) == "s1"
    assert unit_of("10.9.0.1", within={"s6"}) == "s6"
    assert unit_of("10.1.7.3", within={"s9"}) == ""


@given(
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(8, 32), st.sampled_from("abc")), max_size=12),
    st.data(),
)
def test_it_is_what_looking_at_each_network_gives(
    given_plan: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    plan = [
        PlannedNetwork(unit, "z", str(ip_network((10 << 24 | number << 8, length), strict=False)))
        for number, length, unit in given_plan
    ]
    starts = [int(ip_network(item.network).network_address) for item in plan] or [10 << 24]
    address = ip_address((data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 300))) % 2**32)
    holders: dict[int, set[str]] = {}
    for item in plan:
        network = ip_network(item.network)
        if address in network:
            holders.setdefault(network.prefixlen, set()).add(item.organization_id)
    longest = holders[max(holders)] if holders else set()
    wanted = next(iter(longest)) if len(longest) == 1 else ""
    assert AddressResolver(plan).unit_of(str(address), "z", DAY, {"a", "b", "c"}) == wanted


def test_senders_go_before_sides_and_sources_before_destinations() -> None:
    def found(**fields: str) -> tuple[str, str]:
        event: Event = {"@timestamp": AT, **{name.replace("_", "."): value for name, value in fields.items()}}
        result = assign(RESOLVER, event, "edunet", ALL)
        return result.unit, result.by

    assert found(log_source_address="10.1.2.3", source_ip="10.2.0.1") == ("s1", "sender")
    assert found(log_source_address="192.0.2.9", source_ip="10.2.0.1") == ("", "unknown")
    assert found(source_ip="10.2.0.1", destination_ip="10.1.2.3") == ("s4", "source")
    assert found(source_ip="203.0.113.5", destination_ip="10.1.2.3") == ("s1", "destination")
    assert found(source_ip="203.0.113.5") == ("", "unknown")
    assert found() == ("", "unknown")


def test_validity_dates_are_local_days() -> None:
    event: Event = {"@timestamp": "2026-08-31T16:00:00.000000Z", "source.ip": "10.2.0.1"}
    assert assign(RESOLVER, event, "edunet", ALL).unit == "s4"
    event["@timestamp"] = "2026-08-31T15:59:59.999999Z"
    assert assign(RESOLVER, event, "edunet", ALL).unit == "s3"


def test_a_change_of_the_plan_is_seen(database: Database, tree: OrganisationTree) -> None:
    unit, cache = tree.find("S1").id, ResolverCache()
    with database.write() as connection:
        before = cache.current(connection)
        assert cache.current(connection) is before
        put_network(connection, PlannedNetwork(unit, "edunet", "10.1.0.0/16", DAY))
        after = cache.current(connection)
        assert after.unit_of("10.1.0.1", "edunet", DAY, {unit}) == unit
        put_network(connection, PlannedNetwork(unit, "edunet", "10.1.0.0/16", DAY, DAY))
        assert cache.current(connection).unit_of("10.1.0.1", "edunet", DAY, {unit}) == ""


def test_networks_of_a_list_that_change_are_closed_not_lost(
    database: Database, tree: OrganisationTree
) -> None:
    unit, later = tree.find("S1").id, date(2027, 9, 1)
    with database.write() as connection:
        put_networks(connection, unit, {"default": ["10.7.0.0/16"]}, start=None, day=later)
        put_networks(connection, unit, {}, start=None, day=later)
        assert zones_on(connection, DAY)[unit] == {"default": ["192.168.1.0/24"]}
        assert zones_on(connection, later)[unit] == {"default": ["10.7.0.0/16"]}
        assert load_tree(connection, later).units[unit].zones == {"default": ("10.7.0.0/16",)}
        assert len([item for item in list_networks(connection) if item.organization_id == unit]) == 2


def test_the_plan_is_read_anew_when_a_network_ends(database: Database, tree: OrganisationTree) -> None:
    first, second = (unit.id for unit in list(tree.units.values())[:2])
    plans, ends = ResolverCache(), [date(2026, 1, 1), date(2026, 12, 1)]
    with database.write() as connection:
        for number, end in enumerate(ends):  # others ended before and will end after it
            put_network(connection, PlannedNetwork(second, "ending", f"10.{number}.0.0/16", None, end))
        put_network(connection, PlannedNetwork(first, "ending", "10.7.0.0/16"))
    with database.read() as connection:
        assert plans.current(connection).unit_of("10.7.0.1", "ending", DAY, {first}) == first
    with database.write() as connection:
        put_network(connection, PlannedNetwork(first, "ending", "10.7.0.0/16", None, date(2026, 11, 1)))
    with database.read() as connection:
        assert plans.current(connection).unit_of("10.7.0.1", "ending", DAY, {first}) == ""
