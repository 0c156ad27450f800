"""Hold that the check finds what it says it finds: each fault is put into our own pack, and nothing else is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from soc_core.reasons import error_text
from soc_core.store.elasticsearch.kibana.checking import MOST_FAULTS, check_exports
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.pack import export

PACK = export(PackOptions(language="en"))
Body = dict[str, Any]


def find(objects: list[Body], kind: str, title: str) -> Body:
    for body in objects:
        if body["type"] == kind and title in (body["attributes"].get("name"), body["attributes"]["title"]):
            return body
    raise KeyError(title)


def faults(change: Callable[[Any], None], kind: str, title: str) -> list[str]:
    """Return what is found after a change of one object's body."""
    objects = [orjson.loads(line) for line in PACK.splitlines()]
    change(find(objects, kind, title))
    data = b"\n".join(orjson.dumps(body) for body in objects)
    found = list(check_exports([("f", data)]))
    for fault in found:
        assert fault.where.startswith("f:"), fault
        assert error_text(fault, "zh") != str(fault), f"not said in Chinese: {fault}"
    return [fault.what for fault in found]


def layer(body: Body) -> Body:
    (found,) = body["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
    return dict(found)


def columns(body: Body, operation: str) -> list[Body]:
    return [one for one in layer(body)["columns"].values() if one["operationType"] == operation]


def set_query(text: object) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        body["attributes"]["state"]["query"]["query"] = text

    return change


TALKERS = "Inside addresses with most traffic"
LENS_FAULTS: list[tuple[Callable[[Body], Any], str]] = [
    (set_query("source.ip: 10.0.0.0/8 and"), "can't be a value of 'source.ip'"),
    (set_query("sources.ip: *"), "field 'sources.ip' is not in the field dictionary"),
    (set_query("message: failed"), "'message' is long text: a value without *"),
    (set_query("user.name: *a b*"), "has a space beside a wildcard"),
    (set_query("destination.port: http"), "can't be a value of 'destination.port'"),
    (set_query("destination.port: 44*"), "'destination.port' is no text"),
    (set_query("user.name > 5"), "'user.name' holds no numbers"),
    (set_query("event.created > yesterday"), "can't be a value of 'event.created'"),
    (set_query("tls.resumed: yes"), "can't be a value of 'tls.resumed'"),
    (set_query("dns:{ answers.name: x }"), "'dns' holds no nested objects"),
    (set_query("nothing.*: x"), "no field is called like 'nothing.*'"),
    (set_query("(user.name: x"), "the query ends too early"),
    (set_query(7), "a query must be text"),
    (
        lambda body: columns(body, "sum")[0].update(sourceField="user.name"),
        "'sum' can't be asked of 'user.name'",
    ),
    (lambda body: columns(body, "sum")[0].update(sourceField="no.such"), "field 'no.such' is not"),
    (lambda body: columns(body, "sum")[0].update(operationType="total"), "Lens has no operation 'total'"),
    (lambda body: columns(body, "sum")[0].update(isBucketed=True), "isBucketed does not fit"),
    (lambda body: columns(body, "sum")[0].update(dataType="string"), "its dataType should be 'number'"),
    (lambda body: columns(body, "terms")[0].update(sourceField="message"), "'message' is long text"),
    (lambda body: columns(body, "terms")[0].update(sourceField="@timestamp"), "'terms' can't be asked of"),
    (lambda body: columns(body, "terms")[0]["params"].update(size=0), "size should be a number"),
    (
        lambda body: columns(body, "terms")[0]["params"].update(orderDirection="up"),
        "orderDirection should be",
    ),
    (
        lambda body: columns(body, "terms")[0]["params"]["orderBy"].update(columnId="x"),
        "it is ordered by a column",
    ),
    (
        lambda body: columns(body, "terms")[0]["params"].update(orderBy={"type": "luck"}),
        "can't be ordered by 'luck'",
    ),
    (lambda body: layer(body)["columnOrder"].reverse(), "columns that divide records must come before"),
    (lambda body: layer(body)["columnOrder"].pop(), "columnOrder does not name each column once"),
    (lambda body: layer(body)["columns"].popitem(), "columnOrder does not name each column once"),
    (lambda body: body["references"].clear(), "no reference says which data view"),
    (lambda body: body["references"][0].update(id="gone"), "it needs the index-pattern 'gone'"),
    (lambda body: body["attributes"].update(visualizationType="lnsCloud"), "no visualisation of the type"),
    (
        lambda body: body["attributes"]["state"]["visualization"]["columns"].pop(),
        "the chart does not show column",
    ),
    (
        lambda body: body["attributes"]["state"]["visualization"].update(layerId="x"),
        "it shows a layer that is not",
    ),
    (
        lambda body: body["attributes"]["state"]["visualization"]["columns"].append({"columnId": "x"}),
        "it shows a column that is not in its layer",
    ),
    (lambda body: body["attributes"]["state"].update(datasourceStates={}), "there is no layer of columns"),
    (lambda body: body.update(typeMigrationVersion="8.10.0"), "its form 8.10.0 is newer than 8.9.0"),
    (lambda body: body.update(coreMigrationVersion="9.0.0"), "its form 9.0.0 is newer than 8.8.0"),
    (lambda body: body.pop("typeMigrationVersion"), "it does not say its form"),
]


@pytest.mark.parametrize(("change", "expected"), LENS_FAULTS)
def test_faults_of_visualisations(change: Callable[[Body], None], expected: str) -> None:
    assert any(expected in what for what in faults(change, "lens", TALKERS)), expected


def test_faults_of_series() -> None:
    def swap(body: Body) -> None:
        (shown,) = body["attributes"]["state"]["visualization"]["layers"]
        shown["accessors"], shown["xAccessor"] = [shown["xAccessor"]], shown["accessors"][0]

    assert (
        faults(swap, "lens", "Events by data set").count(
            "a column stands here that does not fit: dividing and measuring are mixed up"
        )
        == 2
    )


def repack(body: Body, path: tuple[str, ...], change: Callable[[Any], Any]) -> None:
    """Change JSON that is kept as text."""
    at = body["attributes"]
    for name in path[:-1]:
        at = at[name]
    inner = json.loads(at[path[-1]])
    change(inner)
    at[path[-1]] = json.dumps(inner)


BOARD = "edusoc · one school"
CONTROLS = ("controlGroupInput", "panelsJSON")
BOARD_FAULTS: list[tuple[Callable[[Body], Any], str]] = [
    (lambda body: body["attributes"].update(panelsJSON="[{"), "no JSON"),
    (lambda body: body["attributes"].update(panelsJSON=[]), "JSON kept as text is expected"),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p[1]["gridData"].update(x=40)),
        "it lies outside the 48",
    ),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p[2]["gridData"].update(y=0)),
        "it lies on another panel",
    ),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p[1].update(panelIndex="x")),
        "panelIndex is missing",
    ),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p[1].update(panelRefName="x")),
        "no reference is called 'x'",
    ),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p[1].update(type="search")),
        "it says it is a search but",
    ),
    (lambda body: repack(body, ("panelsJSON",), lambda p: p[1].pop("panelRefName")), "it shows nothing"),
    (lambda body: body["attributes"].pop("timeFrom"), "it keeps a time range but has none"),
    (
        lambda body: repack(body, ("panelsJSON",), lambda p: p.extend([{}] * 500)),
        "it has more than 500 panels",
    ),
    (
        lambda body: repack(
            body, CONTROLS, lambda p: next(iter(p.values()))["explicitInput"].update(fieldName="message")
        ),
        "'message' is long text: there are no values",
    ),
    (
        lambda body: repack(body, CONTROLS, lambda p: p.update(x=p.pop(next(iter(p))))),
        "no reference says which data view",
    ),
]


