"""Placeholders: values from files beside the rules and from the units, each unit by its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.sigma import RuleSet, SigmaRule, load_rules
from detectors.sigma.matcher import Matcher
from detectors.sigma.units import NOBODY, Units
from soc_core.model.event import Event
from tests.detectors.sigma.base import fires, rule_text, say

UNITS = Units(
    below={"county": ("c", "s1", "s2"), "s1": ("s1",), "s2": ("s2",), "c": ("c", "s1", "s2")},
    values={"nets": {"s1": ("10.1.0.0/16", "fd00::/8"), "s2": ("10.2.0.0/16", "fd00::/8")}},
)


def load(folder: Path, detection: str, placeholders: str = "", units: Units = NOBODY) -> RuleSet:
    (folder / "placeholders").mkdir(exist_ok=True)
    (folder / "placeholders" / "site.yml").write_text(placeholders, encoding="utf-8")
    (folder / "a.yml").write_text(rule_text(detection), encoding="utf-8")
    return load_rules([folder], units=units)


def rule(folder: Path, detection: str, placeholders: str = "{}", units: Units = NOBODY) -> SigmaRule:
    loaded = load(folder, detection, placeholders, units)
    assert told(loaded) == []
    return loaded.rules[0]


def told(loaded: RuleSet) -> list[str]:
    return [say(one.reason.key, **one.reason.values) for one in loaded.problems]


@pytest.mark.parametrize(
    ("selection", "values", "value", "expected"),
    [
        ("user.name|expand: '%x%'", "[ann, 'adm_*']", "ADM_1", True),
        ("user.name|expand: '%x%'", "[ann, 'adm_*']", "bob", False),
        ("user.name|expand: 'a-%x%-b'", "[1, 2]", "a-2-b", True),
        ("user.name|contains|expand: '%x%'", "nn", "Anna", True),
        ("user.name|expand|contains: '%x%'", "nn", "Anna", True),
        ("user.name|expand: '%x%%y%'", "[a, b]", "by", True),
        ("user.name|expand: ['%x%', zoe]", "[a, b]", "zoe", True),
        ("user.name|expand|neq: '%x%'", "[a, b]", "a", False),
        ("user.name|re|expand: '^%x%$'", "[a+, b]", "aaa", True),
        (r"user.name|expand: '\%x%'", "[a]", "%x%", True),
        (r"user.name|expand: '\%x%%x%'", "[a]", "%xa", False),
        (r"user.name|expand: '\%plain%x%'", "[a]", "%plaina", True),
        ("user.name: '%x%'", "[a]", "%x%", True),
    ],
)
def test_a_placeholder_is_any_of_its_values(
    tmp_path: Path, selection: str, values: str, value: str, expected: bool
) -> None:
    text = f"placeholders: {{x: {values}, y: y}}"
    assert fires(rule(tmp_path, f"s: {{{selection}}}\ncondition: s", text), {"user.name": value}) is expected


@pytest.mark.parametrize(
    ("address", "inside"), [("10.9.9.9", True), ("11.0.0.1", False), ("192.0.2.7", True)]
)
def test_networks_are_looked_up_as_such(tmp_path: Path, address: str, inside: bool) -> None:
    found = rule(
        tmp_path, "s: {source.ip|expand: '%x%'}\ncondition: s", "placeholders: {x: [10.0.0.0/8, 192.0.2.7]}"
    )
    assert fires(found, {"source.ip": address}) is inside


@pytest.mark.parametrize(
    ("unit", "address", "expected"),
    [
        ("s1", "10.1.0.1", False),
        ("s1", "10.2.0.1", True),
        ("s2", "10.2.0.1", False),
        ("s2", "fd00::1", False),
        ("c", "8.8.8.8", False),  # nobody knows its networks: the rule doesn't run there
        ("other", "8.8.8.8", False),
    ],
)
def test_each_unit_has_its_own_values(tmp_path: Path, unit: str, address: str, expected: bool) -> None:
    detection = "s: {user.name: a}\nf: {source.ip|expand: '%nets%'}\ncondition: s and not f"
    found = rule(tmp_path, detection, units=UNITS)
    assert fires(found, {"user.name": "a", "source.ip": address, "organization.id": unit}) is expected


@pytest.mark.parametrize(
    ("unit", "name", "expected"),
    [
        ("s1", "own", True),
        ("s1", "county", False),
        ("s2", "county", True),
        ("s2", "all", False),
        ("c", "county", True),
        ("away", "all", True),
    ],
)
def test_the_nearest_values_count(tmp_path: Path, unit: str, name: str, expected: bool) -> None:
    text = "placeholders: {x: all}\norganisations: {s1: {x: own}, county: {x: [county]}}"
    units = Units(below=UNITS.below | {"away": ("away",)})
    found = rule(tmp_path, "s: {user.name|expand: '%x%'}\ncondition: s", text, units)
    assert fires(found, {"user.name": name, "organization.id": unit}) is expected


def test_values_of_units_are_no_patterns(tmp_path: Path) -> None:
    units = Units(values={"x": {"s1": ("a*", r"c:\?")}})
    found = rule(tmp_path, "s: {user.name|expand: '%x%'}\ncondition: s", units=units)
    assert fires(found, {"user.name": "a*", "organization.id": "s1"})
    assert fires(found, {"user.name": r"c:\?", "organization.id": "s1"})
    assert not fires(found, {"user.name": "ab", "organization.id": "s1"})


def test_a_rule_whose_placeholder_nobody_gives_is_named(tmp_path: Path) -> None:
    loaded = load(tmp_path, "s: {user.name|expand: '%admins%'}\ncondition: s")
    assert loaded.rules == ()
    assert any("'admins' needs values" in text for text in told(loaded))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[1", "wrong YAML"),
        ("- x", "placeholders"),
        ("other: 1", "placeholders"),
        ("placeholders: 5", "placeholders has a wrong form"),
        ("placeholders: {x: {a: b}, y: [a]}", "placeholders.x has a wrong form"),
        ("placeholders: {x: [''], y: [a]}", "placeholders.x has a wrong form"),
        ("organisations: {nobody: {x: a}}", "nobody"),
        ("organisations: {s1: 7}", "organisations.s1"),
        ("organisations: 7", "organisations has"),
        ("placeholders: {x: [" + ", ".join(f"v{n}" for n in range(10_001)) + "]}", "10000"),
    ],
)
def test_what_is_wrong_in_a_file_of_placeholders_is_said(tmp_path: Path, text: str, word: str) -> None:
    loaded = load(tmp_path, "s: {user.name: a}\ncondition: s", text, UNITS)
    assert len(loaded.rules) == 1
    assert any(word in line for line in told(loaded)), told(loaded)
    assert {Path(one.file).name for one in loaded.problems} == {"site.yml"}


def test_three_hundred_schools_with_fifty_values_each(tmp_path: Path) -> None:
    names = {f"s{n}": tuple(f"host{n}-{m}" for m in range(50)) for n in range(300)}
    networks = {f"s{n}": (f"10.{n // 8}.{n % 8}.0/24", "192.168.0.0/16") for n in range(300)}
    units = Units(values={"hosts": names, "nets": networks})
    detection = "s: {host.name|expand: '%hosts%'}\nf: {source.ip|expand: '%nets%'}\ncondition: s and not f"
    matcher = Matcher([rule(tmp_path, detection, units=units)])
    event: Event = {
        "event.dataset": "test",
        "organization.id": "s7",
        "host.name": "host7-3",
        "source.ip": "10.0.7.9",
    }
    assert matcher.match(event) == []
    assert len(matcher.match(event | {"source.ip": "10.0.8.9"})) == 1
    assert matcher.match(event | {"host.name": "host8-3", "source.ip": "10.0.8.9"}) == []
