"""Read what the pack is to hold: the tables ``views.toml``, ``searches.toml`` and ``dashboards.toml`` beside this file.

Every text stands there in Chinese and English. In a query ``{inside:source.ip}`` stands for "the address lies in a
private network"; everything else is Kibana's query language as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from soc_core.fields import FIELDS
from soc_core.model.organisation import PRIVATE_NETWORKS

_INSIDE: Final = re.compile(r"\{inside:([\w.@]+)\}")
_INSIDE_VALUES: Final = " or ".join(f'"{network}"' for network in PRIVATE_NETWORKS)


@dataclass(frozen=True, slots=True)
class Words:
    """Hold one text in both languages."""

    zh: str
    en: str

    def of(self, language: str) -> str:
        """Return it in ``language``: Chinese unless that is ``en``."""
        return self.en if language == "en" else self.zh


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """Describe a data view: which data sets it looks at (none: all), and which fields belong to its subject.

    ``fields`` are names, or beginnings of names with a ``*``.
    """

    id: str
    title: Words
    datasets: tuple[str, ...]
    fields: tuple[str, ...]

    def field_names(self) -> list[str]:
        """Return the dictionary's fields that belong to its subject, in the dictionary's order."""
        whole = {name for name in self.fields if not name.endswith("*")}
        starts = tuple(name[:-1] for name in self.fields if name.endswith("*"))
        return [name for name in FIELDS if name in whole or name.startswith(starts)]


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """Describe a saved search: what to look for, why, and which columns say it."""

    id: str
    view: str
    title: Words
    description: Words
    query: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """Describe one number of a panel: ``op`` is Lens's name of the operation; ``query`` narrows what it counts."""

    op: str
    field: str = ""
    title: Words | None = None
    query: str = ""
    percentile: int = 95


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """Describe how a panel divides records: the ``size`` most frequent values of ``field``.

    ``order`` is the number of the metric that decides, with ``ascending`` from the least. ``rare`` asks for values
    that occur once instead. ``labels`` (with ``queries`` of the same length) makes named parts instead of values.
    """

    field: str = ""
    size: int = 10
    order: int = 0
    ascending: bool = False
    rare: bool = False
    labels: tuple[Words, ...] = ()
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """Describe a panel: ``kind`` is markdown, search, metric, table, pie or one of Lens's kinds of series.

    ``size`` is columns (of 48) and rows; panels flow from left to right. ``time`` is the date field of the x axis.
    ``text`` is what a markdown panel says, ``search`` the id of the saved search it shows.
    """

    id: str
    kind: str
    size: tuple[int, int]
    title: Words | None = None
    view: str = ""
    query: str = ""
    time: str = ""
    rows: tuple[BucketSpec, ...] = ()
    split: BucketSpec | None = None
    metrics: tuple[MetricSpec, ...] = ()
    text: Words | None = None
    search: str = ""


@dataclass(frozen=True, slots=True)
class DashboardSpec:
    """Describe a dashboard: ``controls`` are the fields to choose values of, ``since`` the range it opens with."""

    id: str
    title: Words
    description: Words
    since: str
    controls: tuple[str, ...]
    panels: tuple[PanelSpec, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Hold all there is to make."""

    views: Mapping[str, ViewSpec]
    searches: Mapping[str, SearchSpec]
    dashboards: Mapping[str, DashboardSpec]


@cache
def content() -> Content:
    """Return the tables, read once; a table that does not fit raises ``TypeError`` or ``KeyError``."""
    views, searches, dashboards = (_table(name) for name in ("views", "searches", "dashboards"))
    groups: dict[str, list[str]] = views.pop("groups")
    return Content(
        {id_: _view(id_, table, groups) for id_, table in views.items()},
        {id_: _search(id_, table) for id_, table in searches.items()},
        {id_: _dashboard(id_, table) for id_, table in dashboards.items()},
    )


def expanded(query: str) -> str:
    """Return a query with what stands for other text written out."""
    return _INSIDE.sub(rf"\1: ({_INSIDE_VALUES})", " ".join(query.split()))


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def _words(table: dict[str, Any], zh: str = "zh", en: str = "en") -> Words | None:
    """Take the two texts out of a table."""
    texts = table.pop(zh, ""), table.pop(en, "")
    return Words(*(str(text).strip() for text in texts)) if all(texts) else None


def _needed(words: Words | None, where: str) -> Words:
    if words is None:
        raise KeyError(where)
    return words


def _view(id_: str, table: dict[str, Any], groups: Mapping[str, list[str]]) -> ViewSpec:
    fields = [name for group in table["groups"] for name in groups[group]]
    return ViewSpec(id_, _needed(_words(table), id_), tuple(table["datasets"]), tuple(fields))


def _search(id_: str, table: dict[str, Any]) -> SearchSpec:
    title, why = _words(table), _words(table, "why_zh", "why_en")
    return SearchSpec(
        id=id_,
        title=_needed(title, id_),
        description=_needed(why, id_),
        query=expanded(table.pop("query")),
        columns=tuple(table.pop("columns")),
        **table,
    )


def _dashboard(id_: str, table: dict[str, Any]) -> DashboardSpec:
    title, why = _words(table), _words(table, "why_zh", "why_en")
    return DashboardSpec(
        id=id_,
        title=_needed(title, id_),
        description=_needed(why, id_),
        since=table["since"],
        controls=tuple(table["controls"]),
        panels=tuple(_panel(f"{id_}.{panel.pop('id')}", panel) for panel in table["panels"]),
    )


def _panel(id_: str, table: dict[str, Any]) -> PanelSpec:
    split = table.pop("split", None)
    return PanelSpec(
        id=id_,
        title=_words(table),
        text=_words(table, "text_zh", "text_en"),
        size=tuple(table.pop("size")),
        query=expanded(table.pop("query", "")),
        rows=tuple(_bucket(row) for row in table.pop("rows", ())),
        split=None if split is None else _bucket(split),
        metrics=tuple(_metric(metric) for metric in table.pop("metrics", ())),
        **table,
    )


def _bucket(table: dict[str, Any]) -> BucketSpec:
    parts = table.pop("parts", ())
    return BucketSpec(
        labels=tuple(_needed(_words(part), "parts") for part in parts),
        queries=tuple(expanded(part["query"]) for part in parts),
        **table,
    )


def _metric(table: dict[str, Any]) -> MetricSpec:
    return MetricSpec(title=_words(table), query=expanded(table.pop("query", "")), **table)