@pytest.mark.parametrize(("change", "expected"), BOARD_FAULTS)
def test_faults_of_dashboards(change: Callable[[Body], None], expected: str) -> None:
    assert any(expected in what for what in faults(change, "dashboard", BOARD)), expected


def test_a_visualisation_kept_inside_a_panel_is_examined_too() -> None:
    objects = [orjson.loads(line) for line in PACK.splitlines()]
    lens, board = find(objects, "lens", TALKERS), find(objects, "dashboard", BOARD)

    def take_in(panels: list[Body]) -> None:
        panel = panels[1]
        panel.pop("panelRefName")
        panel["embeddableConfig"] = {"attributes": lens["attributes"]}
        board["references"] += [
            {**one, "name": f"{panel['panelIndex']}:{one['name']}"} for one in lens["references"]
        ]

    repack(board, ("panelsJSON",), take_in)
    data = b"\n".join(orjson.dumps(body) for body in objects)
    assert list(check_exports([("f", data)])) == []
    columns(lens, "sum")[0]["sourceField"] = "no.such"
    repack(
        board,
        ("panelsJSON",),
        lambda panels: panels[1]["embeddableConfig"].update(attributes=lens["attributes"]),
    )
    found = list(check_exports([("f", b"\n".join(orjson.dumps(body) for body in objects))]))
    assert ["panel 2: column" in fault.where for fault in found].count(True) == 1


