"""Examine queries in KQL: that they parse, and that each condition can hold for the field it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final

from soc_core.errors import InputError, UsageError
from soc_core.store.elasticsearch.kibana.capabilities import aggregates, kind_of, known, matching
from soc_core.store.elasticsearch.kibana.kql import Is, Nested, Range, Term, leaves, parse_kql
from soc_core.store.elasticsearch.kibana.reading import table, text

_DATE: Final = re.compile(
    r"now([+-]\d+[yMwdhHms])*(/[yMwdhHms])?"
    r"|\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?(\|\|([+-]\d+[yMwdhHms])*(/[yMwdhHms])?)?"
)
NOT_KNOWN: Final = "use a field of docs/reference/fields.md"


def check_query(query: object, place: str) -> Iterator[InputError]:
    """Yield what is wrong with a query as Kibana keeps it (language and text)."""
    body: Mapping[str, Any] = table(query)
    language = text(body.get("language"))
    if language == "kuery":
        yield from check_kql(body.get("query"), place)
    elif language == "lucene":
        if text(body.get("query")):
            yield InputError(
                "a query in Lucene's language is not examined", where=place, todo="write it in KQL"
            )
    elif "esql" not in body:
        yield InputError("a query with its language is expected here", where=place)


def check_kql(query: object, place: str) -> Iterator[InputError]:
    """Yield what is wrong with a text in KQL."""
    if not isinstance(query, str):
        yield InputError("a query must be text", where=place)
        return
    try:
        node = parse_kql(query)
    except UsageError as error:
        where = f"{place}: {error.where}" if error.where else place
        yield InputError(error.what, where=where, todo=error.todo)
        return
    for leaf in leaves(node):
        yield from _check_leaf(leaf, place)


def check_field(name: str, place: str) -> Iterator[InputError]:
    """Yield an error when our templates do not index the field."""
    if not known(name):
        yield InputError(f"field '{name}' is not in the field dictionary", where=place, todo=NOT_KNOWN)


def _check_leaf(leaf: Is | Range | Nested, place: str) -> Iterator[InputError]:
    if isinstance(leaf, Nested):
        yield InputError(f"'{leaf.field.text}' holds no nested objects: events are flat", where=place)
        return
    if leaf.field is None:
        return
    names = matching(leaf.field.text) if leaf.field.wildcard else [leaf.field.text]
    if not names:
        yield InputError(f"no field is called like '{leaf.field.text}'", where=place, todo=NOT_KNOWN)
    if leaf.field.wildcard:
        return
    (name,) = names
    if not known(name):
        yield from check_field(name, place)
    elif isinstance(leaf, Range):
        yield from _check_range(name, leaf.value, place)
    else:
        yield from _check_value(name, leaf.value, place)


def _check_range(name: str, value: Term, place: str) -> Iterator[InputError]:
    if kind_of(name) in {"string", "boolean"}:
        yield InputError(f"'{name}' holds no numbers or times: nothing is more or less", where=place)
    elif value.wildcard:
        yield InputError(f"a bound of '{name}' can't hold a wildcard", where=place)
    else:
        yield from _check_value(name, value, place)


def _check_value(name: str, value: Term, place: str) -> Iterator[InputError]:
    kind, said = kind_of(name), value.text
    if value.parts == ("", ""):
        return
    if kind == "string":
        yield from _check_text(name, value, place)
    elif value.wildcard:
        yield InputError(f"'{name}' is no text: wildcards find nothing there", where=place)
    elif not _CAN_BE[kind](said):
        yield InputError(f"'{said[:60]}' can't be a value of '{name}' ({kind})", where=place)


def _check_text(name: str, value: Term, place: str) -> Iterator[InputError]:
    if not value.wildcard and not aggregates(name):
        yield InputError(
            f"'{name}' is long text: a value without * fits only the whole of it",
            where=place,
            todo="write *word*",
        )
    if value.wildcard and any(" " in part for part in value.parts):
        yield InputError(
            f"'{value.text[:60]}' has a space beside a wildcard, which older Kibana takes for two values",
            where=place,
            todo="write * in place of the space",
        )


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_address(value: str) -> bool:
    try:
        _ = ip_network(value, strict=False) if "/" in value else ip_address(value)
    except ValueError:
        return False
    return True


def _is_date(value: str) -> bool:
    return _DATE.fullmatch(value) is not None


def _is_truth(value: str) -> bool:
    return value in {"true", "false"}


_CAN_BE: Final[Mapping[str, Callable[[str], bool]]] = {
    "number": _is_number,
    "ip": _is_address,
    "date": _is_date,
    "boolean": _is_truth,
}
