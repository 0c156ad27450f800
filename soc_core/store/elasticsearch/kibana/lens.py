"""Make Lens visualisations: a layer of columns (what is asked), and a chart that says which column stands where.

The shapes are those of Kibana 8.9 (``formBased`` layers); sources: elastic/kibana ``x-pack/plugins/lens`` and its test
fixtures. Columns that divide records come before those that measure them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from soc_core.fields import FIELDS
from soc_core.store.elasticsearch.kibana.content import BucketSpec, MetricSpec, PanelSpec, Words
from soc_core.store.elasticsearch.kibana.objects import (
    Json,
    Reference,
    SavedObject,
    Table,
    kql_query,
    object_id,
)
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.views import KIBANA_TYPES, label_of, view_id

RECORDS: Final = "___records___"
"""What Lens calls "no field: the records themselves"."""
LAYER_REFERENCE: Final = "indexpattern-datasource-layer-"
SERIES: Final = frozenset(
    {"bar_stacked", "bar", "line", "area_stacked", "area", "bar_horizontal", "bar_percentage_stacked"}
)
_NAMES: Final = {
    "count": Words("条数", "Records"),
    "unique_count": Words("{field}（不同的）", "Distinct {field}"),
    "sum": Words("{field}（合计）", "Sum of {field}"),
    "average": Words("{field}（平均）", "Average {field}"),
    "median": Words("{field}（中位数）", "Median {field}"),
    "percentile": Words("{field}（百分位）", "Percentile of {field}"),
    "min": Words("{field}（最早或最小）", "First {field}"),
    "max": Words("{field}（最近或最大）", "Last {field}"),
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """Hold the columns of one layer by their ids, in their order."""

    id: str
    columns: dict[str, Table]

    def ids(self, *, bucketed: bool) -> list[str]:
        """Return the columns that divide records, or those that measure."""
        return [id_ for id_, column in self.columns.items() if column["isBucketed"] is bucketed]


def lens_object(panel: PanelSpec, options: PackOptions) -> SavedObject:
    """Return the visualisation of a panel."""
    layer = _layer(panel, options)
    kind, chart = _chart(panel, layer)
    state: Table = {
        "adHocDataViews": {},
        "datasourceStates": {
            "formBased": {
                "layers": {
                    layer.id: {
                        "columnOrder": list(layer.columns),
                        "columns": layer.columns,
                        "incompleteColumns": {},
                        "sampling": 1,
                    }
                }
            },
            "textBased": {"layers": {}},
        },
        "filters": [],
        "internalReferences": [],
        "query": kql_query(panel.query),
        "visualization": chart,
    }
    attributes: Table = {
        "description": "",
        "state": state,
        "title": _title(panel, options.language),
        "visualizationType": kind,
    }
    reference = Reference(LAYER_REFERENCE + layer.id, "index-pattern", view_id(panel.view, options))
    return SavedObject("lens", lens_id(panel, options), attributes, (reference,))


def lens_id(panel: PanelSpec, options: PackOptions) -> str:
    """Return the id of a panel's visualisation."""
    return object_id(options.prefix, "lens", panel.id)


def _title(panel: PanelSpec, language: str) -> str:
    return panel.title.of(language) if panel.title else panel.id


def _layer(panel: PanelSpec, options: PackOptions) -> _Layer:
    """Return the columns of a panel: rows, time, split, then metrics."""

    def new_id(part: str) -> str:
        return object_id(options.prefix, "column", f"{panel.id}/{part}")

    metrics = {
        new_id(f"metric{number}"): _metric(metric, options.language)
        for number, metric in enumerate(panel.metrics)
    }
    columns: dict[str, Table] = {}
    for number, row in enumerate(panel.rows):
        columns[new_id(f"row{number}")] = _bucket(row, list(metrics), options.language)
    if panel.split is not None:
        columns[new_id("split")] = _bucket(panel.split, list(metrics), options.language)
    if panel.time:
        columns[new_id("time")] = _time(panel.time, options.language)
    return _Layer(new_id("layer"), {**columns, **metrics})


def _time(name: str, language: str) -> Table:
    return {
        "customLabel": True,
        "dataType": "date",
        "isBucketed": True,
        "label": label_of(name, language),
        "operationType": "date_histogram",
        "params": {"dropPartials": False, "includeEmptyRows": True, "interval": "auto"},
        "scale": "interval",
        "sourceField": name,
    }


