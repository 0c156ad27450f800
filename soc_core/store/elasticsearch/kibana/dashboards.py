"""Make dashboards and saved searches, and lay panels out from left to right."""

from __future__ import annotations

from typing import Final

from soc_core.store.elasticsearch.kibana.content import DashboardSpec, PanelSpec, SearchSpec
from soc_core.store.elasticsearch.kibana.lens import lens_id
from soc_core.store.elasticsearch.kibana.objects import (
    VERSIONS,
    Json,
    Reference,
    SavedObject,
    Table,
    kql_query,
    object_id,
    packed,
)
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.views import TIME_FIELD, label_of, view_id

WIDTH: Final = 48
"""Columns of a dashboard's grid."""
SEARCH_INDEX: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
CONTROL_VIEW: Final = "events"
"""Controls offer values of all events, whatever view a panel looks at."""


def search_id(name: str, options: PackOptions) -> str:
    """Return the id of a saved search."""
    return object_id(options.prefix, "search", name)


def search_object(spec: SearchSpec, options: PackOptions) -> SavedObject:
    """Return a saved search, newest records first."""
    source: Table = {
        "filter": [],
        "highlightAll": True,
        "indexRefName": SEARCH_INDEX,
        "query": kql_query(spec.query),
        "version": True,
    }
    attributes: Table = {
        "columns": list(spec.columns),
        "description": spec.description.of(options.language),
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": packed(source)},
        "sort": [[TIME_FIELD, "desc"]],
        "timeRestore": False,
        "title": spec.title.of(options.language),
    }
    reference = Reference(SEARCH_INDEX, "index-pattern", view_id(spec.view, options))
    return SavedObject("search", search_id(spec.id, options), attributes, (reference,))


def dashboard_object(spec: DashboardSpec, options: PackOptions) -> SavedObject:
    """Return a dashboard with its panels and controls."""
    panels: list[Json] = []
    references: list[Reference] = []
    for panel, place in zip(spec.panels, layout(spec.panels), strict=True):
        body, used = _panel(panel, place, options)
        panels.append(body)
        references += used
    controls, chosen = _controls(spec, options)
    settings: Table = {
        "hidePanelTitles": False,
        "syncColors": False,
        "syncCursor": True,
        "syncTooltips": False,
        "useMargins": True,
    }
    attributes: Table = {
        "controlGroupInput": controls,
        "description": spec.description.of(options.language),
        "kibanaSavedObjectMeta": {"searchSourceJSON": packed({"filter": [], "query": kql_query("")})},
        "optionsJSON": packed(settings),
        "panelsJSON": packed(panels),
        "refreshInterval": {"pause": True, "value": 0},
        "timeFrom": spec.since,
        "timeRestore": True,
        "timeTo": "now",
        "title": spec.title.of(options.language),
        "version": 1,
    }
    id_ = object_id(options.prefix, "dashboard", spec.id)
    return SavedObject("dashboard", id_, attributes, (*references, *chosen))


def layout(panels: tuple[PanelSpec, ...]) -> list[dict[str, int]]:
    """Return where each panel lies: beside the last one while there is room, else in a new row below the highest."""
    places, left, top, height = [], 0, 0, 0
    for panel in panels:
        width, rows = panel.size
        if left + width > WIDTH:
            left, top, height = 0, top + height, 0
        places.append({"x": left, "y": top, "w": width, "h": rows})
        left, height = left + width, max(height, rows)
    return places


def _panel(
    panel: PanelSpec, place: dict[str, int], options: PackOptions
) -> tuple[Table, tuple[Reference, ...]]:
    """Return a panel and what it refers to."""
    index = object_id(options.prefix, "panel", panel.id)
    body: dict[str, Json] = {
        "gridData": {**place, "i": index},
        "panelIndex": index,
        "version": VERSIONS["dashboard"],
    }
    if panel.text is not None:
        words = panel.text.of(options.language).replace("{console}", options.console.rstrip("/"))
        return {**body, "type": "visualization", "embeddableConfig": _markdown(words)}, ()
    name = f"panel_{index}"
    kind = "search" if panel.kind == "search" else "lens"
    id_ = search_id(panel.search, options) if kind == "search" else lens_id(panel, options)
    body |= {"embeddableConfig": {"enhancements": {}}, "panelRefName": name, "type": kind}
    return body, (Reference(f"{index}:{name}", kind, id_),)


def _markdown(text: str) -> Table:
    return {
        "enhancements": {},
        "hidePanelTitles": True,
        "savedVis": {
            "data": {"aggs": [], "searchSource": {"filter": [], "query": kql_query("")}},
            "description": "",
            "params": {"fontSize": 12, "markdown": text, "openLinksInNewTab": True},
            "title": "",
            "type": "markdown",
            "uiState": {},
        },
    }


def _controls(spec: DashboardSpec, options: PackOptions) -> tuple[Table, tuple[Reference, ...]]:
    """Return the row of choices above a dashboard."""
    panels: dict[str, Json] = {}
    references = []
    for order, name in enumerate(spec.controls):
        id_ = object_id(options.prefix, "control", f"{spec.id}/{name}")
        panels[id_] = {
            "explicitInput": {
                "enhancements": {},
                "fieldName": name,
                "id": id_,
                "selectedOptions": [],
                "title": label_of(name, options.language),
            },
            "grow": True,
            "order": order,
            "type": "optionsListControl",
            "width": "medium",
        }
        reference = f"controlGroup_{id_}:optionsListDataView"
        references.append(Reference(reference, "index-pattern", view_id(CONTROL_VIEW, options)))
    parent: Table = {
        "ignoreFilters": False,
        "ignoreQuery": False,
        "ignoreTimerange": False,
        "ignoreValidations": False,
    }
    group: Table = {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "ignoreParentSettingsJSON": packed(parent),
        "panelsJSON": packed(panels),
    }
    return group, tuple(references)
