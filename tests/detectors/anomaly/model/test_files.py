"""A model comes back as it was, and anything that doesn't fit is refused with a reason and a way out."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import skops.io

from detectors.anomaly.model import files
from detectors.anomaly.model.card import from_json, to_json
from detectors.anomaly.model.samples import gather, private_ranges, rows_of
from soc_core.errors import InputError
from tests.detectors.anomaly.model.base import normal, small_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.save(small_model(), tmp_path)


def put(folder: Path, data: bytes, **changes: object) -> None:
    """Write a model file and a card that describes it."""
    (folder / "model.skops").write_bytes(data)
    change_card(folder, sha256=hashlib.sha256(data).hexdigest(), size=len(data), **changes)


def change_card(folder: Path, **changes: object) -> None:
    tree = orjson.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(orjson.dumps({**tree, **changes}))


def test_what_is_loaded_scores_as_what_was_saved(folder: Path) -> None:
    model, kept = small_model(), files.load(folder)
    samples = gather(normal(500, seed=9), private_ranges)
    before = model.ensemble.score(rows_of(samples, model.usual))
    assert np.array_equal(kept.ensemble.score(rows_of(samples, kept.usual)), before)
    assert replace(kept.card, sha256="", size=0) == model.card
    assert kept.card.size == (folder / "model.skops").stat().st_size


def test_the_newest_is_current_and_all_are_listed(tmp_path: Path, folder: Path) -> None:
    other = replace(small_model(), card=replace(small_model().card, version="abc", created_at="2027"))
    second = files.save(other, tmp_path)
    assert files.current_folder(tmp_path) == second
    rows = files.kept_models(tmp_path)
    assert [(row.version, row.current, row.problem) for row in rows] == [
        (folder.name, False, ""),
        ("abc", True, ""),
    ]
    files.save(other, tmp_path)  # again: replaced, nothing left over
    assert sorted(path.name for path in (tmp_path / "unusual_flow").iterdir()) == sorted(
        ["abc", "current", folder.name]
    )


@pytest.mark.parametrize("name", ["", "../elsewhere", ".hidden", "\xff"])
def test_current_never_leads_elsewhere(tmp_path: Path, folder: Path, name: str) -> None:
    (tmp_path / "unusual_flow" / "current").write_bytes(name.encode("latin-1"))
    assert files.current_folder(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "format 99"),
        ({"name": "other"}, "other"),
        ({"scikit_learn": "0.1.2"}, "scikit-learn 0.1.2"),
        ({"columns": []}, "features"),
        ({"columns": "x"}, "damaged"),
        ({"threshold": "high"}, "damaged"),
        ({"fitted": True}, "damaged"),
        ({"version": 5}, "damaged"),
        ({"sha256": "0" * 64}, "not the one"),
        ({"size": 1}, "size"),
    ],
)
def test_cards_that_do_not_fit(folder: Path, changes: dict[str, object], reason: str) -> None:
    change_card(folder, **changes)
    with pytest.raises(InputError, match="edusoc models train") as raised:
        files.read_card(folder)
    assert reason in str(raised.value)


def test_broken_or_missing_parts(tmp_path: Path, folder: Path) -> None:
    (folder / "card.json").write_bytes(b"{")
    with pytest.raises(InputError, match="can't be read"):
        files.read_card(folder)
    (folder / "card.json").write_bytes(b"[]")
    with pytest.raises(InputError, match="no JSON object"):
        files.read_card(folder)
    shutil.rmtree(folder)
    with pytest.raises(InputError):
        files.load(folder)
    assert files.kept_models(tmp_path) == []
    assert files.kept_models(tmp_path / "nowhere") == []


def state() -> dict[str, object]:
    return files._state(small_model())


class Evil:
    """Would run a command when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/should-not-exist",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 no archive", "damaged"),
        (pickle.dumps(Evil()), "damaged"),
        (skops.io.dumps({"forest": Evil()}), "foreign types"),
        (skops.io.dumps([1, 2]), "damaged"),
        (skops.io.dumps({**state(), "forest": None}), "damaged"),
        (skops.io.dumps({**state(), "low": np.zeros(3)}), "damaged"),
        (skops.io.dumps({**state(), "scale": np.full(19, np.nan)}), "damaged"),
        (skops.io.dumps({key: value for key, value in state().items() if key != "tails"}), "damaged"),
    ],
    ids=["empty", "no archive", "pickle", "foreign", "list", "no forest", "shape", "not finite", "missing"],
)
def test_files_that_do_not_fit(folder: Path, data: bytes, reason: str) -> None:
    put(folder, data)
    with pytest.raises(InputError, match="edusoc models train") as raised:
        files.load(folder)
    assert reason in str(raised.value)
    assert not Path("/tmp/should-not-exist").exists()


def test_a_forged_tree_that_walks_in_circles_is_refused(folder: Path) -> None:
    own = skops.io.loads((folder / "model.skops").read_bytes(), trusted=list(files.TRUSTED))
    tree = own["forest"].estimators_[0].tree_
    forged = tree.__getstate__()
    forged["nodes"]["left_child"][1] = 0 if forged["nodes"]["left_child"][1] > 0 else 1
    forged["nodes"]["right_child"][0] = 0
    tree.__setstate__(forged)
    put(folder, skops.io.dumps(own))
    with pytest.raises(InputError, match="leads nowhere"):
        files.load(folder)


def test_a_file_too_large_is_not_even_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1_000)
    with pytest.raises(InputError, match="size"):
        files.load(folder)


def test_cards_come_back_from_json() -> None:
    card = small_model().card
    assert from_json(orjson.loads(orjson.dumps(to_json(card))), "here") == card
