"""Enrichers add what is known, overwrite nothing and never fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.enrich.base import enrich_all
from intake.enrich.browsers import Browsers
from intake.enrich.domains import Domains
from intake.enrich.makers import OWN_CHOICE, Makers, maker_of
from intake.enrich.school_time import Calendar, SchoolTime
from soc_core.fields import FIELDS
from soc_core.model.event import Event

EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91"
)


@pytest.mark.parametrize(
    ("name", "registered", "top", "subdomain"),
    [
        ("www.school.edu.cn", "school.edu.cn", "edu.cn", "www"),
        ("WWW.Hangzhou.ZJ.cn.", "hangzhou.zj.cn", "zj.cn", "www"),
        ("pupil.duckdns.org", "pupil.duckdns.org", "duckdns.org", None),
        ("a.b.dc.lan", "dc.lan", "lan", "a.b"),
    ],
)
def test_domains(name: str, registered: str, top: str, subdomain: str | None) -> None:
    event: Event = {"url.domain": name, "destination.domain": name}
    Domains().enrich(event)
    assert event["url.registered_domain"] == event["destination.registered_domain"] == registered
    assert event["url.top_level_domain"] == top
    assert event.get("url.subdomain") == subdomain


@pytest.mark.parametrize("name", ["192.0.2.7", "2001:db8::1", "localhost", "", ".", "server."])
def test_what_is_no_name_is_left_alone(name: str) -> None:
    event: Event = {"url.domain": name}
    Domains().enrich(event)
    assert event.keys() == {"url.domain"}


def test_makers() -> None:
    event: Event = {
        "source.mac": "F8-4D-FC-00-53-01",
        "destination.mac": "02:00:5e:00:53:01",
        "host.mac": ["f84dfc005301"],
    }
    Makers().enrich(event)
    assert "Hikvision" in str(event["edusoc.asset.source.maker"])
    assert event["edusoc.asset.destination.maker"] == OWN_CHOICE
    assert event["edusoc.asset.host.maker"] == event["edusoc.asset.source.maker"]
    assert maker_of("not a card") == maker_of("ff") == ""


def test_browsers() -> None:
    event: Event = {"user_agent.original": EDGE, "user_agent.name": "said by the source"}
    Browsers().enrich(event)
    assert event["user_agent.name"] == "said by the source"
    assert str(event["user_agent.version"]).startswith("120.0")
    assert event["user_agent.os.name"] == "Windows"
    assert event["user_agent.os.version"] == "10"


values = st.one_of(st.text(max_size=80), st.integers(), st.lists(st.text(max_size=10), max_size=2))
looked_at = [
    "dns.question.name", "url.domain", "destination.domain", "source.mac", "destination.mac", "host.mac",
    "user_agent.original", "@timestamp", "source.ip",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(looked_at), values))
def test_nothing_is_overwritten_and_nothing_fails(event: Event) -> None:
    before = dict(event)
    enrich_all([event], [Domains(), Makers(), Browsers(), SchoolTime(Calendar())])
    assert {name: event[name] for name in before} == before
    assert event.keys() <= FIELDS.keys()
    again = dict(event)
    enrich_all([again], [Domains(), Makers(), Browsers(), SchoolTime(Calendar())])
    assert again == event
