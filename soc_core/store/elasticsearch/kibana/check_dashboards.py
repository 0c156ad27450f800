"""Examine dashboards: panels, what they refer to, where they lie, and the choices above them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from soc_core.errors import InputError
from soc_core.store.elasticsearch.kibana.capabilities import aggregates, known
from soc_core.store.elasticsearch.kibana.check_lens import check_lens
from soc_core.store.elasticsearch.kibana.check_queries import check_field, check_query
from soc_core.store.elasticsearch.kibana.dashboards import WIDTH
from soc_core.store.elasticsearch.kibana.reading import Found, items, table, text, unpacked

_CONTROLS: Final = {
    "optionsListControl": "optionsListDataView",
    "rangeSliderControl": "rangeSliderDataView",
}
MOST_PANELS: Final = 500
"""Each is looked at beside each other."""
Box = tuple[int, int, int, int]


def check_dashboard(found: Found) -> Iterator[InputError]:
    """Yield what is wrong with a dashboard."""
    attributes, references = found.attributes, found.references()
    _options, faults = unpacked(attributes.get("optionsJSON", "{}"), "optionsJSON")
    yield from faults
    source, faults = unpacked(
        table(attributes.get("kibanaSavedObjectMeta")).get("searchSourceJSON"), "searchSourceJSON"
    )
    yield from faults
    if table(source).get("query") is not None:
        yield from check_query(table(source)["query"], "query")
    panels, faults = unpacked(attributes.get("panelsJSON"), "panelsJSON")
    yield from faults
    yield from _check_panels([table(panel) for panel in items(panels)], references)
    if attributes.get("timeRestore") and not (attributes.get("timeFrom") and attributes.get("timeTo")):
        yield InputError("it keeps a time range but has none", where="timeRestore")
    if attributes.get("controlGroupInput") is not None:
        yield from _check_controls(table(attributes["controlGroupInput"]), references)


def _check_panels(
    panels: list[Mapping[str, Any]], references: Mapping[str, tuple[str, str]]
) -> Iterator[InputError]:
    if len(panels) > MOST_PANELS:
        yield InputError(f"it has more than {MOST_PANELS} panels", where="panelsJSON")
        return
    boxes: list[Box] = []
    seen: set[str] = set()
    for number, panel in enumerate(panels, start=1):
        place = f"panel {number}"
        index = text(panel.get("panelIndex"))
        if not index or index in seen or table(panel.get("gridData")).get("i") != index:
            yield InputError("panelIndex is missing, doubled, or not that of its place", where=place)
        seen.add(index)
        box = _box(table(panel.get("gridData")))
        if box is None:
            yield InputError(f"it lies outside the {WIDTH} columns of a dashboard", where=place)
        elif any(_overlap(box, other) for other in boxes):
            yield InputError("it lies on another panel", where=place)
        else:
            boxes.append(box)
        yield from _check_body(panel, references, place)


def _box(grid: Mapping[str, Any]) -> Box | None:
    """Return left, top, width and height, ``None`` when they make no place of a dashboard."""
    values = [value for name in "xywh" if isinstance(value := grid.get(name), int) and value >= 0]
    if len(values) < 4:
        return None
    left, top, width, height = values
    return (left, top, width, height) if width and height and left + width <= WIDTH else None


def _overlap(one: Box, other: Box) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


def _check_body(
    panel: Mapping[str, Any], references: Mapping[str, tuple[str, str]], place: str
) -> Iterator[InputError]:
    """Examine what a panel shows: another object, or one that is kept inside it."""
    index, name = text(panel.get("panelIndex")), text(panel.get("panelRefName"))
    inside = table(panel.get("embeddableConfig"))
    if name:
        target = references.get(f"{index}:{name}") or references.get(name)
        if target is None:
            yield InputError(f"no reference is called '{name[:60]}'", where=place)
        elif target[0] != panel.get("type"):
            yield InputError(f"it says it is a {panel.get('type')} but refers to a {target[0]}", where=place)
    elif panel.get("type") == "lens" and "attributes" in inside:
        own = {key.removeprefix(f"{index}:") for key in references}
        attributes = table(inside["attributes"])
        own |= {text(table(one).get("name")) for one in items(attributes.get("references"))}
        for fault in check_lens(attributes, own):
            yield InputError(fault.what, where=f"{place}: {fault.where}", todo=fault.todo)
    elif (
        "savedVis" not in inside
        and "attributes" not in inside
        and panel.get("type") in {"lens", "visualization", "search"}
    ):
        yield InputError("it shows nothing: neither another object nor one of its own", where=place)


def _check_controls(
    group: Mapping[str, Any], references: Mapping[str, tuple[str, str]]
) -> Iterator[InputError]:
    _parent, faults = unpacked(group.get("ignoreParentSettingsJSON", "{}"), "ignoreParentSettingsJSON")
    yield from faults
    panels, faults = unpacked(group.get("panelsJSON", "{}"), "controlGroupInput")
    yield from faults
    for id_, panel in table(panels).items():
        given = table(table(panel).get("explicitInput"))
        place = f"control '{text(given.get('title')) or id_[:8]}'"
        kind = text(table(panel).get("type"))
        if kind not in _CONTROLS:
            continue
        name = text(given.get("fieldName"))
        yield from check_field(name, place)
        if known(name) and not aggregates(name):
            yield InputError(f"'{name}' is long text: there are no values to choose", where=place)
        if f"controlGroup_{id_}:{_CONTROLS[kind]}" not in references and not given.get("dataViewId"):
            yield InputError("no reference says which data view it is about", where=place)
