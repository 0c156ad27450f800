"""What a probe or a syslog server receives for many schools is given to each; unknown senders wait, nothing is lost."""

from __future__ import annotations

from datetime import date

from intake.agents import repository
from intake.agents.assigning import assign_network
from soc_core.model.event import Event
from soc_core.organisations.networks import PlannedNetwork, put_network
from tests.conftest import NOW
from tests.intake.agents.conftest import Centre, made


def plan(centre: Centre) -> None:
    with centre.database.write() as connection:
        for code, network in (("S1", "10.1.0.0/16"), ("S2", "10.2.0.0/16")):
            put_network(connection, PlannedNetwork(centre.tree.find(code).id, "edunet", network))


def units(centre: Centre) -> list[tuple[str, str]]:
    names = {unit.id: code for code in ("C", "S1", "S2", "S3") for unit in [centre.tree.find(code)]}
    found = centre.events("syslog")
    return sorted(
        (names[str(event["organization.id"])], str(event.get("edusoc.assigned_by"))) for event in found
    )


def test_senders_and_flows_are_given_to_their_schools(centre: Centre) -> None:
    plan(centre)
    player = centre.join("core", "C", below=True, zone="edunet")
    sent: list[Event] = [
        *made(1, fields={"log.source.address": "10.1.0.9"}),
        *made(1, start=1, fields={"source.ip": "203.0.113.9", "destination.ip": "10.2.3.4"}),
        *made(1, start=2, fields={"source.ip": "203.0.113.9", "destination.ip": "198.51.100.1"}),
        *made(2, start=3, fields={"log.source.address": "10.77.0.1"}),
        *made(1, start=6, fields={"log.source.address": "fw1.example"}),
        *made(1, start=7, fields={"source.ip": "10.88.0.1"}),
    ]
    assert player.send(sent).bad == 0
    assert units(centre) == [
        *([("C", "unknown")] * 5),
        ("S1", "sender"),
        ("S2", "destination"),
    ]
    with centre.database.read() as connection:
        waiting = repository.list_senders(connection, [player.told.agent])
    assert [(sender.address, sender.events) for sender in waiting] == [("10.77.0.1", 2), ("10.88.0.1", 1)]


def test_an_unknown_sender_is_assigned_from_then_on(centre: Centre) -> None:
    plan(centre)
    player = centre.join("core", "C", below=True, zone="edunet")
    player.send(made(2, fields={"log.source.address": "10.77.0.1"}))
    with centre.database.write() as connection:
        assign_network(connection, centre.agent("core"), "10.77.0.0/24", centre.tree.find("S1").id, NOW)
        assert not repository.list_senders(connection, [player.told.agent])
    player.send(
        made(1, fields={"log.source.address": "10.77.0.1", "@timestamp": "2026-11-23T05:00:00.000000Z"})
    )
    assert units(centre) == [("C", "unknown"), ("C", "unknown"), ("S1", "sender")]


def test_a_key_of_one_unit_asks_nobody(centre: Centre) -> None:
    plan(centre)
    player = centre.join("one", "S1", zone="edunet")
    player.send(made(1, fields={"log.source.address": "10.2.0.1"}))
    assert units(centre) == [("S1", "None")]


def test_a_unit_that_moves_below_is_covered_from_then_on(centre: Centre) -> None:
    from soc_core.model.organisation import Attribute
    from soc_core.organisations.repository import put_unit

    player = centre.join("core", "C", below=True)
    unit = centre.tree.find("S3").id
    assert player.send(made(1, fields={"organization.id": unit})).bad == 1
    values = [Attribute("code", "S3"), Attribute("parent_id", centre.tree.find("C").id, date(2026, 11, 1))]
    with centre.database.write() as connection:
        put_unit(connection, values, {}, now=NOW)
    assert player.send(made(1, start=1, fields={"organization.id": unit})).bad == 0
