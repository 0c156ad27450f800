"""Make the templates of Elasticsearch from the field dictionary.

How a field of the dictionary is indexed (``soc_core.store.elasticsearch.dsl`` and the Kibana pack go by this):

========== ================================================================================================
keyword    ``keyword``, text as it came: case is written out in expressions (``patterns``), there is no folded copy
text       ``keyword`` without doc values: found by expressions over its terms; no aggregations, no sorting
ip         ``ip``
date       ``date_nanos``, exact from 1970 to 2262; others are named in ``_ignored``
@timestamp ``date`` (milliseconds, any year), beside the exact ``edusoc.log.time``
others     ``long``, ``double``, ``boolean``
========== ================================================================================================

Texts of more than ``IGNORE_ABOVE`` UTF-16 units are not indexed either, and their field is named in ``_ignored``. So a
condition is exact for every event that names none of its fields in ``_ignored``, and ``unlike_itself`` finds the
others. (Addresses need no such care: ``soc_core.store.shape`` writes each in one way, that of Elasticsearch.)

The mapping is ``dynamic: false`` and ``subobjects: false``: a name with dots is one name, nothing can make it explode.
The stored document is the event as it is plus what the log knows of it (``edusoc.log.*``, not in the dictionary, never
shown).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from soc_core.fields import FIELDS, Field
from soc_core.model.event import TIMESTAMP

VERSION: Final = 1
"""Counts changes of the mapping that are not changes of the dictionary."""
IGNORE_ABOVE: Final = 8_191
"""UTF-16 units of a text that is indexed: at most three bytes each, and Lucene holds terms of 32,766 bytes."""
OFFSET: Final = "edusoc.log.offset"
"""The log offset of an event (long)."""
EPOCH: Final = "edusoc.log.epoch"
"""The epoch of the writer that stored it (long)."""
TIME: Final = "edusoc.log.time"
"""``@timestamp`` in microseconds since 1970 (long), exact in every year: what events are ordered and bounded by."""
DAY: Final = "edusoc.log.day"
"""The day of the event's id as the number YYYYMMDD (integer, doc values only)."""
LOG_FIELDS: Final = (OFFSET, EPOCH, TIME, DAY)
IGNORED: Final = "_ignored"
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "keyword": {"type": "keyword", "ignore_above": IGNORE_ABOVE},
    "text": {"type": "keyword", "ignore_above": IGNORE_ABOVE, "doc_values": False},
    "ip": {"type": "ip", "ignore_malformed": True},
    "date": {"type": "date_nanos", "format": "strict_date_optional_time", "ignore_malformed": True},
    "long": {"type": "long"},
    "double": {"type": "double"},
    "boolean": {"type": "boolean"},
}
_LOG: Final[dict[str, dict[str, Any]]] = {
    OFFSET: {"type": "long"},
    EPOCH: {"type": "long", "index": False},
    TIME: {"type": "long"},
    DAY: {"type": "integer", "index": False},
}
Body = dict[str, Any]


def unlike_itself(fields: Iterable[str]) -> Body:
    """Return the query for events of which Elasticsearch does not know one of the fields as we do."""
    return {"terms": {IGNORED: sorted(set(fields))}}


def property_of(field: Field) -> Body:
    """Return how a field of the dictionary is indexed."""
    if field.name == TIMESTAMP:
        return {"type": "date", "format": "strict_date_optional_time"}
    return dict(_TYPES[field.type])


def mappings() -> Body:
    """Return the mapping of all events."""
    properties = {name: property_of(field) for name, field in FIELDS.items()} | _LOG
    return {
        "dynamic": False,
        "subobjects": False,
        "date_detection": False,
        "numeric_detection": False,
        "_meta": {"edusoc": {"version": VERSION, "dictionary": _digest(properties)}},
        "properties": properties,
    }


def _digest(properties: Body) -> str:
    """Return what tells one dictionary from another."""
    return hashlib.sha256(orjson.dumps(properties, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def component_name(prefix: str) -> str:
    """Return the name of the component template, which is also that of the index template."""
    return f"{prefix}-events"


def component_template(replicas: int) -> Body:
    """Return the component template: settings and mapping that all data sets share.

    Each request is on disk when it is acknowledged (``durability: request``). Whoever reads by us refreshes when there
    is something new, so that ``refresh_interval`` only bounds how late Kibana sees it.
    """
    settings = {
        "index": {
            "number_of_replicas": replicas,
            "codec": "best_compression",
            "refresh_interval": "10s",
            "translog": {"durability": "request"},
            "mapping": {"total_fields": {"limit": 2_000}},
        }
    }
    return {
        "template": {"settings": settings, "mappings": mappings()},
        "version": VERSION,
        "_meta": mappings()["_meta"],
    }


def index_template(prefix: str) -> Body:
    """Return the index template of all data sets; number and size of shards are given with each index."""
    return {
        "index_patterns": [f"{prefix}-events-*"],
        "composed_of": [component_name(prefix)],
        "priority": 500,
        "version": VERSION,
        "_meta": mappings()["_meta"],
    }
