"""Check what can be checked of events in Elasticsearch.

Lucene keeps checksums of its files and Elasticsearch checks them when it opens, copies and merges them: bit rot shows
as a missing shard (``Reader.health``). There are no hashes of ours beside the events: somebody who may write to the
cluster can change an event unseen, and only what was exported under the hash chain (``soc_core.audit``) shows it.

Checked here: every shard answers; every index has our mapping; no id stands twice; no two events have one offset; and
none stands at or above the head of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from soc_core.store.elasticsearch.bodies import ALL, Body
from soc_core.store.elasticsearch.faults import in_words
from soc_core.store.elasticsearch.lease import read_log
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.questions import Session
from soc_core.store.elasticsearch.templates import OFFSET, mappings
from soc_core.store.interface import Finding

MOST_FOUND: Final = 100
_PAGE: Final = 10_000


def verify_store(place: Place, session: Session) -> list[Finding]:
    """Return what is wrong with the events; raise ``StoreError`` when not all shards answer."""
    return [*_mappings(place), *_offsets(place, session), *_ids(session)]


def _mappings(place: Place) -> Iterator[Finding]:
    """Find indices that map a field otherwise than we ask it; fields that an older dictionary lacked are no fault."""
    wanted: Body = mappings()["properties"]
    with in_words(place.where):
        found: Any = place.client.indices.get_mapping(index=place.pattern, ignore_unavailable=True).body
    for name, index in sorted(found.items()):
        there: Body = index["mappings"].get("properties", {})
        wrong = sorted(
            field for field in there if there[field].get("type") != wanted.get(field, {}).get("type")
        )
        if wrong:
            yield Finding(f"the index maps '{wrong[0]}' and {len(wrong) - 1} more otherwise than we do", name)
        elif OFFSET not in there:
            yield Finding("the index has not our mapping", name)


def _offsets(place: Place, session: Session) -> Iterator[Finding]:
    """Walk the log: offsets rise, each once, below the head."""
    with in_words(place.where):
        head = read_log(place).head
    before = -1
    found = 0
    body: Body = {
        "query": ALL,
        "sort": [{OFFSET: {"order": "asc", "unmapped_type": "long"}}],
        "_source": False,
    }
    for hits in session.scan(body, _PAGE):
        for hit in hits:
            offset = hit["sort"][0]
            if (offset == before or offset >= head) and found < MOST_FOUND:
                found += 1
                what = "two events have one offset" if offset == before else "an event was never acknowledged"
                yield Finding(what, f"{hit['_index']}/{hit['_id']}")
            before = offset


def _ids(session: Session) -> Iterator[Finding]:
    """Find ids that stand in two indices."""
    before = ""
    found = 0
    body: Body = {
        "query": ALL,
        "sort": [{"event.id": {"order": "asc", "unmapped_type": "keyword"}}],
        "_source": False,
    }
    for hits in session.scan(body, _PAGE):
        for hit in hits:
            if hit["_id"] == before and found < MOST_FOUND:
                found += 1
                yield Finding("the event is stored twice", f"{hit['_index']}/{hit['_id']}")
            before = hit["_id"]
