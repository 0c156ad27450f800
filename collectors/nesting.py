"""Turn flat events into nested ECS documents for output."""

from __future__ import annotations

from soc_core.model.event import Event


def nest(event: Event) -> dict[str, object]:
    """Return ``event`` with dotted names taken apart: ``source.ip`` becomes ``{"source": {"ip": …}}``.

    A name that is a value and a prefix of others at once keeps its value under its dotted name at the top.
    """
    document: dict[str, object] = {}
    for name in sorted(event):
        place = document
        *path, last = name.split(".")
        for part in path:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place[last] = event[name]
            continue
        document[name] = event[name]
    return document
