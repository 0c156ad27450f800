"""Write a rule set as plain data, and make it again.

The data is JSON: a list of nodes, each a class of ours (by its place in a closed list) with its values. A value is a
plain scalar or ``[number]`` of an earlier node, so what is equal is held once, and reading needs no recursion. Nothing
but the classes listed here can come out, whatever the data says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Final, TypeAlias, cast

import orjson

from detectors.sigma import model
from detectors.sigma.model import RuleSet
from soc_core.model.detection import Reason, Severity
from soc_core.query import tree

Plain: TypeAlias = bool | int | float | str | list[int] | None
_BIG: Final = 1 << 53


def to_plain(rules: RuleSet) -> bytes:
    """Return a rule set as plain data; raise ``TypeError`` for an object of a class that no rule set may hold."""
    writer = _Writer()
    writer.value(rules)
    return orjson.dumps(writer.nodes)


def from_plain(data: bytes | memoryview) -> RuleSet:
    """Return the rule set; raise ``ValueError``, ``TypeError``, ``KeyError`` or ``IndexError`` for anything else."""
    makers = [maker for _, maker in _kinds()]
    objects: list[object] = []
    for number, *values in orjson.loads(data):
        objects.append(makers[number]([objects[v[0]] if v.__class__ is list else v for v in values]))
    rules = objects[-1]
    if not isinstance(rules, RuleSet):
        raise TypeError("this is no rule set")
    return rules


class _Writer:
    """Collect nodes, each once."""

    def __init__(self) -> None:
        self.nodes: list[list[Plain]] = []
        self._numbers = {kind: number for number, (kind, _) in enumerate(_kinds())}
        self._known: dict[bytes, int] = {}
        self._seen: dict[
            int, tuple[object, list[int]]
        ] = {}  # the object is kept, so that its id stays its own

    def value(self, value: object) -> Plain:
        """Return what stands for a value, and add the nodes it needs."""
        if value is None or isinstance(value, bool):
            return value
        kind = type(value)
        if kind is str and _is_text(str(value)):
            return str(value)
        if isinstance(value, int | float) and kind in {int, float} and abs(value) < _BIG:
            return value
        seen = self._seen.get(id(value))
        if seen is None:
            seen = self._seen[id(value)] = (value, self._node(value, kind))
        return seen[1]

    def _node(self, value: object, kind: type) -> list[int]:
        if kind not in self._numbers:
            raise TypeError(f"a rule set holds no {kind.__name__}")
        node: list[Plain] = [self._numbers[kind], *(self.value(part) for part in _parts(value))]
        key = orjson.dumps(node)  # unlike the objects, it tells 1 from True and from 1.0
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return [self._known[key]]


def _is_text(value: str) -> bool:
    """Tell whether a text can be written: half a surrogate pair can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parts(value: object) -> list[object]:
    """Return the values that make an object, in the order its maker takes them."""
    if isinstance(value, Enum):
        return [value.value]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    match value:
        case str():
            return list(value.encode("utf-8", "surrogatepass"))
        case float() | int():
            return [repr(value)]
        case timedelta():
            return [value.days, value.seconds, value.microseconds]
        case Mapping():
            return [part for pair in value.items() for part in pair]
        case _:
            return list(cast("Iterable[object]", value))  # tuples and sets


@cache
def _kinds() -> list[tuple[type, Callable[[list[object]], object]]]:
    """Return every class that a rule set may hold with what makes an object of its parts."""
    plain: list[tuple[type, Callable[[list[object]], object]]] = [
        (tuple, tuple),
        (frozenset, frozenset),
        (dict, lambda parts: dict(zip(parts[::2], parts[1::2], strict=True))),
        (timedelta, _called(timedelta)),
        (str, lambda parts: bytes(parts).decode("utf-8", "surrogatepass")),  # type: ignore[arg-type] # else TypeError
        (float, _called(float)),
        (int, _called(int)),
    ]
    ours = [kind for module in (tree, model) for kind in _classes(module)]
    return plain + [(kind, _called(kind)) for kind in dict.fromkeys([*ours, Reason, Severity])]


def _called(kind: Callable[..., object]) -> Callable[[list[object]], object]:
    return lambda parts: kind(*parts)


def _classes(module: ModuleType) -> list[type]:
    """Return the frozen data classes and enumerations that a module defines, in the order of its text."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and kind.__module__ == module.__name__
        and (dataclasses.is_dataclass(kind) or issubclass(kind, Enum))
    ]
