"""Say where public addresses lie and whose network they are, from MaxMind DB files that the site provides.

Nothing comes with the product: set ``geoip_city`` (country, region, city) and ``geoip_asn`` (operator) to files in the
MaxMind DB format, whoever makes them. A file that is replaced is read anew within a minute; one that is damaged or gone
is said by ``problems`` and the last good one stays in use.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import maxminddb

from soc_core.model.event import Event, Scalar

_SIDES: Final = ("source", "destination")
_LOOK_AGAIN: Final = 60.0
_NAMES: Final = ("zh-CN", "en")
_CACHED: Final = 32_768
Found = tuple[tuple[str, Scalar], ...]


class Geography:
    """Write ``source.geo.*`` and ``source.as.*`` and those of the destination (ECS)."""

    name = "geography"

    def __init__(self, files: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the files, each of any kind: what it says decides which fields come from it."""
        self._files, self._clock = tuple(files), clock
        self._readers: dict[Path, maxminddb.Reader] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._next = 0.0
        self.problems: dict[str, str] = {}
        self._look = lru_cache(_CACHED)(self._looked_up)

    def enrich(self, event: Event) -> None:
        """Add what is known about each public address of the event."""
        if self._clock() >= self._next:
            self._refresh()
        for side in _SIDES:
            address = event.get(f"{side}.ip")
            if isinstance(address, str):
                for suffix, value in self._look(address):
                    event.setdefault(f"{side}.{suffix}", value)

    def _refresh(self) -> None:
        """Open what is new or was replaced."""
        self._next = self._clock() + _LOOK_AGAIN
        for path in self._files:
            try:
                state = path.stat()
                stamp = (state.st_mtime_ns, state.st_size)
                if self._stamps.get(path) == stamp:
                    continue
                # In memory, not mapped: a file that is cut while it is mapped would kill the process.
                opened = maxminddb.open_database(str(path), maxminddb.MODE_MEMORY)
            except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
                self.problems[str(path)] = str(error)
                continue
            self._readers[path], self._stamps[path] = opened, stamp
            self.problems.pop(str(path), None)
            self._look.cache_clear()

    def _looked_up(self, address: str) -> Found:
        try:
            if not ipaddress.ip_address(address).is_global:
                return ()
            rows = [reader.get(address) for reader in self._readers.values()]
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ()
        found: dict[str, Scalar] = {}
        for row in rows:
            if isinstance(row, Mapping):
                found |= {name: value for name, value in _fields(row).items() if name not in found}
        return tuple(found.items())


def _fields(row: Mapping[str, object]) -> dict[str, Scalar]:
    """Return what a record says, by names of ECS; files of cities and of operators use other keys."""
    found: dict[str, Scalar] = {}
    for key, name in (("country", "geo.country_name"), ("city", "geo.city_name")):
        part = row.get(key)
        if isinstance(part, Mapping):
            _put(found, name, _named(part))
            _put(found, "geo.country_iso_code", part.get("iso_code") if key == "country" else None)
    regions = row.get("subdivisions")
    if isinstance(regions, list) and regions and isinstance(regions[0], Mapping):
        _put(found, "geo.region_name", _named(regions[0]))
    _put(found, "as.number", row.get("autonomous_system_number"))
    _put(found, "as.organization.name", row.get("autonomous_system_organization"))
    return found


def _put(found: dict[str, Scalar], name: str, value: object) -> None:
    wanted = int if name == "as.number" else str
    if isinstance(value, wanted) and value and not isinstance(value, bool):
        found[name] = value


def _named(part: Mapping[str, object]) -> object:
    """Return a place's name, Chinese first."""
    names = part.get("names")
    if not isinstance(names, Mapping):
        return None
    return next((names[language] for language in _NAMES if names.get(language)), None)
