"""Every detection is about somebody: the rule's fields first, then the usual ones; nobody is their own other side."""

from __future__ import annotations

from pathlib import Path

from detectors.sigma import SigmaDetector, load_rules
from soc_core.model.event import Event

RULE = """
title: A test
id: 11111111-1111-4111-8111-111111111111
status: test
logsource: {category: webserver}
detection:
  path: {url.path: /shell.php}
  condition: path
level: high
edusoc:
  title: 测试
  entity: [destination.ip, url.domain]
  peer: [source.ip]
"""


def about(tmp_path: Path, **fields: str) -> tuple[str, str, str]:
    (tmp_path / "rule.yml").write_text(RULE, encoding="utf-8")
    event: Event = {
        "@timestamp": "2026-11-20T00:00:00.000000Z",
        "event.id": "20261120-a",
        "event.dataset": "web.access",
        "event.category": ["web"],
        "organization.id": "u",
        "edusoc.zone": "default",
        "url.path": "/shell.php",
        **{name.replace("__", "."): value for name, value in fields.items()},
    }
    (found,) = SigmaDetector(load_rules([tmp_path])).detect([event])
    return found.entity.kind, found.entity.value, found.peer


def test_the_rule_s_own_fields_come_first(tmp_path: Path) -> None:
    assert about(tmp_path, destination__ip="10.0.0.1", source__ip="10.0.0.2") == (
        "ip",
        "10.0.0.1",
        "10.0.0.2",
    )


def test_without_them_the_client_stands_there_and_is_not_its_own_peer(tmp_path: Path) -> None:
    assert about(tmp_path, source__ip="203.0.113.9") == ("ip", "203.0.113.9", "")


def test_only_without_anything_nobody_is_named(tmp_path: Path) -> None:
    assert about(tmp_path) == ("host", "?", "")
