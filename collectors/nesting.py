"""Turn flat events into nested ECS documents for output."""

from __future__ import annotations

from functools import lru_cache

from soc_core.model.event import Event


@lru_cache(maxsize=1 << 12)
def _path(name: str) -> tuple[tuple[str, ...], str]:
    """Return the objects a field lies in, and its own name."""
    *path, last = name.split(".")
    return tuple(path), last


def nest(event: Event) -> dict[str, object]:
    """Return ``event`` with dotted names taken apart: ``source.ip`` becomes ``{"source": {"ip": …}}``.

    Where a name is a value and the beginning of other names at once, what comes later keeps its dotted name.
    """
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
