"""Lists, look-ups and hits through the API: hits by unit, lists for named people only for the centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import insert

from detectors.indicators.model import Tlp
from intake.indicators.importing import ListKeeper
from intake.indicators.model import Wanted
from intake.indicators.shelf import Shelf
from intake.indicators.tables import hits
from soc_api.services import Services
from soc_core.config import Settings
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import load_tree, put_unit
from tests.conftest import NOW
from tests.soc_api.conftest import LogIn, School

AT = "2026-11-20T01:02:03.000000Z"


@pytest.fixture
def lists(app: FastAPI, services: Services, schools: Mapping[str, School], tmp_path: Path) -> None:
    """Keep an open list and one for named people, each with a hit in two schools."""
    state = tmp_path / "indicators-state"
    app.state.services = replace(services, settings=Settings(state=str(state)))
    keeper = ListKeeper(Shelf(state), services.database)
    for name, data, tlp in (("open", b"evil.cn\n", Tlp.GREEN), ("red", b"secret.cn\n", Tlp.RED)):
        kept = keeper.import_list(data, Wanted(name, "file", "wang", "why", tlp=tlp), NOW).kept
        with services.database.write() as connection:
            for code in ("S1", "S3"):
                row = {
                    "list_id": kept.id, "indicator": f"indicator.domain.{name}", "value": f"{name}.{code}.cn",
                    "organization_id": schools[code].unit, "hits": 3, "first_at": AT, "last_at": AT,
                }  # fmt: skip
                connection.execute(insert(hits).values(row))


PATH = "/api/v1/indicators"


@pytest.mark.usefixtures("lists")
def test_hits_are_those_of_ones_own_units(log_in: LogIn, schools: Mapping[str, School]) -> None:
    body = log_in("school1").get(f"{PATH}/hits").json()
    assert [(item["value"], item["hits"]) for item in body["items"]] == [("open.S1.cn", 3)]
    other = log_in("school1").get(f"{PATH}/hits", params={"organisation": schools["S3"].unit})
    assert (other.status_code, other.json()) == (200, {"items": []})
    assert len(log_in("county").get(f"{PATH}/hits").json()["items"]) == 1  # S1 is below it, S3 is not
    assert log_in("").get(f"{PATH}/hits").status_code == 401


@pytest.mark.usefixtures("lists")
def test_lists_for_named_people_are_not_told_to_schools(log_in: LogIn) -> None:
    client = log_in("school1")
    assert [item["name"] for item in client.get(f"{PATH}/lists").json()["items"]] == ["open"]
    told = client.get(f"{PATH}/check", params={"value": "x.secret.cn"}).json()
    assert (told["kind"], told["matches"], told["listed"]) == ("domain", False, [])
    listed = client.get(f"{PATH}/check", params={"value": "hxxp://evil[.]cn/a"}).json()
    assert (listed["kind"], listed["matches"], listed["listed"][0]["list"]) == ("url", True, "open")
    assert client.get(f"{PATH}/check", params={"value": "?"}).json()["kind"] == ""
    assert client.get(f"{PATH}/check").status_code == 422


@pytest.mark.usefixtures("lists")
def test_the_networks_of_other_units_are_not_told(log_in: LogIn, services: Services, app: FastAPI) -> None:
    address = "203.0.114.9"
    with services.database.write() as connection:
        put_unit(
            connection,
            [Attribute("code", "S8"), Attribute("name", "S8")],
            {"default": ["203.0.114.0/24"]},
            now=NOW,
        )
    state = app.state.services.settings.state_directory
    ListKeeper(Shelf(state), services.database).build(NOW)
    told = log_in("school1").get(f"{PATH}/check", params={"value": address}).json()
    assert [(item["list_id"], item["value"]) for item in told["allowed"]] == [("own", address)]


@pytest.mark.usefixtures("lists")
def test_the_centre_is_told_everything(
    log_in: LogIn, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soc_api.indicators import endpoints

    with services.database.read() as connection:
        tree = load_tree(connection, NOW.date())
    whole = frozenset(tree.units)
    seen = endpoints.sees_red
    monkeypatch.setattr(
        endpoints,
        "sees_red",
        lambda caller: seen(replace(caller, scope=replace(caller.scope, ids=whole))),
    )
    client = log_in("county")
    assert [item["name"] for item in client.get(f"{PATH}/lists").json()["items"]] == ["open", "red"]
    told = client.get(f"{PATH}/check", params={"value": "x.secret.cn"}).json()
    assert (told["matches"], told["listed"][0]["tlp"]) == (True, "red")
    assert client.get(f"{PATH}/hits").json()["items"][0]["list"] in {"open", "red"}
    assert [item["name"] for item in log_in("school1").get(f"{PATH}/lists").json()["items"]] == ["open"]


def test_without_lists_nothing_is_listed(log_in: LogIn) -> None:
    client = log_in("school1")
    assert client.get(f"{PATH}/lists").json() == {"items": []}
    assert client.get(f"{PATH}/check", params={"value": "evil.cn"}).json()["matches"] is False
