"""``edusoc whois-was``: said in words, as JSON, and with an exit code."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from edusoc.cli import main

LEASE = (
    '{"@timestamp":"2026-11-20T00:30:00Z","event":{"dataset":"dhcp.lease","type":["connection","start"],'
    '"duration":86400000000000,"category":["network"],"kind":"event"},'
    '"client":{"ip":"10.1.2.3","mac":"00-00-5E-00-53-01","domain":"pc-301"},"ecs":{"version":"8.17.0"}}\n'
)


@pytest.fixture
def state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    units, log = tmp_path / "units.csv", tmp_path / "leases.ndjson"
    units.write_text("code,name,level\nS1,学安中学,school\n", encoding="utf-8")
    log.write_text(LEASE * 2)
    where = str(tmp_path / "state")
    assert main(["organisations", "import", str(units), "--state", where]) == 0
    assert main(["import", str(log), "--organisation", "S1", "--state", where]) == 0
    capsys.readouterr()
    return where


def test_a_device_is_named(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whois-was", "10.1.2.3", "2026-11-20T10:00", "--state", state]) == 0
    said = capsys.readouterr().out
    assert "学安中学" in said
    assert "到设备" in said
    assert "00-00-5E-00-53-01" in said
    assert "2026-11-20 08:30:00 至 2026-11-21 08:30:00" in said
    assert main(["whois-was", "10.1.2.3", "2026-11-20T10:00", "--json", "--state", state]) == 0
    (answer,) = orjson.loads(capsys.readouterr().out)
    assert (answer["certainty"], answer["candidates"][0]["hosts"]) == ("device", ["pc-301"])


def test_nothing_known_is_said(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whois-was", "10.9.9.9", "-2h", "--state", state]) == 1
    assert "不明" in capsys.readouterr().out
    assert main(["whois-was", "10.9.9", "now", "--state", state]) == 2
    assert "不是地址" in capsys.readouterr().err
