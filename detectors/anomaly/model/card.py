"""Describe a model: what it was learned from, with what, where its threshold lies and why, and which file it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Final

from soc_core.errors import InputError

NAME: Final = "unusual_flow"
FORMAT: Final = 1
"""Number of the format of model files: state, features and their meaning."""


@dataclass(frozen=True, slots=True)
class Column:
    """Hold what is usual of one feature: the 5th percentile, median and 95th percentile of the training rows."""

    name: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Hold everything a person, or the loader, must know of a model.

    ``data_sha256`` is over the ids of the events it was learned from, in order. ``fitted`` flows shaped the model,
    ``held_out`` flows of other times (``held_out_days`` days of units) only set ``threshold``, so that at most
    ``budget`` episodes a unit and day exceed it; ``held_out_alerts`` is how many alerts they would have been.
    ``organizations`` are the units whose data it was (empty: not known, so it judges all units). ``sha256`` and
    ``size`` are of the file. Times are canonical text.
    """

    version: str
    created_at: str
    seed: int
    budget: float
    threshold: float
    fitted: int
    held_out: int
    held_out_days: float
    held_out_alerts: int
    days: float
    first: str
    last: str
    data_sha256: str
    organizations: tuple[str, ...]
    columns: tuple[Column, ...]
    sha256: str = ""
    size: int = 0
    name: str = NAME
    format: int = FORMAT
    scikit_learn: str = ""
    numpy: str = ""
    skops: str = ""


def installed() -> dict[str, str]:
    """Return the versions of the libraries a model depends on, by field of the card."""
    return {"scikit_learn": version("scikit-learn"), "numpy": version("numpy"), "skops": version("skops")}


def to_json(card: ModelCard) -> dict[str, object]:
    """Return the card as plain data."""
    return asdict(card)


def from_json(tree: object, where: str) -> ModelCard:
    """Return the card of plain data; raise ``InputError`` naming what is missing or of the wrong type."""
    if not isinstance(tree, Mapping):
        raise InputError("the model card is no JSON object", where=where)
    try:
        columns = tuple(
            Column(str(row["name"]), float(row["low"]), float(row["middle"]), float(row["high"]))
            for row in tree["columns"]
        )
        given = {
            field.name: _typed(field.name, tree) for field in fields(ModelCard) if field.name not in _LISTS
        }
        units = tuple(str(unit) for unit in tree["organizations"])
        return ModelCard(**given, columns=columns, organizations=units)  # type: ignore[arg-type]  # by ``_typed``
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the model card is damaged ({error!r})", where=where, todo=RETRAIN) from error


RETRAIN: Final = "train a new one: edusoc models train"
_LISTS: Final = frozenset({"columns", "organizations"})
_NUMBERS: Final = frozenset({"budget", "threshold", "held_out_days", "days"})
_WHOLE: Final = frozenset({"seed", "fitted", "held_out", "held_out_alerts", "size", "format"})


def _typed(name: str, tree: Mapping[str, object]) -> str | int | float:
    value = tree[name]
    if name in _WHOLE:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif name in _NUMBERS:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, str):
        return value
    raise TypeError(name)


def misfit(card: ModelCard, features: tuple[str, ...]) -> str:
    """Return why this program can't use the model, empty if it can; its file is checked when it is loaded."""
    if card.name != NAME or card.format != FORMAT:
        return f"it is a {card.name} of format {card.format}, this program reads {NAME} of format {FORMAT}"
    if tuple(column.name for column in card.columns) != features:
        return "its features are not those of this program"
    running = version("scikit-learn")
    if card.scikit_learn.split(".")[:2] != running.split(".")[:2]:
        return f"it was made with scikit-learn {card.scikit_learn}, installed is {running}"
    return ""
