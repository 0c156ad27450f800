"""Turn flat events into nested ECS documents for output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from soc_core.model.event import Event

_Build: TypeAlias = Callable[..., dict[str, object]]
_SEEN_BEFORE_COMPILED: Final = 8
_SHAPES: Final = 2_048
# A shape is the tuple of an event's names in order. Sources make few of them: for one that comes again and again a
# function is made that builds the document by one expression, which takes a quarter of the time.
_built: dict[tuple[str, ...], _Build] = {}
_seen: dict[tuple[str, ...], int] = {}


@lru_cache(maxsize=1 << 12)
def _path(name: str) -> tuple[tuple[str, ...], str]:
    """Return the objects a field lies in, and its own name."""
    *path, last = name.split(".")
    return tuple(path), last


def nest(event: Event) -> dict[str, object]:
    """Return ``event`` with dotted names taken apart: ``source.ip`` becomes ``{"source": {"ip": …}}``.

    Where a name is a value and the beginning of other names at once, what comes later keeps its dotted name.
    """
    shape = tuple(event)
    build = _built.get(shape)
    if build is not None:
        return build(*event.values())
    _notice(shape)
    return _nest(event)


def _nest(event: Event) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, value in event.items():
        path, last = _path(name)
        place = document
        for part in path:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                document[name] = value
                break
            place = inner
        else:
            if last in place:
                document[name] = value
            else:
                place[last] = value
    return document


def _notice(shape: tuple[str, ...]) -> None:
    """Count a shape, and make its function when it has come often enough. Both tables are bounded."""
    if len(_seen) >= _SHAPES:
        _seen.clear()
    count = _seen[shape] = _seen.get(shape, 0) + 1
    if count >= _SEEN_BEFORE_COMPILED and len(_built) < _SHAPES:
        places: Event = {name: place for place, name in enumerate(shape)}
        # The source holds nothing but names written by repr() and numbers.
        taken = ", ".join(f"v{place}" for place in range(len(shape)))
        _built[shape] = eval(f"lambda {taken}: {_expression(_nest(places))}", {"__builtins__": {}})  # noqa: S307


def _expression(document: dict[str, object]) -> str:
    """Return the source of a dict display whose leaves are the variables of the values' places."""
    parts = (
        f"{name!r}: {_expression(value) if isinstance(value, dict) else f'v{value}'}"
        for name, value in document.items()
    )
    return "{" + ", ".join(parts) + "}"


def value_at(tree: Mapping[str, object], name: str) -> object:
    """Return a value of a JSON object by dotted name, dotted or nested there; ``None`` where there is none."""
    if name in tree:
        return tree[name]
    first, _, rest = name.partition(".")
    inner = tree.get(first)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None
