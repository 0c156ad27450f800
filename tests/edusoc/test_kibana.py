"""Hold what ``edusoc kibana`` does for a user."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import pytest

from edusoc.cli import main
from edusoc.composition import open_database
from soc_core.config import Settings
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import put_unit
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.pack import export
from tests.conftest import NOW
from tests.soc_core.store.elasticsearch.kibana.test_pushing import KibanaServer
from tests.soc_core.store.elasticsearch.kibana.test_pushing import server as server  # noqa: PLC0414 - a fixture


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")


def test_export_writes_the_pack(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["kibana", "export", "--console", "https://soc.example.cn", "--language", "zh"]) == 0
    shown = capfdbinary.readouterr().out
    assert shown == export(PackOptions(console="https://soc.example.cn"))
    target = tmp_path / "pack.ndjson"
    assert main(["kibana", "export", "--prefix", "county", "--output", str(target)]) == 0
    assert target.read_bytes() == export(PackOptions("county", "en"))
    assert not (tmp_path / "state").exists(), "looking for names of units makes no state"


def test_units_are_called_as_they_are_called_here(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with (
        closing(open_database(Settings(state=str(tmp_path / "state")))) as database,
        database.write() as opened,
    ):
        id_ = put_unit(opened, [Attribute("code", "S1"), Attribute("name", "甲校")], {}, now=NOW)
    command = ["kibana", "export", "--state", str(tmp_path / "state"), "--language", "zh"]
    assert main(command) == 0
    names = {id_: "甲校"}
    console = "http://127.0.0.1:8600"
    assert capfdbinary.readouterr().out == export(PackOptions(console=console, unit_names=names))
    assert main([*command, "--no-names"]) == 0
    assert capfdbinary.readouterr().out == export(PackOptions(console=console))


def test_export_writes_a_role(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["kibana", "export", "--roles", "--prefix", "county", "--space", "soc"]) == 0
    role = orjson.loads(capfdbinary.readouterr().out)["county-analyst"]
    assert role["elasticsearch"]["indices"][0]["names"] == ["county-events-*"]
    assert role["kibana"][0]["spaces"] == ["soc"]


def test_check_passes_ours_and_names_faults_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["kibana", "check"]) == 0
    assert capsys.readouterr().out == "All is well.\n"
    other = tmp_path / "other.ndjson"
    attributes = {"title": "Talk", "columns": ["nope"], "kibanaSavedObjectMeta": {"searchSourceJSON": "{"}}
    other.write_bytes(orjson.dumps({"type": "search", "id": "1", "attributes": attributes}) + b"\nno\n")
    assert main(["kibana", "check", str(other), "--json"]) == 1
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["where"].split(": ")[0] for row in rows} == {f"{other}:1", f"{other}:2"}
    assert f"{other}:1: search 'Talk': columns" in {row["where"] for row in rows}
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    assert main(["kibana", "check", str(other)]) == 1
    assert "字段字典里没有“nope”；请用 docs/reference/fields.md 里的字段" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kibana", "check", "nope.ndjson"]) == 3
    assert "nope.ndjson: No such file or directory" in capsys.readouterr().err


def test_push_tells_of_each_object(server: KibanaServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kibana", "push", server.url, "--space", "soc"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == f"{len(server.stored)} imported, 0 failed."
    assert "dashboard  edusoc · one school  imported" in shown
    refused = next(id_ for _space, kind, id_ in server.stored if kind == "dashboard")
    server.faults = {refused: {"type": "conflict"}}
    assert main(["kibana", "push", server.url, "--json"]) == 1
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows if row["problem"]] == [refused]


def test_push_sends_nothing_that_fails_the_check(
    server: KibanaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.ndjson"
    bad.write_bytes(export(PackOptions()).splitlines()[-1])
    assert main(["kibana", "push", server.url, str(bad)]) == 1
    assert "nothing was imported" in capsys.readouterr().err
    assert server.asked == []
