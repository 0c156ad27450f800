"""Who had an address: evidence of every kind, through a real store, within scope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cases.whereabouts import Answer, Certainty, Question, who_was
from edusoc.migrating import upgrade
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.model.event import Event
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.repository import load_tree, put_asset, put_unit, today
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Scope

AT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
PC, LAPTOP, PHONE = "00-00-5E-00-53-01", "00-00-5E-00-53-02", "00-00-5E-00-53-03"
INSIDE, EXIT = "192.168.1.10", "8.8.8.8"


@dataclass
class World:
    """Two schools with the same inside addresses, a store, a database."""

    store: EmbeddedStore
    database: Database
    one: str
    two: str
    number: int = 0

    def add(self, minutes: float, dataset: str, unit: str = "", **fields: object) -> None:
        """Store an event so many minutes after the asked time."""
        at = AT + timedelta(minutes=minutes)
        self.number += 1
        event: Event = {
            "@timestamp": format_instant(at),
            "event.id": f"{at:%Y%m%d}-{self.number:026d}",
            "event.dataset": dataset,
            "organization.id": unit or self.one,
            "edusoc.zone": "default",
        }
        for name, value in fields.items():
            event[name.replace("__", ".")] = value  # type: ignore[assignment]  # as the test says
        assert self.store.append([event]).accepted == 1

    def lease(
        self, minutes: float, mac: str, address: str = INSIDE, unit: str = "", **fields: object
    ) -> None:
        given = {"event__type": ["connection", "start"], "event__duration": 86_400 * 10**9, **fields}
        self.add(minutes, "dhcp.lease", unit, client__ip=address, client__mac=mac, **given)

    def ask(self, address: str = INSIDE, scope: Scope = SYSTEM_SCOPE, port: int = 0) -> list[Answer]:
        with self.database.read() as connection:
            tree = load_tree(connection, today(AT))
            return who_was(self.store, connection, tree, Question(address, AT, scope, port=port))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database, store = Database.in_directory(tmp_path), EmbeddedStore(tmp_path / "events", writer=True)
    upgrade(database)
    with database.write() as connection:
        one, two = (
            put_unit(
                connection,
                [Attribute("code", code), Attribute("name", code)],
                {"default": networks},
                now=AT - timedelta(days=30),
            )
            for code, networks in (("S1", [f"{EXIT}/32"]), ("S2", []))
        )
    yield World(store, database, one, two)
    store.close()
    database.close()


def test_a_lease_leads_to_a_card(world: World) -> None:
    world.lease(-300, PC, client__domain="pc-301")
    (answer,) = world.ask()
    assert (answer.certainty, answer.organization_id) == (Certainty.DEVICE, world.one)
    (candidate,) = answer.candidates
    assert (candidate.mac, candidate.hosts) == (PC, ("pc-301",))
    assert candidate.evidence[0].until == AT + timedelta(minutes=-300, days=1)


def test_a_lease_that_a_sensor_saw_leads_to_a_card(world: World) -> None:
    end = format_instant(AT + timedelta(minutes=30))
    seen = {"event__type": ["connection", "protocol", "start"], "event__end": end, "client__ip": INSIDE}
    world.add(-30, "suricata.dhcp", client__mac=PC, client__domain="pc-301", host__ip=[INSIDE], **seen)
    (answer,) = world.ask()
    (candidate,) = answer.candidates
    assert (answer.certainty, candidate.mac, candidate.hosts) == (Certainty.DEVICE, PC, ("pc-301",))


def test_who_was_given_the_address_last_comes_first(world: World) -> None:
    world.lease(-600, PC)
    world.lease(-60, LAPTOP)
    world.lease(30, PHONE)
    (answer,) = world.ask()
    assert answer.candidates[0].mac == LAPTOP
    assert {candidate.mac for candidate in answer.candidates} == {LAPTOP, PC, PHONE}
    assert answer.candidates[0].score >= 2 * answer.candidates[1].score


def test_a_released_lease_is_over(world: World) -> None:
    world.lease(-600, PC)
    world.lease(-200, PC, event__type=["connection", "end"])
    world.lease(-100, LAPTOP, event__duration=3_600 * 10**9)
    (answer,) = world.ask()
    assert answer.candidates[0].mac == LAPTOP
    assert answer.candidates[0].score < 0.6  # its hour was over 40 minutes before


def test_kinds_add_up_and_name_person_and_port(world: World) -> None:
    world.lease(-300, PC, client__domain="pc-301")
    world.add(-3, "snmp.neighbours", client__ip=INSIDE, client__mac=PC, observer__name="core-1")
    for mac, port in ((PC, "GE0/0/3"), (PC, "XGE0/0/1"), (LAPTOP, "XGE0/0/1"), (PHONE, "XGE0/0/1")):
        world.add(
            -5,
            "snmp.neighbours",
            client__mac=mac,
            observer__name="sw-3",
            observer__ingress__interface__name=port,
        )
    world.add(
        -100,
        "radius.accounting",
        client__ip=INSIDE,
        client__mac=PC,
        user__name="lilei",
        event__type=["start"],
    )
    world.add(
        -10, "windows.security", source__ip=INSIDE, user__name="hanmei", event__outcome="success",
        event__category=["authentication"], host__name="dc1",
    )  # fmt: skip
    (answer,) = world.ask()
    (candidate,) = answer.candidates
    assert candidate.score > 0.99
    assert candidate.users == ("lilei", "hanmei")
    assert candidate.hosts == ("pc-301",)
    assert candidate.places == ("core-1", "sw-3 GE0/0/3", "sw-3 XGE0/0/1")


def test_the_same_address_in_two_schools(world: World) -> None:
    world.lease(-300, PC)
    world.lease(-300, LAPTOP, unit=world.two)
    assert {answer.organization_id: answer.candidates[0].mac for answer in world.ask()} == {
        world.one: PC,
        world.two: LAPTOP,
    }
    (answer,) = world.ask(scope=Scope(frozenset({world.two})))
    assert answer.candidates[0].mac == LAPTOP
    (nobody,) = world.ask(scope=Scope(frozenset()))
    assert (nobody.certainty, nobody.organization_id) == (Certainty.UNKNOWN, "")


def test_an_asset_alone_is_named(world: World) -> None:
    with world.database.write() as connection:
        put_asset(
            connection, Asset(world.one, "default", INSIDE, "教务服务器", location="机房", user="王老师")
        )
    world.add(-1, "network.flow", source__ip=INSIDE, source__mac=PC)
    (answer,) = world.ask()
    assert answer.certainty == Certainty.DEVICE
    assert {host for candidate in answer.candidates for host in candidate.hosts} == {"教务服务器"}


def test_what_is_missing_is_said(world: World) -> None:
    world.add(
        -1,
        "syslog.auth",
        source__ip=INSIDE,
        user__name="lilei",
        event__outcome="success",
        event__category=["authentication"],
    )
    (answer,) = world.ask()
    assert answer.certainty == Certainty.UNKNOWN
    assert answer.candidates[0].users == ("lilei",)
    assert [hint.key for hint in answer.hints] == ["no_leases", "no_neighbours", "no_accounting"]


def translated(world: World, inside: str, port: int) -> None:
    world.add(
        -1,
        "huawei.firewall",
        source__ip=inside,
        source__nat__ip=EXIT,
        source__nat__port=port,
        observer__name="fw-1",
    )


def test_behind_an_exit_one_session_leads_on(world: World) -> None:
    translated(world, INSIDE, 40_122)
    translated(world, "192.168.1.11", 40_123)
    world.lease(-300, PC)
    (several,) = world.ask(EXIT)
    assert (several.certainty, [hint.key for hint in several.hints]) == (
        Certainty.EXIT,
        ["several", "need_port"],
    )
    (one,) = world.ask(EXIT, port=40_122)
    assert (one.certainty, one.candidates[0].mac) == (Certainty.DEVICE, PC)
    assert [session.inside for session in one.translations] == [INSIDE]


def test_an_exit_without_sessions_says_where_to_ask(world: World) -> None:
    (answer,) = world.ask(EXIT)
    assert (answer.certainty, answer.organization_id) == (Certainty.EXIT, world.one)
    assert [hint.key for hint in answer.hints] == ["no_translation", "need_port"]
    world.add(-1_000, "huawei.firewall", source__ip=INSIDE, source__nat__ip=EXIT, observer__name="fw-1")
    (answer,) = world.ask(EXIT, port=1)
    assert [hint.key for hint in answer.hints] == ["ask_device"]
    assert answer.hints[0].values["devices"] == "fw-1"


def test_what_is_no_address_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="no address"):
        world.ask("10.1.2")
