"""Unit, assets and direction by the centre's own lists."""

from __future__ import annotations

from pathlib import Path

from edusoc.migrating import upgrade
from intake.enrich.directory import Directory
from soc_core.clock import utc_now
from soc_core.model.event import Event
from soc_core.model.organisation import Asset, Attribute
from soc_core.organisations.repository import put_asset, put_unit
from soc_core.state.database import Database


def test_units_assets_and_direction(tmp_path: Path) -> None:
    database, ticks = Database.in_directory(tmp_path), [0.0]
    upgrade(database)
    with database.write() as connection:
        named = [Attribute("code", "S1"), Attribute("name", "学安中学")]
        unit = put_unit(connection, named, {"default": ["203.0.113.0/24"]}, now=utc_now())
        put_asset(connection, Asset(unit, "default", "10.1.2.3", "教务服务器", kind="server"))
    directory = Directory(database, utc_now, lambda: ticks[0])
    event: Event = {
        "organization.id": unit, "edusoc.zone": "default", "source.ip": "10.1.2.3", "destination.ip": "198.51.100.7",
    }  # fmt: skip
    directory.enrich(event)
    assert event["organization.name"] == "学安中学"
    assert (event["edusoc.asset.source.name"], event["edusoc.asset.source.kind"]) == ("教务服务器", "server")
    assert event["network.direction"] == "outbound"
    assert "edusoc.asset.destination.name" not in event
    inward: Event = {**event, "source.ip": "198.51.100.7", "destination.ip": "203.0.113.5"}
    del inward["network.direction"]
    directory.enrich(inward)
    assert inward["network.direction"] == "inbound"
    with database.write() as connection:
        put_asset(connection, Asset(unit, "default", "10.9.9.9", "新设备"))
    fresh: Event = {"organization.id": unit, "edusoc.zone": "default", "host.ip": ["10.9.9.9"]}
    directory.enrich(fresh)
    assert "edusoc.asset.host.name" not in fresh  # a minute has not passed
    ticks[0] = 61.0
    directory.enrich(fresh)
    assert fresh["edusoc.asset.host.name"] == "新设备"
    database.close()


def test_strangers_stay_strangers(tmp_path: Path) -> None:
    database = Database.in_directory(tmp_path)
    upgrade(database)
    event: Event = {"organization.id": "nobody", "source.ip": "x"}
    Directory(database, utc_now).enrich(event)
    assert event.keys() == {"organization.id", "source.ip"}
    database.close()
