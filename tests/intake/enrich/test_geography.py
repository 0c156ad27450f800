"""Places and operators of addresses, from files of the site."""

from __future__ import annotations

import os
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from intake.enrich.geography import Geography
from soc_core.model.event import Event

OUTSIDE = "1.2.4.8"


def write(path: Path, row: dict[str, object], network: str = "1.2.4.0/24") -> None:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test")
    writer.insert_network(IPSet([network]), row)
    fresh = path.with_suffix(".new")
    writer.to_db_file(str(fresh))
    fresh.replace(path)


def city(name: str) -> dict[str, object]:
    return {
        "country": {"iso_code": "CN", "names": {"en": "China", "zh-CN": "中国"}},
        "subdivisions": [{"names": {"en": "Zhejiang"}}],
        "city": {"names": {"zh-CN": name}},
    }


def test_city_and_operator(tmp_path: Path) -> None:
    write(tmp_path / "city.mmdb", city("杭州"))
    write(
        tmp_path / "asn.mmdb",
        {"autonomous_system_number": 64_500, "autonomous_system_organization": "Example Net"},
    )
    event: Event = {"source.ip": OUTSIDE, "destination.ip": "192.168.1.10"}
    Geography([tmp_path / "city.mmdb", tmp_path / "asn.mmdb"]).enrich(event)
    assert event == {
        "source.ip": OUTSIDE,
        "destination.ip": "192.168.1.10",
        "source.geo.country_name": "中国",
        "source.geo.country_iso_code": "CN",
        "source.geo.region_name": "Zhejiang",
        "source.geo.city_name": "杭州",
        "source.as.number": 64_500,
        "source.as.organization.name": "Example Net",
    }


def test_a_replaced_file_is_read_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    path, ticks = tmp_path / "city.mmdb", [0.0]
    write(path, city("杭州"))
    geography = Geography([path], lambda: ticks[0])
    first: Event = {"source.ip": OUTSIDE}
    geography.enrich(first)
    write(path, city("宁波"))
    os.utime(path, ns=(1, 1))
    ticks[0] = 61.0
    second: Event = {"source.ip": OUTSIDE}
    geography.enrich(second)
    assert (first["source.geo.city_name"], second["source.geo.city_name"]) == ("杭州", "宁波")
    path.write_bytes(b"no database")
    ticks[0] = 122.0
    third: Event = {"source.ip": OUTSIDE}
    geography.enrich(third)
    assert third == second
    assert str(path) in geography.problems


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    geography = Geography([tmp_path / "none.mmdb"])
    event: Event = {"source.ip": OUTSIDE, "destination.ip": "nonsense"}
    geography.enrich(event)
    assert event.keys() == {"source.ip", "destination.ip"}
    assert str(tmp_path / "none.mmdb") in geography.problems


def test_strange_records_are_passed_over(tmp_path: Path) -> None:
    write(
        tmp_path / "odd.mmdb",
        {"country": "CN", "subdivisions": [], "city": {"names": 5}, "autonomous_system_number": "x"},
    )
    event: Event = {"source.ip": OUTSIDE}
    Geography([tmp_path / "odd.mmdb"]).enrich(event)
    assert event == {"source.ip": OUTSIDE}
