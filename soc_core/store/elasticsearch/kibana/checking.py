"""Examine exports of Kibana offline: our own pack, or what somebody else made for events of ours.

Examined: that each line is an object, its form not newer than Kibana 8.14 takes, ids unique, each reference resolved,
JSON inside JSON, queries in KQL, fields against our templates (also that their type allows what is asked), Lens columns
against layers and chart, panels and controls of dashboards. Not examined: Kibana's own judgement, which only a live
Kibana gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from soc_core.errors import InputError
from soc_core.store.elasticsearch.kibana.check_dashboards import check_dashboard
from soc_core.store.elasticsearch.kibana.check_lens import check_lens
from soc_core.store.elasticsearch.kibana.check_views import check_search, check_view
from soc_core.store.elasticsearch.kibana.objects import CORE_VERSION, VERSIONS
from soc_core.store.elasticsearch.kibana.reading import Found, items, read_export, table, text

MOST_FAULTS: Final = 50
"""An object with more faults is told of no further."""
Key = tuple[str, str]


def check_exports(files: Sequence[tuple[str, bytes]]) -> Iterator[InputError]:
    """Yield what is wrong with the files (name and content); references may lead from one to another."""
    objects: list[Found] = []
    for name, data in files:
        for found in read_export(data, name):
            if isinstance(found, InputError):
                yield found
            else:
                objects.append(found)
    if not objects:
        yield InputError("there is no saved object", where=", ".join(name for name, _ in files))
    keys: dict[Key, str] = {}
    for found in objects:
        yield from _placed(found, _check_identity(found, keys))
        keys.setdefault((found.type, found.id), found.where)
    for found in objects:
        yield from _placed(found, islice(_check_object(found, keys), MOST_FAULTS))


def _placed(found: Found, faults: Iterator[InputError]) -> Iterator[InputError]:
    """Say of faults in which object of which line they are."""
    for fault in faults:
        name = f"{found.where}: {found.type or '?'} '{found.title[:80]}'"
        where = f"{name}: {fault.where}" if fault.where else name
        yield InputError(fault.what, where=where, todo=fault.todo)


def _check_identity(found: Found, keys: dict[Key, str]) -> Iterator[InputError]:
    """Examine what every object needs: a type, an id of its own, attributes, and a form that is old enough."""
    if not found.type or not found.id:
        yield InputError("it has no type or no id")
    elif (found.type, found.id) in keys:
        yield InputError(f"it is there twice, first at {keys[found.type, found.id]}")
    if not found.attributes:
        yield InputError("it has no attributes")
    yield from _check_versions(found)


def _check_versions(found: Found) -> Iterator[InputError]:
    body = found.body
    core = text(body.get("coreMigrationVersion"))
    if core and _numbers(core) > _numbers(CORE_VERSION):
        yield InputError(f"its form {core} is newer than {CORE_VERSION}, which Kibana 8.14 takes")
    given = text(body.get("typeMigrationVersion")) or text(
        table(body.get("migrationVersion")).get(found.type)
    )
    if not given:
        yield InputError("it does not say its form, so Kibana takes it for the oldest and changes it")
    elif found.type in VERSIONS and _numbers(given) > _numbers(VERSIONS[found.type]):
        yield InputError(
            f"its form {given} is newer than {VERSIONS[found.type]}, the newest that every Kibana since 8.14 takes"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:4])


def _check_object(found: Found, keys: dict[Key, str]) -> Iterator[InputError]:
    for one in map(table, items(found.body.get("references"))):
        key = text(one.get("type")), text(one.get("id"))
        if key not in keys:
            yield InputError(
                f"it needs the {key[0] or '?'} '{key[1]}', which is not in the file",
                where="references",
                todo="export it with related objects",
            )
    if found.type == "index-pattern":
        yield from check_view(found)
    elif found.type == "search":
        yield from check_search(found)
    elif found.type == "lens":
        yield from check_lens(found.attributes, frozenset(found.references()))
    elif found.type == "dashboard":
        yield from check_dashboard(found)
