"""Hold what a hit says: whose device, which list, how serious; and that each event and indicator is one detection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detectors.indicators import seen
from detectors.indicators.detector import IndicatorDetector
from detectors.indicators.model import Head, Kind, Tlp
from soc_core import i18n
from soc_core.fields import FIELDS
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan
from tests.detectors.indicators.making import BAD, GOOD, bad_and_good, item, table_of

AT = "2026-11-20T01:02:03.000000Z"
SECONDS = 1_795_136_523


def event(number: int = 1, **more: object) -> Event:
    made = {
        "@timestamp": AT,
        "event.id": f"20261120-{number}",
        "organization.id": "u1",
        "edusoc.zone": "campus",
    }
    return made | {name.replace("__", "."): value for name, value in more.items()}  # type: ignore[return-value]


def test_fields_are_of_the_dictionary() -> None:
    assert set(seen.FIELDS_ASKED) <= set(FIELDS)
    assert {"dns.resolved_ip", "dns.answers.data", "host.ip", "related.hash"} <= seen.MULTIPLE


def test_a_hit_says_which_list_and_whose_device(tmp_path: Path) -> None:
    listed = item(Kind.DOMAIN, "坏.中国", 80, Tlp.GREEN, since=1_780_000_000, reason="挖矿")
    detector = IndicatorDetector(bad_and_good(tmp_path / "t", [listed]))
    events = [
        event(
            1,
            source__ip="10.0.0.5",
            destination__ip="223.5.5.5",
            dns__question__name="www.xn--7es.xn--fiqs8s",
        ),
        event(2, source__ip="10.0.0.5", dns__question__name="fine.cn"),
    ]
    (found,) = detector.detect(events)
    assert (found.entity.kind, found.entity.value, found.entity.zone) == ("ip", "10.0.0.5", "campus")
    assert found.peer == "坏.中国"
    assert (found.severity, found.confidence, found.evidence) == (Severity.HIGH, 0.8, ("20261120-1",))
    assert found.kind.startswith("indicator.domain.")
    assert found.kind == found.rule_id
    i18n.load("detectors")
    words = [i18n.text(reason.key, "zh", **reason.values) for reason in found.reasons]
    assert words == [
        "本单位设备访问或查询了名单上的域名 坏.中国（或其下的域名）。",
        "名单“bad things”（来源：somebody）自 2026-05-28 起收录了它，可信度 80，TLP:GREEN。",
        "名单的说明：挖矿",
    ]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("way", ["seen", "came"])
def test_every_kind_has_its_words(kind: Kind, way: str) -> None:
    for package in ("detectors", "cases"):
        i18n.load(package)
    assert i18n.known(f"detectors.indicators.{way}_{kind.value}")
    assert i18n.known(f"cases.kinds.indicator_{kind.value}.title")


def test_one_event_and_indicator_is_one_detection_whatever_the_fields_and_lists(tmp_path: Path) -> None:
    both = table_of(
        tmp_path / "t",
        (BAD, [item(Kind.DOMAIN, "evil.cn", 30)]),
        (Head("l2", "second"), [item(Kind.DOMAIN, "evil.cn", 60)]),
    )
    one = bad_and_good(tmp_path / "o", [item(Kind.DOMAIN, "evil.cn", 30)])
    same = event(1, source__ip="10.0.0.5", tls__client__server_name="a.evil.cn", url__domain="b.evil.cn")
    (found,) = IndicatorDetector(both).detect([same])
    (alone,) = IndicatorDetector(one).detect([same])
    assert found.id == alone.id
    assert (found.severity, alone.severity) == (Severity.MEDIUM, Severity.LOW)
    named = [reason.values["id"] for reason in found.reasons if "id" in reason.values]
    assert named == ["l1", "l2"]


def test_who_comes_from_outside_is_less_serious_and_the_device_inside_is_concerned(tmp_path: Path) -> None:
    detector = IndicatorDetector(
        bad_and_good(tmp_path / "t", [item(Kind.IP, "45.9.1.2", 90)]), AddressPlan(["202.112.1.0/24"])
    )
    outward, inward, public = detector.detect(
        [
            event(1, source__ip="10.0.0.5", destination__ip="45.9.1.2"),
            event(2, source__ip="45.9.1.2", destination__ip="10.0.0.6"),
            event(3, source__ip="45.9.1.2", destination__ip="202.112.1.7"),
        ]
    )
    assert (outward.entity.value, outward.severity) == ("10.0.0.5", Severity.HIGH)
    assert (inward.entity.value, inward.severity) == ("10.0.0.6", Severity.MEDIUM)
    assert public.entity.value == "202.112.1.7"
    assert inward.reasons[0].key == "detectors.indicators.came_ip"


def test_a_device_without_address_is_named_as_it_is(tmp_path: Path) -> None:
    detector = IndicatorDetector(bad_and_good(tmp_path / "t", [item(Kind.HASH, "a" * 32)]))
    found = detector.detect(
        [
            event(1, file__hash__md5="A" * 32, host__name="pc-7"),
            event(2, related__hash=["b" * 32, "a" * 32], host__ip=["10.0.0.9"]),
            event(3, process__hash__md5="a" * 32),
        ]
    )
    assert [(one.entity.kind, one.entity.value) for one in found] == [
        ("host", "pc-7"),
        ("ip", "10.0.0.9"),
        ("host", "?"),
    ]


def test_what_expired_never_fires(tmp_path: Path) -> None:
    for expires, fires in ((SECONDS + 1, True), (SECONDS, False), (1, False), (0, True)):
        table = bad_and_good(tmp_path / f"t{expires}", [item(Kind.IP, "45.9.1.2", expires=expires)])
        found = IndicatorDetector(table).detect([event(1, destination__ip="45.9.1.2")])
        assert bool(found) == fires, expires


def test_allow_lists_and_lists_that_accuse_nobody(tmp_path: Path) -> None:
    bad, good = [item(Kind.IP, "45.9.1.2")], [item(Kind.NETWORK, "45.9.0.0/16")]
    seen_ = [event(1, destination__ip="45.9.1.2")]
    assert IndicatorDetector(bad_and_good(tmp_path / "a", bad)).detect(seen_)
    assert IndicatorDetector(bad_and_good(tmp_path / "b", bad, good)).detect(seen_) == []
    assert IndicatorDetector(table_of(tmp_path / "c", (GOOD, bad))).detect(seen_) == []


def test_a_list_for_named_people_is_not_told(tmp_path: Path) -> None:
    table = bad_and_good(tmp_path / "t", [item(Kind.IP, "45.9.1.2", tlp=Tlp.RED, reason="secret")])
    (found,) = IndicatorDetector(table).detect([event(1, destination__ip="45.9.1.2")])
    assert "secret" not in str(found.reasons)
    assert "bad things" not in str(found.reasons)


def test_a_lists_own_severity_holds(tmp_path: Path) -> None:
    head = replace(BAD, severity="critical")
    (found,) = IndicatorDetector(table_of(tmp_path / "t", (head, [item(Kind.IP, "45.9.1.2", 1)]))).detect(
        [event(1, destination__ip="45.9.1.2")]
    )
    assert found.severity is Severity.CRITICAL


def test_what_history_brings_late_is_said(tmp_path: Path) -> None:
    table = bad_and_good(tmp_path / "t", [item(Kind.IP, "45.9.1.2")])
    seen_ = [event(1, destination__ip="45.9.1.2")]
    (late,) = IndicatorDetector(table, hunting="2026-11-30T00:00:00.000000Z").detect(seen_)
    (stream,) = IndicatorDetector(table).detect(seen_)
    assert late.id == stream.id
    assert late.reasons[-1].values == {"days": 9}


@pytest.mark.parametrize(
    "more",
    [
        {"url.original": "http://evil.cn/a?b=1"},
        {"url.full": "https://evil.cn:443/a?b=1"},
        {"url.domain": "evil.cn", "url.original": "/a?b=1"},
        {"url.domain": "EVIL.cn", "url.path": "/a", "url.query": "b=1", "url.port": 80},
        {"url.domain": "evil.cn", "url.path": "/a", "url.query": "b=1", "destination.port": 443},
    ],
)
def test_web_addresses_whole_or_in_parts(tmp_path: Path, more: Event) -> None:
    detector = IndicatorDetector(bad_and_good(tmp_path / "t", [item(Kind.URL, "http://evil.cn/a?b=1")]))
    (found,) = detector.detect([event(1, source__ip="10.0.0.5") | more])
    assert found.peer == "evil.cn/a?b=1"


def test_odd_events_are_borne(tmp_path: Path) -> None:
    bad = [
        item(Kind.IP, "45.9.1.2", expires=5),
        item(Kind.DOMAIN, "evil.cn"),
        item(Kind.URL, "http://evil.cn/a"),
    ]
    detector = IndicatorDetector(bad_and_good(tmp_path / "t", bad))
    odd: list[Event] = [
        {},
        {"source.ip": 7, "url.domain": 3, "dns.resolved_ip": "45.9.1.2"},
        {"source.ip": ["45.9.1.2", "x"], "dns.question.name": ["evil.cn"]},
        {"dns.question.name": "\ud800.cn", "url.full": "http://\x00"},
        {"@timestamp": "never", "destination.ip": "45.9.1.2"},
        {"url.domain": "evil.cn", "url.port": "x", "url.path": "/a"},
    ]
    assert len(detector.detect(odd)) >= 2
    assert detector.detect([]) == []