VIEW_FAULTS: list[tuple[Callable[[Body], Any], str]] = [
    (lambda body: body["attributes"].update(timeFieldName="time"), "field 'time' is not"),
    (lambda body: body["attributes"].update(timeFieldName="user.name"), "'user.name' is no time"),
    (lambda body: body["attributes"].pop("timeFieldName"), "it has no time field"),
    (lambda body: body["attributes"].update(title=""), "it names no index"),
    (lambda body: body["attributes"].update(fieldAttrs="{"), "no JSON"),
    (lambda body: repack(body, ("fieldAttrs",), lambda a: a.update(x={})), "field 'x' is not"),
    (
        lambda body: repack(
            body, ("fieldAttrs",), lambda a: a["user.id"].update(customDescription="x" * 301)
        ),
        "the description of 'user.id' has more than 300",
    ),
    (
        lambda body: repack(
            body,
            ("fieldAttrs",),
            lambda a: (a["user.id"].update(customLabel="U"), a["user.name"].update(customLabel="U")),
        ),
        "are both called 'U'",
    ),
    (
        lambda body: repack(body, ("fieldFormatMap",), lambda f: f["event.id"].update(id="link")),
        "no way of showing values called 'link'",
    ),
    (
        lambda body: repack(
            body,
            ("fieldFormatMap",),
            lambda f: f["event.id"]["params"].update(urlTemplate="javascript:{{rawValue}}"),
        ),
        "is no address Kibana makes a link of",
    ),
    (
        lambda body: repack(
            body,
            ("fieldFormatMap",),
            lambda f: f["event.id"]["params"].update(urlTemplate="https://x/{{rawValue}}"),
        ),
        "values get into the address as they are",
    ),
]


@pytest.mark.parametrize(("change", "expected"), VIEW_FAULTS)
def test_faults_of_data_views(change: Callable[[Body], None], expected: str) -> None:
    assert any(expected in what for what in faults(change, "index-pattern", "edusoc · all events")), expected


SOURCE = ("kibanaSavedObjectMeta", "searchSourceJSON")
SEARCH_FAULTS: list[tuple[Callable[[Body], Any], str]] = [
    (lambda body: body["attributes"]["columns"].append("nope"), "field 'nope' is not"),
    (
        lambda body: body["attributes"].update(sort=[["message", "desc"]]),
        "'message' is long text: nothing can be",
    ),
    (lambda body: body["attributes"].update(sort=[["@timestamp"]]), "a field and asc or desc are expected"),
    (
        lambda body: repack(body, SOURCE, lambda s: s.update(indexRefName="x")),
        "no reference says which data view",
    ),
    (
        lambda body: repack(body, SOURCE, lambda s: s["query"].update(query="a b: c: d")),
        "should stand before",
    ),
    (
        lambda body: repack(body, SOURCE, lambda s: s["query"].update(language="lucene", query="a")),
        "a query in Lucene's language is not examined",
    ),
    (lambda body: repack(body, SOURCE, lambda s: s.pop("query")), "a query with its language is expected"),
]


@pytest.mark.parametrize(("change", "expected"), SEARCH_FAULTS)
def test_faults_of_searches(change: Callable[[Body], None], expected: str) -> None:
    found = faults(change, "search", "Logs cleared")
    assert any(expected in what for what in found), expected


def test_lines_that_are_no_objects_are_named_and_the_others_examined() -> None:
    lines = PACK.splitlines()
    data = b"\n".join([b"{", b"[1]", b"", *lines, lines[0], b'{"exportedCount":1}', b"{}"])
    found = [(fault.where.split(": ")[0], fault.what) for fault in check_exports([("f", data)])]
    last = len(lines) + 4
    assert found[0][0] == "f:1"
    assert found[0][1].startswith("no JSON")
    assert found[1] == ("f:2", "no saved object: a table in braces is expected")
    assert (f"f:{last}", "it is there twice, first at f:4") in found
    assert (f"f:{last + 2}", "it has no type or no id") in found


def test_references_may_lead_to_another_file() -> None:
    lines = PACK.splitlines()
    assert list(check_exports([("a", b"\n".join(lines[20:])), ("b", b"\n".join(lines[:20]))])) == []
    assert any("it needs the" in fault.what for fault in check_exports([("a", b"\n".join(lines[20:]))]))


def test_an_empty_file_is_told() -> None:
    assert [fault.what for fault in check_exports([("f", b"\n")])] == ["there is no saved object"]


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[]], {"x": 1}])
@pytest.mark.parametrize("kind", ["index-pattern", "search", "lens", "dashboard", "map"])
def test_anything_may_stand_anywhere(kind: str, value: object) -> None:
    """Put every kind of value where tables, lists and texts are expected: the check names faults and never fails."""
    for line in PACK.splitlines():
        body = orjson.loads(line)
        if body["type"] != kind:
            continue
        for name in list(body["attributes"]):
            changed = {**body, "attributes": {**body["attributes"], name: value}}
            list(check_exports([("f", orjson.dumps(changed))]))
            packed = {**body, "attributes": {**body["attributes"], name: json.dumps([value, {"a": value}])}}
            list(check_exports([("f", orjson.dumps(packed))]))
        for name in list(body):
            list(check_exports([("f", orjson.dumps({**body, name: value}))]))
        break
    list(check_exports([("f", orjson.dumps({"type": kind, "id": "x", "attributes": {"state": value}}))]))


def test_an_object_with_many_faults_is_not_told_of_for_ever() -> None:
    def spoil(body: Body) -> None:
        body["attributes"]["columns"] = [f"no.{number}" for number in range(1_000)]

    assert len(faults(spoil, "search", "Logs cleared")) == MOST_FAULTS
