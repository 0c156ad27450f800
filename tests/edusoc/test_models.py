"""The models command trains, measures and lists, from files and from the store, and never shows a traceback."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from edusoc.cli import main
from soc_core.model.event import Event
from soc_core.organisations.repository import OrganisationTree
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from tests.conftest import NOW
from tests.detectors.anomaly.model.base import normal
from tests.detectors.anomaly.test_unusual_flow import odd
from tests.postgresql_server import environment_of


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")
    monkeypatch.setenv("EDUSOC_STATE", str(tmp_path / "state"))


def write(path: Path, events: list[Event]) -> str:
    keep = ("event.id", "organization.id", "edusoc.zone")
    lines = [
        orjson.dumps({key: value for key, value in event.items() if key not in keep}) for event in events
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def test_train_evaluate_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = write(tmp_path / "day.ndjson", normal(2_000))
    other = write(tmp_path / "other.ndjson", normal(1_000, seed=2))
    attack = write(tmp_path / "attack.ndjson", odd(0, count=10))
    assert main(["models", "list"]) == 0
    assert "no model" in capsys.readouterr().out
    assert main(["models", "evaluate", "--normal", other]) == 2
    assert main(["models", "train", "--from", day, "--json"]) == 0
    card = orjson.loads(capsys.readouterr().out)
    assert card["fitted"] + card["held_out"] == 2_000
    assert main(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"* model {card['version']}")
    assert main(["models", "evaluate", "--normal", other, "--attack", attack, "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["normal_flows"] == 1_000
    assert found["attack_alerts"] == 1
    assert found["ranking"]["area_under_curve"] > 0.97
    assert main(["models", "evaluate", "--normal", other, "--attack", attack]) == 0
    assert "10 connections, 1 alerts" in capsys.readouterr().out


def test_bad_input_has_words_and_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = write(tmp_path / "day.ndjson", normal(500))
    bad = tmp_path / "bad.ndjson"
    bad.write_bytes(Path(day).read_bytes() + b'{"@timestamp": "never"}\n')
    assert main(["models", "train", "--from", str(bad)]) == 1
    assert "bad.ndjson" in capsys.readouterr().err
    assert main(["models", "train", "--from", str(tmp_path / "none")]) == 2
    assert main(["models", "train", "--from", day, "--inside", "nonsense"]) == 2
    assert main(["models", "train", "--from", day, "--budget", "0"]) == 2
    for days in ("-1", "nan", "inf", "1e9"):
        assert main(["models", "train", "--from", day, "--days", days]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_current_model_that_can_not_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = write(tmp_path / "day.ndjson", normal(500))
    assert main(["models", "train", "--from", day]) == 0
    (card,) = (tmp_path / "state" / "models").glob("unusual_flow/*/card.json")
    card.write_bytes(card.read_bytes().replace(b'"format": 1', b'"format": 2'))
    assert main(["models", "list"]) == 1
    assert "format 2" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 1
    assert orjson.loads(capsys.readouterr().out)["card"] is None
    assert main(["models", "evaluate", "--normal", day]) == 1


def test_stored_flows_of_a_unit_are_learned_for_it_alone(
    tmp_path: Path,
    database: Database,
    tree: OrganisationTree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("soc_core.clock.utc_now", lambda: NOW)
    for name, value in environment_of(database).items():
        monkeypatch.setenv(name, value)
    unit = tree.find("S1")
    store = EmbeddedStore(tmp_path / "state" / "events", writer=True)
    events = normal(500)
    for event in events:
        event["organization.id"], event["edusoc.zone"] = unit.id, "default"
    store.append(events)
    store.close()
    assert main(["models", "train", "--organisation", "S1", "--days", "7", "--json"]) == 0
    card = orjson.loads(capsys.readouterr().out)
    assert card["organizations"] == [unit.id]
    assert card["fitted"] + card["held_out"] == 500
    assert main(["models", "train", "--organisation", "S1", "--days", "1"]) == 2
    assert main(["models", "train", "--organisation", "S2"]) == 2
    assert main(["models", "train", "--organisation", "nobody"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_without_action_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["models", "--help"])
    assert left.value.code == 0
    assert "edusoc models train --from" in capsys.readouterr().out
