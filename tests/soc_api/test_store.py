"""How the store is and what it keeps: for auditors and administrators, of their own units, in API and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from soc_api.app import create_app
from soc_api.services import Services
from soc_core.store.interface import Health
from tests.soc_api.conftest import LogIn, School

RETENTION = "/api/v1/store/retention"


@pytest.mark.parametrize(("who", "codes"), [("auditor", {"S1", "S2"}), ("s1_auditor", {"S1"})])
def test_what_is_kept_of_the_own_units(
    log_in: LogIn, schools: Mapping[str, School], who: str, codes: set[str]
) -> None:
    answer = log_in(who).get(RETENTION).json()
    assert (answer["months"], answer["detail_days"], answer["cursor"]) == (6, 30, "")
    assert {item["organisation_id"] for item in answer["items"]} == {schools[code].unit for code in codes}
    for item in answer["items"]:
        assert (item["dataset"], item["kind"], item["events"]) == ("packets.dns", "detail", 5)
        assert (item["days"], item["required_from"], item["sound"]) == (1, "2026-10-24", True)


def test_pages_of_sources_follow_each_other(log_in: LogIn, schools: Mapping[str, School]) -> None:
    client = log_in("auditor")
    first = client.get(RETENTION, params={"limit": 1}).json()
    second = client.get(RETENTION, params={"limit": 1, "cursor": first["cursor"]}).json()
    assert (first["total"], second["cursor"]) == (2, "")
    units = [page["items"][0]["organisation_id"] for page in (first, second)]
    assert units == sorted(schools[code].unit for code in ("S1", "S2"))
    assert client.get(RETENTION, params={"cursor": first["cursor"], "missing": True}).status_code == 422


@pytest.mark.parametrize("path", ["/api/v1/store/health", RETENTION])
@pytest.mark.parametrize("who", ["county", "school1", "s1_overseer"])
def test_others_are_refused(log_in: LogIn, who: str, path: str) -> None:
    answer = log_in(who).get(path, headers={"Accept-Language": "zh"})
    assert answer.status_code == 403
    assert "只有审计员和管理员" in answer.json()["detail"]


class Ailing:
    """Be a reader that says it is not well."""

    def __init__(self, reader: object) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def health(self) -> Health:
        return Health("read_only", ("sealing failed: 7",))


def test_those_who_may_see_it_are_told_when_the_store_is_not_well(services: Services, log_in: LogIn) -> None:
    client = log_in("s1_developer")
    assert client.get("/api/v1/store/health").json() == {"state": "ok", "reasons": []}
    assert "日志存储正常" in client.get("/overview").text
    assert "日志存储" not in log_in("county").get("/overview").text
    ailing = TestClient(create_app(replace(services, reader=Ailing(services.reader))))  # type: ignore[arg-type]
    ailing.cookies, ailing.headers = client.cookies, client.headers
    said = ailing.get("/api/v1/store/health", headers={"Accept-Language": "zh"}).json()
    assert said == {"state": "read_only", "reasons": ["封存数据失败：7"]}
    page = ailing.get("/overview").text
    assert "日志存储只读" in page
    assert "封存数据失败" in page


def test_the_auditor_sees_sources_and_gaps(log_in: LogIn, schools: Mapping[str, School]) -> None:
    page = log_in("auditor").get("/audit?part=kept").text
    assert re.findall(r">(单位S\d)</a></td>", page) == ["单位S1", "单位S2"]
    assert "2 个来源，应留存的日志没有缺口" in page
    narrowed = log_in("auditor").get(f"/audit?part=kept&organisation={schools['S3'].unit}").text
    assert "还没有收到日志" in narrowed
    assert log_in("county").get("/audit?part=kept").status_code == 404
    assert log_in("auditor").get("/audit?part=other").status_code == 422
