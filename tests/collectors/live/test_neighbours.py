"""Who is where, asked of a real SNMP agent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from collectors.live.neighbour_tables import Neighbour
from collectors.live.neighbours import Known, NeighboursInput, Settings, build
from collectors.live.options import Options
from collectors.live.snmp import Credentials
from soc_core.errors import UsageError
from tests.collectors.live.outlets import NOW, Kept, running
from tests.collectors.live.snmp_agent import (
    CIPHER_KEY,
    COMMUNITY,
    DIGEST_KEY,
    USER,
    Agent,
    hex_card,
    snmp_agent,
)

PC, PHONE, SERVER = "00-00-5E-00-53-01", "00-00-5E-00-53-02", "00-00-5E-00-53-03"
MIB = "1.3.6.1.2.1"


def tables(port_of_pc: int = 3) -> dict[str, tuple[str, str]]:
    return {
        f"{MIB}.31.1.1.1.1.10": ("string", "Vlanif20"),
        f"{MIB}.31.1.1.1.1.103": ("string", "GE0/0/3"),
        f"{MIB}.31.1.1.1.1.104": ("string", "GE0/0/4"),
        f"{MIB}.4.22.1.2.10.10.1.2.3": ("octet", hex_card(PC)),
        f"{MIB}.4.22.1.2.10.10.1.2.4": ("octet", hex_card(PHONE)),
        f"{MIB}.4.22.1.2.10.10.1.2.5": ("octet", "FF FF FF FF FF FF"),
        f"{MIB}.4.35.1.4.10.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.5": ("octet", hex_card(SERVER)),
        f"{MIB}.17.1.4.1.2.3": ("integer", "103"),
        f"{MIB}.17.1.4.1.2.4": ("integer", "104"),
        f"{MIB}.17.7.1.2.2.1.2.20.0.0.94.0.83.1": ("integer", str(port_of_pc)),
    }


@pytest.fixture
def agent(tmp_path: Path) -> Agent:  # type: ignore[misc]  # a fixture that yields
    with snmp_agent(tmp_path) as running_agent:
        running_agent.write(tables())
        yield running_agent


def polling(agent: Agent, credentials: Credentials, interval: int = 3_600) -> NeighboursInput:
    return NeighboursInput("switches", Settings((agent.address,), credentials, interval, timeout=2))


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(community=COMMUNITY),
        Credentials(user=USER, digest="sha256", digest_key=DIGEST_KEY, cipher="aes", cipher_key=CIPHER_KEY),
    ],
    ids=["version 2c", "version 3"],
)
def test_addresses_cards_and_ports(agent: Agent, credentials: Credentials) -> None:
    with running(polling(agent, credentials), Kept()) as kept:
        events = kept.wait_for(4)
    found = {
        (
            event["client.mac"],
            event.get("client.ip"),
            event.get("observer.ingress.interface.name"),
            event.get("network.vlan.id"),
        )
        for event in events
    }
    assert found == {
        (PC, "10.1.2.3", "Vlanif20", None),
        (PHONE, "10.1.2.4", "Vlanif20", None),
        (SERVER, "2001:db8::5", "Vlanif20", None),
        (PC, None, "GE0/0/3", "20"),
    }
    assert {(event["observer.name"], event["event.action"]) for event in events} == {
        ("core-1", "neighbour-seen")
    }
    assert len({event["event.id"] for event in events}) == 4


def test_only_changes_are_said(agent: Agent) -> None:
    live = polling(agent, Credentials(community=COMMUNITY), interval=0)
    with running(live, Kept()) as kept:
        kept.wait_for(4)
        agent.write(tables(port_of_pc=4))
        kept.wait_for(6)
        agent.write(
            {oid: row for oid, row in tables().items() if oid.startswith((f"{MIB}.31", f"{MIB}.17.1"))}
        )
        events = kept.wait_for(10)
    moved = [(event["event.action"], event["observer.ingress.interface.name"]) for event in events[4:6]]
    assert moved == [("neighbour-seen", "GE0/0/4"), ("neighbour-gone", "GE0/0/3")]
    assert {event["event.action"] for event in events[6:]} == {"neighbour-gone"}
    assert len(events) == 10
    assert len({event["event.id"] for event in events}) == 10


def test_a_device_that_does_not_answer_is_said(agent: Agent) -> None:
    live = NeighboursInput(
        "switches", Settings((agent.address,), Credentials(community="wrong"), 3_600, timeout=1)
    )
    with running(live, Kept()) as kept:
        kept.wait_for(0, bad=1)
    assert "does not answer by SNMP" in kept.bad[0].reason
    assert kept.bad[0].source == "127.0.0.1"


def test_what_could_not_be_stored_is_said_again(agent: Agent) -> None:
    kept = Kept()
    kept.failing = 2
    with running(polling(agent, Credentials(community=COMMUNITY)), kept):
        kept.wait_for(4)


def test_who_stays_is_said_again_after_a_while() -> None:
    known, here, gone = Known(), Neighbour(PC, "10.1.2.3"), Neighbour(PHONE, "10.1.2.4")
    assert known.changes([here, gone], NOW, 600) == ([here, gone], [])
    assert known.changes([here], NOW + timedelta(seconds=599), 600) == ([], [gone])
    assert known.changes([here], NOW + timedelta(seconds=600), 600) == ([here], [])


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({}, "devices"),
        ({"devices": ["10.1.1.1"]}, "community"),
        ({"devices": ["10.1.1.1"], "community": "x", "user": "y"}, "community"),
        ({"devices": ["10.1.1.1"], "user": "y", "digest_key": "short"}, "digest_key"),
        ({"devices": ["10.1.1.1"], "user": "y", "digest": "crc"}, "digest"),
        ({"devices": ["10.1.1.1:x"], "community": "x"}, "devices"),
        ({"devices": ["10.1.1.1"], "community": "x", "every": 3}, "every"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=f"'{named}'"):
        build("switches", Options(table, "agent.toml: inputs 'switches'"))


def test_secrets_are_not_shown() -> None:
    live = build("switches", Options({"devices": "10.1.1.1", "community": "hush"}, "agent.toml"))
    assert "hush" not in repr(live._settings)
