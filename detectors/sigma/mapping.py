"""Say which of our events a Sigma log source means, and which of their fields a Sigma field name means.

The knowledge is data: ``rules/mappings/*.yml``. Each file holds ``tables`` (Sigma field name → one or more event
fields, and ``default``, a pattern for all other names) and ``logsources`` (which rules: ``match``; which events: any of
``events``; which tables, the first that knows a name counts). Where nothing fits, a rule is *blind* and says so; it
still runs on events whose data set is named like its log source, should somebody import some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, cast

import yaml

from detectors.sigma.model import FieldUse, LogSource
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import DATASET, Scalar
from soc_core.query.tree import And, OneOf, Or, Query, Text

PLACE: Final = "mappings"
_KEYS: Final = ("product", "category", "service")


@dataclass(frozen=True, slots=True)
class Table:
    """Map Sigma names to event fields; ``default`` holds ``{name}`` where any other name has a place too."""

    fields: Mapping[str, tuple[str, ...]]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Describe one log source: the ``match`` of rules, the ``events`` query, its tables in the order of asking."""

    match: Mapping[str, str]
    events: Query
    tables: tuple[Table, ...]
    delivered: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """Hold what a rule's log source means here. ``delivered`` says whether a collector makes such events."""

    events: Query
    tables: tuple[Table, ...]
    delivered: bool

    def field(self, name: str) -> FieldUse:
        """Return where the values of a Sigma field stand."""
        for table in self.tables:
            known = table.fields.get(name)
            if known is not None:
                return FieldUse(name, known, delivered=True)
        if name in FIELDS:
            return FieldUse(name, (name,), delivered=True)
        for table in self.tables:
            if table.default:
                return FieldUse(name, (table.default.format(name=name),), delivered=True)
        return FieldUse(name, (name,), delivered=False)


class Mappings:
    """Find the events and fields of log sources."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Take the entries; the most specific one that fits a rule counts."""
        self._entries = tuple(entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in the order of the files."""
        return self._entries

    def route(self, source: LogSource) -> Route:
        """Return what ``source`` means here.

        Entries that ask for no more than the rule names are candidates, the one that asks for most wins. A rule that
        names less than every entry (``category: process_creation`` alone) means all those entries.
        """
        named = {key: getattr(source, key) for key in _KEYS if getattr(source, key)}
        fitting = [entry for entry in self._entries if entry.match.items() <= named.items()]
        if fitting:
            most = max(len(entry.match) for entry in fitting)
            return _joined([entry for entry in fitting if len(entry.match) == most])
        wider = [entry for entry in self._entries if named.items() <= entry.match.items()]
        return _joined(wider) if wider else _foreign(source)


def _joined(entries: Sequence[Entry]) -> Route:
    events = entries[0].events if len(entries) == 1 else Or(tuple(entry.events for entry in entries))
    tables = tuple(table for entry in entries for table in entry.tables)
    return Route(events, tables, any(entry.delivered for entry in entries))


def _foreign(source: LogSource) -> Route:
    """Return the route of a log source nobody here delivers: events whose data set carries its names."""
    parts = [part for part in (source.product, source.category, source.service) if part]
    names = {".".join(parts), ".".join((parts[0], parts[-1])), parts[-1]}
    return Route(OneOf(DATASET, tuple(sorted(names))), (), delivered=False)


def load_mappings(directory: Path) -> Mappings:
    """Read all mapping files of a directory in the order of their names; raise ``UsageError`` for a wrong one."""
    entries: list[Entry] = []
    for path in sorted(directory.glob("*.yml")):
        try:
            tree = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            entries.extend(_entries(tree))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as fault:
            raise UsageError(f"this mapping can't be read: {fault!r}", where=str(path)) from fault
    return Mappings(entries)


@cache
def bundled_mappings() -> Mappings:
    """Return the mappings that come with the program."""
    return load_mappings(bundled_rules() / PLACE)


def bundled_rules() -> Path:
    """Return where the bundled rules are: in the repository, or as carried by the wheel."""
    beside = Path(__file__).resolve().parents[2] / "rules"
    carried = Path(str(resources.files("soc_core").joinpath("rules")))
    for place in (beside, carried):
        if (place / PLACE).is_dir():
            return place
    raise UsageError("the rules are not there", where=str(beside), todo="set EDUSOC_RULES to their directory")


def _entries(tree: Mapping[str, object]) -> list[Entry]:
    tables = {
        name: Table(
            {key: _names(value) for key, value in (table.get("fields") or {}).items()},
            str(table.get("default", "")),
        )
        for name, table in cast("dict[str, dict[str, dict[str, object]]]", tree.get("tables") or {}).items()
    }
    found: list[Entry] = []
    for item in cast("list[dict[str, object]]", tree["logsources"]):
        match = cast("dict[str, str]", item["match"])
        if not match or set(match) - set(_KEYS):
            raise ValueError(f"a log source is named by product, category and service: {match}")
        used = tuple(tables[name] for name in cast("list[str]", item.get("tables") or []))
        events = cast("list[dict[str, object]]", item["events"])
        found.append(Entry(match, _any_of(events), used, bool(item.get("delivered", True))))
    return found


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _any_of(events: Sequence[Mapping[str, object]]) -> Query:
    """Return the query for any of ``events``, each a mapping of fields to a value or values (``*`` as wildcard)."""
    kinds = [And(tuple(_one_of(field, value) for field, value in event.items())) for event in events]
    return kinds[0] if len(kinds) == 1 else Or(tuple(kinds))


def _one_of(field: str, value: object) -> Query:
    if field not in FIELDS:
        raise ValueError(f"there is no field {field}")
    values = cast("list[Scalar]", value if isinstance(value, list) else [value])
    plain = tuple(item for item in values if "*" not in str(item))
    patterns: list[Query] = [Text(field, "wildcard", str(item)) for item in values if "*" in str(item)]
    if plain:
        patterns.append(OneOf(field, plain))
    return patterns[0] if len(patterns) == 1 else Or(tuple(patterns))
