"""People see the agents of their units: how they are, what they lack, who sends to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from intake.agents import repository
from intake.agents.model import Gap
from soc_api.services import Services
from soc_core.clock import format_instant
from tests.conftest import NOW
from tests.soc_api.conftest import LogIn, School, app, built, log_in, schools, services

__all__ = ["app", "built", "log_in", "schools", "services"]


def test_agents_are_listed_with_what_is_wrong(log_in: LogIn, schools: Mapping[str, School]) -> None:
    items = log_in("county").get("/api/v1/agents").json()["items"]
    assert [item["name"] for item in items] == sorted(
        ["采集代理S1", "采集代理S2"], key=lambda name: schools[name[-2:]].unit
    )
    assert {item["condition"] for item in items} == {"troubled"}
    assert items[0]["sources"][0]["state"] == "silent"
    assert "public_key" not in items[0]
    narrowed = log_in("county").get("/api/v1/agents", params={"organisation": schools["S2"].unit})
    assert [item["name"] for item in narrowed.json()["items"]] == ["采集代理S2"]


def test_one_agent_with_gaps_and_senders(
    log_in: LogIn, services: Services, schools: Mapping[str, School]
) -> None:
    agent, at = schools["S1"].agent, format_instant(NOW)
    with services.database.write() as connection:
        repository.add_gaps(connection, agent, [Gap("e1", 5, 12, at)])
    client = log_in("school1")
    found = client.get(f"/api/v1/agents/{agent}").json()
    assert (found["lost"], found["gaps"]) == (7, [{"epoch": "e1", "start": 5, "end": 12, "at": at}])
    assert client.get(f"/api/v1/agents/{agent}/senders").json()["items"][0]["events"] == 3
    assert client.get("/api/v1/agents/g0000").status_code == 404
    assert client.get("/api/v1/agents/G!").status_code == 422


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_says_who_is_silent(
    log_in: LogIn, services: Services, schools: Mapping[str, School], language: str
) -> None:
    with services.database.write() as connection:
        old = format_instant(NOW - timedelta(hours=3))
        repository.set_seen(connection, schools["S2"].agent, {"last_seen_at": old})
    client = log_in("county")
    client.cookies.set("edusoc_language", language)
    page = client.get("/agents").text
    assert page.index("采集代理S2") < page.index("采集代理S1"), "who is silent comes first"
    assert {"zh": "失联", "en": "silent"}[language] in page
    assert "来源S1" in page


def test_without_agents_the_page_says_what_to_do(log_in: LogIn, services: Services) -> None:
    from sqlalchemy import delete

    from intake.agents.tables import agents, senders, sources, units

    with services.database.write() as connection:
        for table in (senders, sources, units, agents):
            connection.execute(delete(table))
    assert "edusoc agents code" in log_in("county").get("/agents").text
