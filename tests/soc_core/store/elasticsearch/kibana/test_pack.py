"""Hold what the pack promises: the same bytes, ids that stay, words in both languages, fields that are filled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytest
import yaml

from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.i18n import LANGUAGES
from soc_core.query.language import parse_query
from soc_core.query.tree import equal
from soc_core.store.elasticsearch.kibana.capabilities import aggregates, kind_of
from soc_core.store.elasticsearch.kibana.checking import check_exports
from soc_core.store.elasticsearch.kibana.content import PanelSpec, content
from soc_core.store.elasticsearch.kibana.kql import leaves, parse_kql
from soc_core.store.elasticsearch.kibana.objects import VERSIONS
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.pack import build_pack, export
from soc_core.store.elasticsearch.kibana.roles import role_body, role_name
from soc_core.store.elasticsearch.kibana.views import label_of
from soc_core.store.elasticsearch.templates import LOG_FIELDS
from tests.test_messages import ALLOWED, FORBIDDEN

ROOT = Path(__file__).parents[5]
CHINESE = re.compile("[\u4e00-\u9fff]")
TABLE = content()
PANELS = [panel for board in TABLE.dashboards.values() for panel in board.panels]
DRAWN = [panel for panel in PANELS if panel.metrics]
ZH, EN = (PackOptions(language=language) for language in LANGUAGES)


def test_the_same_input_gives_the_same_bytes() -> None:
    named = PackOptions(unit_names={"u2": "乙校", "u1": "甲校"})
    assert export(ZH) == export(PackOptions())
    assert export(named) == export(PackOptions(unit_names={"u1": "甲校", "u2": "乙校"}))


def test_ids_depend_on_the_prefix_alone() -> None:
    chinese, english, other = (
        {(one.type, one.id) for one in build_pack(options)} for options in (ZH, EN, PackOptions("county"))
    )
    assert chinese == english
    assert not chinese & other
    # Ids in the wild: changing how they are made would leave doubles behind in every Kibana.
    assert ("dashboard", "7a6f36e3-61b5-5215-a2fa-041071577fef") in chinese


@pytest.mark.parametrize("options", [ZH, EN, PackOptions("county-1", unit_names={"u1": "甲校"})])
def test_the_pack_passes_its_own_check(options: PackOptions) -> None:
    assert [str(fault) for fault in check_exports([("pack", export(options))])] == []


def test_it_holds_what_was_promised() -> None:
    kinds = [one.type for one in build_pack(ZH)]
    assert kinds.count("dashboard") == 4
    assert kinds.count("search") >= 10
    assert kinds.count("index-pattern") >= 7
    assert kinds.count("lens") == len(DRAWN) >= 30
    assert all(board.panels[0].kind == "markdown" and board.controls for board in TABLE.dashboards.values())


def test_objects_say_the_oldest_form_that_kibana_takes() -> None:
    for line in export(ZH).splitlines():
        one = orjson.loads(line)
        assert one["coreMigrationVersion"] == "8.8.0"
        assert one["typeMigrationVersion"] == VERSIONS[one["type"]]


def texts(value: Any) -> list[str]:
    """Return what people read in an object."""
    if isinstance(value, dict):
        shown = [
            value[key] for key in ("title", "label", "markdown", "name") if isinstance(value.get(key), str)
        ]
        return shown + [text for part in value.values() for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return texts(orjson.loads(value))
        except orjson.JSONDecodeError:
            return []
    return []


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_shown_is_in_the_language(language: str) -> None:
    shown = [
        text
        for one in build_pack(PackOptions(language=language))
        for text in texts(dict(one.attributes))
        if text and not text.startswith("edusoc-events-")
    ]
    assert len(shown) > 150
    if language == "en":
        assert [text for text in shown if CHINESE.search(text)] == []
    else:
        assert [text for text in shown if not CHINESE.search(text)] == []


def test_chinese_follows_the_glossary() -> None:
    shown = [text for one in build_pack(ZH) for text in texts(dict(one.attributes))]
    for word, why in FORBIDDEN.items():
        allowed = [re.sub("|".join(ALLOWED), "", text) for text in shown]
        assert [text for text in allowed if word in text] == [], why


def test_no_two_fields_have_the_same_label() -> None:
    labels = [label_of(name, "zh") for name in FIELDS]
    assert len(labels) == len(set(labels))


def test_data_sets_are_those_that_rules_know() -> None:
    known = set()
    for path in (ROOT / "rules" / "mappings").glob("*.yml"):
        known |= set(
            re.findall(
                r"(?:packets|suricata|zeek|windows|syslog|web|iis|dns)\.[a-z0-9_]+", path.read_text("utf-8")
            )
        )
    named = {name for view in TABLE.views.values() for name in view.datasets if not name.endswith("*")}
    assert named - known <= {"suricata.anomaly", "zeek.weird"}, "only these are read but not by any rule"
    sources = yaml.safe_load((ROOT / "rules" / "mappings" / "network.yml").read_text("utf-8"))["logsources"]
    by_category = {
        row["match"].get("category"): set(row["events"][0]["event.dataset"])
        for row in sources
        if isinstance(row["events"][0].get("event.dataset"), list)
    }
    assert set(TABLE.views["flows"].datasets) == by_category["flow"]
    assert set(TABLE.views["dns"].datasets) == by_category["dns"]
    assert set(TABLE.views["tls"].datasets) == by_category["tls"]
    assert set(TABLE.views["smb"].datasets) == by_category["smb"]
    assert set(TABLE.views["http"].datasets) == by_category["webserver"]


def queries(panel: PanelSpec) -> list[str]:
    buckets = [*panel.rows, *([panel.split] if panel.split else [])]
    return [
        panel.query,
        *(metric.query for metric in panel.metrics),
        *(query for bucket in buckets for query in bucket.queries),
    ]


def asked(query: str) -> set[str]:
    return {leaf.field.text for leaf in leaves(parse_kql(query)) if leaf.field is not None}


def test_what_is_asked_belongs_to_the_view() -> None:
    for panel in DRAWN:
        used = set().union(*(asked(query) for query in queries(panel)))
        used |= {metric.field for metric in panel.metrics} | {row.field for row in panel.rows}
        used |= {panel.split.field} if panel.split else set()
        foreign = used - {"", *TABLE.views[panel.view].field_names()}
        assert not foreign, f"{panel.id}: {foreign}"
    for search in TABLE.searches.values():
        foreign = {*asked(search.query), *search.columns} - set(TABLE.views[search.view].field_names())
        assert not foreign, f"{search.id}: {foreign}"


def test_single_values_are_numbers() -> None:
    """Lens showed nothing else there until late in 8.x (``supportedDataTypes`` of its metric visualisation)."""
    shown = [panel.metrics[0] for panel in DRAWN if panel.kind == "metric"]
    assert shown
    assert all(one.op in {"count", "unique_count"} or kind_of(one.field) == "number" for one in shown)


def test_searches_in_dashboards_are_there() -> None:
    assert {panel.search for panel in PANELS if panel.kind == "search"} <= TABLE.searches.keys()


def formats(options: PackOptions) -> dict[str, Any]:
    view = next(one for one in build_pack(options) if one.type == "index-pattern")
    found: dict[str, Any] = orjson.loads(str(view.attributes["fieldFormatMap"]))
    return found


def test_links_lead_to_pages_of_the_console() -> None:
    links = {
        name: shape["params"]["urlTemplate"]
        for name, shape in formats(PackOptions(console="https://soc.example.cn/")).items()
        if shape["id"] == "url"
    }
    assert links["event.id"] == "https://soc.example.cn/events/{{value}}"
    assert links["organization.id"].startswith("https://soc.example.cn/overview?organisation=")
    assert {"source.ip", "network.community_id"} <= links.keys()
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "soc_api" / "pages").glob("*.py"))
    for link in links.values():
        path = link.removeprefix("https://soc.example.cn").split("?")[0].replace("{{value}}", "{event_id}")
        assert f'@router.get("{path}")' in pages, link


def test_a_session_is_asked_for_in_the_language_of_the_console() -> None:
    link = formats(ZH)["network.community_id"]["params"]["urlTemplate"]
    asked_for = parse_qs(urlsplit(link.replace("{{value}}", quote("1:a+b/c=", safe=""))).query)
    assert parse_query(asked_for["q"][0]) == equal("network.community_id", "1:a+b/c=")


def test_units_are_called_by_name_where_names_are_known() -> None:
    shape = formats(PackOptions(unit_names={"u1": "甲校"}))["organization.id"]
    assert shape == {
        "id": "static_lookup",
        "params": {"lookupEntries": [{"key": "u1", "value": "甲校"}], "unknownKeyValue": None},
    }


def test_numbers_are_shown_as_what_they_are() -> None:
    found = formats(ZH)
    assert found["source.bytes"]["id"] == found["file.size"]["id"] == "bytes"
    assert found["event.duration"]["params"]["inputFormat"] == "nanoseconds"
    assert found["destination.port"] == {"id": "number", "params": {"pattern": "0"}}
    assert "source.packets" not in found


def test_capabilities_are_those_of_the_templates() -> None:
    assert kind_of("event.created") == "date"
    assert kind_of("source.ip") == "ip"
    assert not aggregates("message")
    assert aggregates("user.name")


def test_what_the_store_keeps_beside_events_is_hidden() -> None:
    view = next(one for one in build_pack(ZH) if one.type == "index-pattern")
    (hidden,) = orjson.loads(str(view.attributes["sourceFilters"]))
    assert all(name.startswith(hidden["value"].rstrip("*")) for name in LOG_FIELDS)
    assert not any(name.startswith(hidden["value"].rstrip("*")) for name in FIELDS)


def test_the_role_sees_one_prefix() -> None:
    options = PackOptions("county")
    assert role_name(options) == "county-analyst"
    body: Any = role_body(options, "soc")
    assert body["elasticsearch"]["indices"] == [
        {"names": ["county-events-*"], "privileges": ["read", "view_index_metadata"]}
    ]
    assert body["kibana"] == [{"base": ["read"], "feature": {}, "spaces": ["soc"]}]


@pytest.mark.parametrize(
    "options",
    [PackOptions(console="soc.example.cn"), PackOptions("Upper"), PackOptions("a*"), PackOptions("")],
)
def test_options_that_can_not_be_are_refused(options: PackOptions) -> None:
    with pytest.raises(UsageError):
        export(options)
