"""Give placeholders (``field|expand: '%name%'``) their values: from files beside the rules and from the units.

``placeholders/*.yml`` beside the rules hold ``placeholders`` (name → values, for everybody) and ``organisations``
(id or code of a unit → name → values, for that unit and all below it). What stands nearest to a unit counts: its own
entry, that of the next unit above, what is known of it from the organisations, what is for everybody. A rule runs only
where all its placeholders have values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import yaml

from detectors.sigma.files import MAX_BYTES, find_placeholders
from detectors.sigma.model import Problem
from detectors.sigma.reading import check_nesting
from detectors.sigma.units import Units
from detectors.sigma.words import problem

MAX_VALUES: Final = 10_000
"""Values of one placeholder for one unit."""
MAX_TEXT: Final = 1_000
_SPECIAL: Final = re.compile(r"([*?\\])")
_PARTS: Final = ("placeholders", "organisations")


@dataclass(frozen=True, slots=True)
class Given:
    """Hold the values of a placeholder for some units; ``units`` is ``None`` where they are for everybody."""

    values: tuple[str, ...]
    units: tuple[str, ...] | None = None


@dataclass(slots=True)
class Placeholders:
    """Answer which values a placeholder has, and where."""

    units: Units
    everybody: dict[str, tuple[str, ...]] = field(default_factory=dict)
    own: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """Name → id of a unit → values from the files."""
    _known: dict[str, tuple[Given, ...]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Given, ...]:
        """Return the values of a placeholder: for units that agree together, none where nobody gave any."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._given(name)
        return found

    def _given(self, name: str) -> tuple[Given, ...]:
        common = self.everybody.get(name, ())
        known = self.units.values.get(name, {}).items()
        by_unit = {unit: tuple(map(_literal, values)) for unit, values in known} | self.own.get(name, {})
        if not by_unit:
            return (Given(common),) if common else ()
        if common:
            by_unit = dict.fromkeys(self._all_units(), common) | by_unit
        shared: dict[tuple[str, ...], list[str]] = {}
        for unit, values in sorted(by_unit.items()):
            if values:
                shared.setdefault(tuple(sorted(set(values))), []).append(unit)
        return tuple(Given(values, tuple(units)) for values, units in shared.items())

    def _all_units(self) -> list[str]:
        return sorted({unit for below in self.units.below.values() for unit in below})


def load_placeholders(paths: Sequence[Path | str], units: Units, problems: list[Problem]) -> Placeholders:
    """Read the placeholder files beside the rules; what is wrong in them becomes a problem that stops no rule."""
    found = Placeholders(units)
    for file in find_placeholders(paths):
        _Reader(file, found, problems).read()
    return found


def _literal(text: str) -> str:
    """Return a text without wildcards as rules write it."""
    return _SPECIAL.sub(r"\\\1", text)


def is_network(text: str) -> bool:
    """Tell whether a value is a network: then a field is asked whether its address lies in it."""
    if "/" not in text:
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class _Reader:
    """Read one file."""

    def __init__(self, file: Path, found: Placeholders, problems: list[Problem]) -> None:
        self._file, self._found, self._problems = file, found, problems

    def read(self) -> None:
        try:
            if self._file.stat().st_size > MAX_BYTES:
                self._complain("too_big", size=MAX_BYTES)
                return
            text = self._file.read_bytes().decode("utf-8-sig")
            check_nesting(text)
            tree = yaml.load(text, Loader=yaml.CSafeLoader)
        except OSError as fault:
            self._complain("unreadable", detail=fault.strerror or str(fault))
            return
        except (yaml.YAMLError, ValueError, RecursionError) as fault:
            mark = getattr(fault, "problem_mark", None)
            detail = str(getattr(fault, "problem", None) or fault)[:300]
            self._complain("yaml", line=mark.line + 1 if mark is not None else 0, detail=detail)
            return
        if not isinstance(tree, dict) or set(tree) - set(_PARTS):
            self._complain("placeholder_file")
            return
        for name, values in self._lists(tree.get(_PARTS[0]), _PARTS[0]):
            self._found.everybody[name] = tuple(
                dict.fromkeys((*self._found.everybody.get(name, ()), *values))
            )
        self._organisations(tree.get(_PARTS[1]))

    def _organisations(self, tree: object) -> None:
        """Take the values of units, those of wide ones first: what is nearer to a unit replaces what is above."""
        if tree is None:
            return
        if not isinstance(tree, dict):
            self._complain("block_form", name=_PARTS[1])
            return
        below = self._found.units.below
        known = [(code, values) for code, values in tree.items() if str(code) in below]
        for code in tree.keys() - {code for code, _ in known}:
            self._complain("unknown_unit", name=str(code)[:100])
        for code, values in sorted(known, key=lambda one: -len(below[str(one[0])])):
            for name, texts in self._lists(values, f"{_PARTS[1]}.{code}"):
                own = self._found.own.setdefault(name, {})
                own.update(dict.fromkeys(below[str(code)], texts))

    def _lists(self, tree: object, where: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return names with their values; what has another form is complained about."""
        if tree is None:
            return []
        if not isinstance(tree, dict):
            self._complain("block_form", name=where)
            return []
        found: list[tuple[str, tuple[str, ...]]] = []
        for name, given in tree.items():
            values = _texts(given)
            if values is None:
                self._complain("block_form", name=f"{where}.{name}"[:200])
            elif len(values) > MAX_VALUES:
                self._complain("placeholder_many", name=str(name)[:100], most=MAX_VALUES)
            else:
                found.append((str(name), values))
        return found

    def _complain(self, name: str, /, line: int = 0, **values: str | int) -> None:
        self._problems.append(Problem(str(self._file), line, problem(name, **values), fatal=False))


def _texts(given: object) -> tuple[str, ...] | None:
    items = given if isinstance(given, list) else [given]
    texts = [str(item) for item in items if isinstance(item, str | int) and not isinstance(item, bool)]
    if len(texts) < len(items) or any(not text or len(text) > MAX_TEXT for text in texts):
        return None
    return tuple(dict.fromkeys(texts))


def units_with(given: Mapping[str, tuple[Given, ...]]) -> tuple[str, ...] | None:
    """Return the units where all these placeholders have values, ``None`` for everywhere."""
    found: set[str] | None = None
    for values in given.values():
        if any(one.units is None for one in values):
            continue
        here = {unit for one in values for unit in one.units or ()}
        found = here if found is None else found & here
    return None if found is None else tuple(sorted(found))
