"""Draw the few charts the console has, as SVG on the server: no script, no library."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from soc_core.clock import LOCAL_ZONE, parse_instant
from soc_core.store.interface import Bucket

HEIGHT = 72


def bars(buckets: Sequence[Bucket], start: datetime, end: datetime, step: timedelta) -> Markup:
    """Return a bar per step from ``start`` to ``end``; a missing bucket is an empty place, so gaps can be seen."""
    counts = {parse_instant(str(bucket.key)): bucket.count for bucket in buckets}
    places = int((end - start) / step)
    top = max(counts.values(), default=1) or 1
    parts: list[Markup] = []
    for index in range(places):
        moment = start + index * step
        count = counts.get(moment, 0)
        height = max(1, round(count / top * HEIGHT)) if count else 0
        label = f"{moment.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M} · {count}"
        rect = '<rect x="{}" y="{}" width="8" height="{}"><title>{}</title></rect>'
        parts.append(Markup(rect).format(index * 10, HEIGHT - height, height, label))
    head = Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img">').format(
        places * 10, HEIGHT
    )
    return head + Markup("").join(parts) + Markup("</svg>")
