"""Hold that the templates say what the dictionary says, and that Elasticsearch takes them as they are."""

from __future__ import annotations

from soc_core.fields import FIELDS, Field
from soc_core.store.elasticsearch.templates import (
    LOG_FIELDS,
    component_name,
    component_template,
    mappings,
    property_of,
)
from soc_core.store.interface import SYSTEM_SCOPE
from tests.contract.elasticsearch_places import opener
from tests.contract.samples import make

SAMPLES = {
    "keyword": "k",
    "text": "t",
    "long": 1,
    "double": 0.5,
    "boolean": True,
    "date": "2026-11-20T00:00:00.000001Z",
    "ip": "10.0.0.1",
}


def sample_of(field: Field) -> object:
    value = SAMPLES[field.type]
    return [value, value] if field.multi else value


def test_maps_every_field_and_nothing_else() -> None:
    assert set(mappings()["properties"]) == {*FIELDS, *LOG_FIELDS}
    assert not set(LOG_FIELDS) & set(FIELDS)


def test_another_dictionary_has_another_mark() -> None:
    mark = mappings()["_meta"]["edusoc"]
    assert mark == mappings()["_meta"]["edusoc"]
    assert len(mark["dictionary"]) == 16


def test_elasticsearch_indexes_every_field(elasticsearch_url: str) -> None:
    with opener(elasticsearch_url) as opened:
        store = opened()
        event = {name: sample_of(field) for name, field in FIELDS.items()} | make(1)
        assert store.append([event]).accepted == 1  # type: ignore[list-item] # values by type
        assert [row.events for row in store.days(SYSTEM_SCOPE)] == [1]
        client, prefix = store.place.client, store.place.prefix
        caps = client.field_caps(index=store.place.pattern, fields="*", include_empty_fields=False)["fields"]
        assert set(FIELDS) <= set(caps)
        for name, field in FIELDS.items():
            assert set(caps[name]) == {property_of(field)["type"]}
        installed = client.cluster.get_component_template(name=component_name(prefix))["component_templates"]
        template = installed[0]["component_template"]["template"]
        assert template["mappings"]["properties"].keys() == mappings()["properties"].keys()
        assert template["mappings"]["_meta"] == component_template(0)["_meta"]
