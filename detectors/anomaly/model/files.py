"""Keep models: one directory each with ``model.skops`` and ``card.json``, and a file ``current`` that names one.

skops writes no code, unlike pickle; what it would have to import beyond scikit-learn and NumPy makes the file refused.
The card's SHA-256 guards the file, its size is bounded before it is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from detectors.anomaly.model.card import NAME, RETRAIN, ModelCard, from_json, misfit, to_json
from detectors.anomaly.model.ensemble import BINS, GRID, VIEWS, Ensemble
from detectors.anomaly.model.features import FEATURES, Numbers, Usual
from soc_core.errors import InputError

MAX_BYTES: Final = 64_000_000
CURRENT: Final = "current"
TRUSTED: Final = ("sklearn.tree._tree.Tree",)
"""What skops does not trust by itself, because a forged tree can lead scikit-learn's C code astray: see ``_sound``."""
_ARRAYS: Final = (
    "center", "scale", "axes", "variances", "low", "width", "rare", "reference", "tails", "shares", "medians", "hours"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """Hold a usable model."""

    card: ModelCard
    ensemble: Ensemble
    usual: Usual


@dataclass(frozen=True, slots=True)
class Kept:
    """Describe a model directory: ``problem`` says why it can't be used, empty if it can; then ``card`` is there."""

    version: str
    current: bool
    card: ModelCard | None
    problem: str


def save(model: Model, directory: Path) -> Path:
    """Write the model below ``directory`` and make it the current one; return its folder.

    The card kept is the given one completed with hash and size. Readers see the old model or the new one, never half.
    """
    import skops.io  # noqa: PLC0415 — heavy, and needed only where a model is used

    data = skops.io.dumps(_state(model))
    card = replace(model.card, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    home = directory / NAME
    target, draft = home / card.version, home / f".{card.version}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _write(draft / "model.skops", data)
    _write(draft / "card.json", orjson.dumps(to_json(card), option=orjson.OPT_INDENT_2))
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    _write(home / f".{CURRENT}.{os.getpid()}", card.version.encode())
    (home / f".{CURRENT}.{os.getpid()}").replace(home / CURRENT)
    return target


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def current_folder(directory: Path) -> Path | None:
    """Return the folder of the current model below ``directory``, or ``None`` when there is none."""
    home = directory / NAME
    try:
        name = (home / CURRENT).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return home / name if name and "/" not in name and not name.startswith(".") else None


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model this program can use; raise ``InputError`` saying why it can't.

    That needs no scikit-learn: the file's hash is checked, its content only by ``load``.
    """
    where = str(folder / "card.json")
    try:
        tree = orjson.loads((folder / "card.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"the model card can't be read ({error})", where=where, todo=RETRAIN) from error
    card = from_json(tree, where)
    reason = misfit(card, FEATURES)
    if reason:
        raise InputError(f"the model can't be used: {reason}", where=where, todo=RETRAIN)
    _checked_bytes(folder, card)
    return card


def load(folder: Path) -> Model:
    """Return the model; raise ``InputError`` when hash, versions, types or shapes don't fit."""
    import skops.io  # noqa: PLC0415 — heavy, and needed only where a model is used

    card = read_card(folder)
    data = _checked_bytes(folder, card)
    where = str(folder / "model.skops")
    try:
        foreign = [name for name in skops.io.get_untrusted_types(data=data) if name not in TRUSTED]
        if foreign:
            raise InputError(
                f"the model holds foreign types: {', '.join(foreign[:5])}", where=where, todo=RETRAIN
            )
        state = skops.io.loads(data, trusted=list(TRUSTED))
        return _model(card, state)
    except InputError:
        raise
    except Exception as error:  # a damaged archive fails in many ways inside skops and zipfile
        raise InputError(f"the model file is damaged ({error!r})", where=where, todo=RETRAIN) from error


def kept_models(directory: Path) -> list[Kept]:
    """Return all models below ``directory``, oldest first, with what is wrong with each."""
    home, chosen = directory / NAME, current_folder(directory)
    found: list[Kept] = []
    for folder in sorted(home.iterdir()) if home.is_dir() else []:
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        card: ModelCard | None = None
        problem = ""
        try:
            card = read_card(folder)
        except InputError as error:
            problem = str(error)
        found.append(Kept(folder.name, folder == chosen, card, problem))
    return sorted(found, key=lambda row: (row.card.created_at if row.card else "", row.version))


def _checked_bytes(folder: Path, card: ModelCard) -> bytes:
    path = folder / "model.skops"
    try:
        if path.stat().st_size != card.size or card.size > MAX_BYTES:
            raise InputError("the model file has not the size its card tells", where=str(path), todo=RETRAIN)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the model file can't be read ({error.strerror})", where=str(path), todo=RETRAIN
        ) from error
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise InputError("the model file is not the one its card describes", where=str(path), todo=RETRAIN)
    return data


def _state(model: Model) -> dict[str, object]:
    usual, ensemble = model.usual, model.ensemble
    arrays = {name: getattr(usual if hasattr(usual, name) else ensemble, name) for name in _ARRAYS}
    return {"forest": ensemble.forest, "services": list(usual.services), "flows": usual.flows, **arrays}


def _model(card: ModelCard, state: object) -> Model:
    """Return the model of what skops read. Raises ``TypeError`` or ``ValueError`` when it isn't what we wrote."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 — heavy, and needed only where a model is used

    if not isinstance(state, Mapping) or not isinstance(state["forest"], IsolationForest):
        raise TypeError("no isolation forest")
    if not all(_sound(estimator.tree_) for estimator in state["forest"].estimators_):
        raise ValueError("a tree leads nowhere")
    services = tuple(str(name) for name in state["services"])
    wide, count = len(FEATURES), len(services)
    shapes = {
        "axes": (wide, wide),
        "rare": (wide, BINS + 2),
        "reference": (VIEWS, GRID),
        "tails": (VIEWS, 2),
        "shares": (count,),
        "medians": (count + 1, 3),
        "hours": (24,),
    }
    arrays: dict[str, Numbers] = {}
    for name in _ARRAYS:
        array = np.asarray(state[name], dtype=np.float64)
        if array.shape != shapes.get(name, (wide,)) or not np.isfinite(array).all():
            raise ValueError(f"array {name}")
        arrays[name] = array
    usual = Usual(
        services=services,
        shares=arrays.pop("shares"),
        medians=arrays.pop("medians"),
        hours=arrays.pop("hours"),
        flows=int(state["flows"]),
    )
    return Model(card, Ensemble(forest=state["forest"], **arrays), usual)


class _Tree(Protocol):
    """Do what we check of scikit-learn's ``Tree``."""

    node_count: int
    n_features: int
    children_left: NDArray[np.int64]
    children_right: NDArray[np.int64]
    feature: NDArray[np.int64]


def _sound(tree: _Tree) -> bool:
    """Tell whether every branch asks a feature that exists and leads to a later node: so every walk ends inside."""
    nodes = np.arange(tree.node_count)
    left, right = tree.children_left, tree.children_right
    inner = (left >= 0) | (right >= 0)
    later = (left > nodes) & (right > nodes) & (left < tree.node_count) & (right < tree.node_count)
    asked = (tree.feature >= 0) & (tree.feature < tree.n_features)
    return tree.n_features == len(FEATURES) and bool(np.all(~inner | (later & asked)))
