"""Sigma rules about firewalls and devices see what the devices' parsers write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collectors.devices import registry
from detectors.sigma import load_rules
from detectors.sigma.mapping import bundled_mappings
from detectors.sigma.matcher import Matcher
from detectors.sigma.model import LogSource
from soc_core.query.evaluate import compile_query
from tests.collectors.devices.base import read, samples

RULE = """
title: Test
id: 7b0c2c9e-6a0e-4b8c-9d3f-2f1f5b7a0c01
status: test
description: test
logsource: {{{source}}}
detection: {detection}
level: low
"""


def matched(folder: Path, source: str, detection: str) -> set[str]:
    """Return the devices of which a sample fits the rule."""
    path = folder / "rule.yml"
    path.write_text(RULE.format(source=source, detection=detection), encoding="utf-8")
    rules = load_rules([path])
    assert not rules.problems, rules.problems
    matcher = Matcher(rules.rules)
    lines = [(name, line) for name in registry.NAMES for line in samples(name)]
    return {name for name, line in lines if matcher.match(read(line))}


def test_every_data_set_of_firewalls_and_web_logs_is_known_to_the_rules() -> None:
    for source, ending in ((LogSource("", "firewall"), "firewall"), (LogSource("", "proxy"), "web")):
        means = compile_query(bundled_mappings().route(source).events)
        for dataset in registry.DATASETS:
            assert means({"event.dataset": dataset}) == (
                dataset.endswith((f".{ending}", ".event" if ending == "firewall" else f".{ending}"))
            ), dataset


@pytest.mark.parametrize("action", ["accept", "deny"])
def test_firewall_rules_see_addresses_ports_and_verdicts(tmp_path: Path, action: str) -> None:
    found = matched(
        tmp_path,
        "category: firewall",
        f"{{one: {{action: {action}, src_ip|cidr: [0.0.0.0/0], dst_port|gte: 1}}, condition: one}}",
    )
    assert found >= {"huawei", "h3c", "topsec", "qianxin", "cisco"}


@pytest.mark.parametrize(
    ("source", "detection", "device"),
    [
        ("product: cisco, service: aaa", "{words: ['no logging', 'CFGLOG'], condition: words}", "cisco"),
        ("product: huawei, service: bgp", "{words: ['LINK_STATE'], condition: words}", "huawei"),
        (
            "product: fortigate, service: event",
            "{one: {action: Add, cfgpath: system.admin}, condition: one}",
            "fortinet",
        ),
    ],
)
def test_rules_about_products_see_their_messages(
    tmp_path: Path, source: str, detection: str, device: str
) -> None:
    assert matched(tmp_path, source, detection) == {device}


def test_fields_named_in_the_reference_are_in_the_dictionary() -> None:
    from edusoc.devices_page import devices_page
    from soc_core.fields import FIELDS

    named = set(
        re.findall(
            r"`((?:event|source|destination|network|rule|user|process|dns)\.[a-z_.]+)`", devices_page()
        )
    )
    assert len(named) > 10
    assert {name for name in named if name not in FIELDS} == set()