def _bucket(spec: BucketSpec, metrics: list[str], language: str) -> Table:
    if spec.labels:
        return _named_parts(spec, language)
    order: Table = {"columnId": metrics[spec.order], "type": "column"}
    if spec.rare:
        order = {"maxDocCount": 1, "type": "rare"}
    return {
        "customLabel": True,
        "dataType": KIBANA_TYPES[FIELDS[spec.field].type],
        "isBucketed": True,
        "label": label_of(spec.field, language),
        "operationType": "terms",
        "params": {
            "exclude": [],
            "excludeIsRegex": False,
            "include": [],
            "includeIsRegex": False,
            "missingBucket": False,
            "orderBy": order,
            "orderDirection": "asc" if spec.ascending else "desc",
            "otherBucket": False,
            "parentFormat": {"id": "terms"},
            "size": spec.size,
        },
        "scale": "ordinal",
        "sourceField": spec.field,
    }


def _named_parts(spec: BucketSpec, language: str) -> Table:
    parts: list[Json] = [
        {"input": kql_query(query), "label": label.of(language)}
        for label, query in zip(spec.labels, spec.queries, strict=True)
    ]
    return {
        "customLabel": True,
        "dataType": "string",
        "isBucketed": True,
        "label": Words("分类", "Part").of(language),
        "operationType": "filters",
        "params": {"filters": parts},
        "scale": "ordinal",
    }


def _metric(spec: MetricSpec, language: str) -> Table:
    name = label_of(spec.field, language) if spec.field else ""
    title = spec.title or _NAMES[spec.op]
    of_date = bool(spec.field) and FIELDS[spec.field].type == "date" and spec.op in {"min", "max"}
    params: dict[str, Json] = {} if spec.op in {"min", "max", "percentile"} else {"emptyAsNull": True}
    if spec.op == "percentile":
        params["percentile"] = spec.percentile
    column: dict[str, Json] = {
        "customLabel": True,
        "dataType": "date" if of_date else "number",
        "isBucketed": False,
        "label": title.of(language).format(field=name),
        "operationType": spec.op,
        "params": params,
        "scale": "ratio",
        "sourceField": spec.field or RECORDS,
    }
    if spec.query:
        column["filter"] = kql_query(spec.query)
    return column


def _chart(panel: PanelSpec, layer: _Layer) -> tuple[str, Table]:
    """Return the kind of chart and which column stands where."""
    buckets, metrics = layer.ids(bucketed=True), layer.ids(bucketed=False)
    base: Table = {"layerId": layer.id, "layerType": "data"}
    if panel.kind == "metric":
        return "lnsMetric", {**base, "metricAccessor": metrics[0]}
    if panel.kind == "table":
        columns: list[Json] = [{"columnId": id_, "isMetric": False, "isTransposed": False} for id_ in buckets]
        columns += [{"columnId": id_, "isMetric": True, "isTransposed": False} for id_ in metrics]
        return "lnsDatatable", {**base, "columns": columns, "paging": {"enabled": True, "size": 10}}
    if panel.kind == "pie":
        ring: Table = {
            **base,
            "categoryDisplay": "default",
            "legendDisplay": "default",
            "metrics": metrics,
            "nestedLegend": False,
            "numberDisplay": "percent",
            "primaryGroups": buckets,
        }
        return "lnsPie", {"layers": [ring], "shape": "donut"}
    return "lnsXY", _series(panel, layer, buckets, metrics)


def _series(panel: PanelSpec, layer: _Layer, buckets: list[str], metrics: list[str]) -> Table:
    shown: dict[str, Json] = {
        "accessors": metrics,
        "layerId": layer.id,
        "layerType": "data",
        "position": "top",
        "seriesType": panel.kind,
        "showGridlines": False,
        "xAccessor": buckets[-1] if panel.time else buckets[0],
    }
    if panel.split is not None:
        shown["splitAccessor"] = buckets[-2] if panel.time else buckets[-1]
    visible: Table = {"x": True, "yLeft": True, "yRight": True}
    return {
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": False, "yRight": False},
        "fittingFunction": "None",
        "gridlinesVisibilitySettings": visible,
        "labelsOrientation": {"x": 0, "yLeft": 0, "yRight": 0},
        "layers": [shown],
        "legend": {"isVisible": panel.split is not None or len(metrics) > 1, "position": "right"},
        "preferredSeriesType": panel.kind,
        "tickLabelsVisibilitySettings": visible,
        "valueLabels": "hide",
    }
