"""Every sample of the tree is taken by its own collector, and no other is as sure of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors import registry
from collectors.opening import open_bytes
from tests.collectors.base import GOLDEN

OWNERS = {
    "auditd": "auditd", "dhcp": "dhcp", "dhcpd": "dhcp", "kea": "dhcp", "dns": "dns_query", "iis": "iis",
    "mysql": "mysql", "postgresql": "postgresql", "radius": "radius", "web_access": "web_access",
    "web_error": "web_error",
    "suricata": "suricata", "zeek": "zeek", "syslog": "syslog", "winlogbeat": "winlogbeat", "ecs": "ecs_ndjson",
}  # fmt: skip
EXACT = {"dnsmasq.log": "dns_query", "dnsmasq.leases": "dhcp"}
SAMPLES = sorted(
    path for path in GOLDEN.iterdir() if path.is_file() and not path.name.endswith(".expected.json")
)


def owner(path: Path) -> str | None:
    """Return the collector that a sample is named after, ``None`` for samples of other tests."""
    if path.name in EXACT:
        return EXACT[path.name]
    names = [prefix for prefix in OWNERS if path.name.startswith(prefix)]
    return OWNERS[max(names, key=len)] if names else None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_belongs_to_one_collector(path: Path) -> None:
    mine = owner(path)
    if mine is None:
        pytest.skip("not a sample of a collector of this list")
    with open_bytes(path.read_bytes(), name="x") as source:
        sure = {
            entry.name: score
            for entry in registry.ENTRIES
            if entry.gate(source.head)
            and (score := registry.collector(entry.name).recognise(source.head, "x"))
        }
    assert max(sure, key=lambda name: sure[name]) == mine
    assert [name for name, score in sure.items() if score >= sure[mine] and name != mine] == []


def test_every_collector_of_servers_has_samples() -> None:
    assert set(OWNERS.values()) <= {owner(path) for path in SAMPLES}


@pytest.mark.parametrize(
    "text",
    [
        "hello\nworld\n",
        "a,b,c\n1,2,3\n",
        "2026-11-24 20:00:00 something happened\n",
        "type=text name=value\n",
        '{"status": 200, "message": "ok"}\n',
        "[section]\nkey = value\n",
        "#Fields: a b c\n1 2 3\n",
        '"Name","Date"\n"a","2026-11-24"\n',
        "lease of the school\n",
    ],
)
def test_other_text_is_taken_by_none_of_them(text: str) -> None:
    with open_bytes(text.encode(), name="x") as source:
        for name in sorted(set(OWNERS.values()) - {"ecs_ndjson", "winlogbeat", "syslog"}):
            assert registry.collector(name).recognise(source.head, "x") == 0, name
