"""Examine the charts of Lens: each place of a chart must hold a column of its layer that fits there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from soc_core.errors import InputError
from soc_core.store.elasticsearch.kibana.reading import items, table, text

_SERIES: Final = frozenset(
    f"{kind}{stacking}"
    for kind in ("bar", "area", "line", "bar_horizontal")
    for stacking in ("", "_stacked", "_percentage_stacked")
)
_PLACES: Final[dict[str, tuple[tuple[str, bool], ...]]] = {
    "lnsMetric": (
        ("metricAccessor", False),
        ("secondaryMetricAccessor", False),
        ("maxAccessor", False),
        ("breakdownByAccessor", True),
    ),
    "lnsLegacyMetric": (("accessor", False),),
    "lnsGauge": (
        ("metricAccessor", False),
        ("minAccessor", False),
        ("maxAccessor", False),
        ("goalAccessor", False),
    ),
    "lnsHeatmap": (("xAccessor", True), ("yAccessor", True), ("valueAccessor", False)),
    "lnsTagcloud": (("tagAccessor", True), ("valueAccessor", False)),
    "lnsChoropleth": (("regionAccessor", True), ("valueAccessor", False)),
}
"""Places of charts with one layer, and whether a column there divides records."""
VISUALIZATIONS: Final = frozenset({"lnsXY", "lnsDatatable", "lnsPie", *_PLACES})


@dataclass(frozen=True, slots=True)
class _Place:
    """Hold one place of a chart: which column of which layer stands there; ``divides`` of ``None``: either kind."""

    name: str
    layer: str
    column: str
    divides: bool | None


def check_chart(
    kind: str, chart: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]]
) -> Iterator[InputError]:
    """Yield what is wrong with a chart over the layers."""
    if kind == "lnsXY":
        yield from _check_series(chart)
    places = list(_places(kind, chart))
    for place in places:
        yield from _check_place(place, layers)
    if kind in VISUALIZATIONS and not places:
        yield InputError("the chart shows no column", where="visualization")
    yield from _check_shown(kind, places, layers)


def _check_series(chart: Mapping[str, Any]) -> Iterator[InputError]:
    for layer in items(chart.get("layers")):
        series = text(table(layer).get("seriesType"))
        if table(layer).get("layerType", "data") == "data" and series not in _SERIES:
            yield InputError(f"there are no series of the type '{series}'", where="visualization")


def _places(kind: str, chart: Mapping[str, Any]) -> Iterator[_Place]:
    """Yield the filled places of a chart."""
    if kind == "lnsXY":
        for layer in map(table, items(chart.get("layers"))):
            yield from _series_places(layer)
    elif kind == "lnsPie":
        for layer in map(table, items(chart.get("layers"))):
            yield from _pie_places(layer)
    elif kind == "lnsDatatable":
        layer_id = text(chart.get("layerId"))
        for column in map(table, items(chart.get("columns"))):
            yield _Place("columns", layer_id, text(column.get("columnId")), None)
    else:
        layer_id = text(chart.get("layerId"))
        for name, divides in _PLACES.get(kind, ()):
            if chart.get(name) is not None:
                yield _Place(name, layer_id, text(chart[name]), divides)


def _series_places(layer: Mapping[str, Any]) -> Iterator[_Place]:
    id_ = text(layer.get("layerId"))
    if layer.get("layerType") == "annotations":
        return
    for column in items(layer.get("accessors")):
        yield _Place("accessors", id_, text(column), divides=False)
    for name in ("xAccessor", "splitAccessor"):
        if layer.get(name) is not None:
            yield _Place(name, id_, text(layer[name]), divides=True)


def _pie_places(layer: Mapping[str, Any]) -> Iterator[_Place]:
    id_ = text(layer.get("layerId"))
    for name, divides in (("primaryGroups", True), ("secondaryGroups", True), ("metrics", False)):
        for column in items(layer.get(name)):
            yield _Place(name, id_, text(column), divides)


def _check_place(place: _Place, layers: Mapping[str, Mapping[str, Any]]) -> Iterator[InputError]:
    where = f"visualization: {place.name}"
    layer = layers.get(place.layer)
    if layer is None:
        yield InputError("it shows a layer that is not there", where=where)
        return
    columns = table(layer.get("columns"))
    if place.column not in columns:
        yield InputError("it shows a column that is not in its layer", where=where)
    elif place.divides is not None and table(columns[place.column]).get("isBucketed") is not place.divides:
        yield InputError(
            "a column stands here that does not fit: dividing and measuring are mixed up", where=where
        )


def _check_shown(
    kind: str, places: list[_Place], layers: Mapping[str, Mapping[str, Any]]
) -> Iterator[InputError]:
    """Yield columns that no place shows and no other column is calculated from."""
    if kind not in {"lnsXY", "lnsDatatable", "lnsPie", "lnsMetric"}:
        return
    shown = {place.column for place in places}
    for layer in layers.values():
        columns = {id_: table(column) for id_, column in table(layer.get("columns")).items()}
        used = {text(one) for column in columns.values() for one in items(column.get("references"))}
        for id_, column in columns.items():
            if id_ not in shown | used and layer.get("linkToLayers") is None:
                yield InputError(
                    f"the chart does not show column '{text(column.get('label'))[:60]}'",
                    where="visualization",
                )
