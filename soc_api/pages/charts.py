"""Draw the few charts the console has, as SVG on the server: no script, no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup

from soc_core.clock import LOCAL_ZONE, parse_instant
from soc_core.store.interface import Aggregation, Bucket, EventReader, Search

HEIGHT: Final = 72
LOCAL_OFFSET_SECONDS: Final = 28_800


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold a drawing, its highest value, its first and last place as text, and why it may not show all."""

    drawing: Markup
    top: int
    first: str
    last: str
    partial: str = ""


def events_over_time(reader: EventReader, search: Search, hours: int) -> tuple[Chart, int]:
    """Return the events that match, drawn over time in steps that fit a range of ``hours``, and how many they are."""
    step = _step(hours)
    wanted = Aggregation(
        "histogram", interval_seconds=int(step.total_seconds()), offset_seconds=LOCAL_OFFSET_SECONDS
    )
    found = reader.aggregate(search, wanted)
    first, last = _aligned(search.start, step), _aligned(search.end, step) + step
    chart = replace(bars(found.buckets, first, last, step), partial=found.partial)
    return chart, sum(bucket.count for bucket in found.buckets)


def _step(hours: int) -> timedelta:
    if hours <= 48:
        return timedelta(hours=1)
    return timedelta(hours=6) if hours <= 24 * 14 else timedelta(days=1)


def _aligned(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the local-time step that holds ``moment``."""
    local = moment.astimezone(LOCAL_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((local - midnight) // step) * step


def bars(buckets: Sequence[Bucket], start: datetime, end: datetime, step: timedelta) -> Chart:
    """Return a bar per step from ``start`` to ``end``; a missing bucket is an empty place, so gaps can be seen."""
    counts = {parse_instant(str(bucket.key)): bucket.count for bucket in buckets}
    places = max(1, int((end - start) / step))
    top = max(counts.values(), default=0)
    parts: list[Markup] = []
    for index in range(places):
        moment = start + index * step
        count = counts.get(moment, 0)
        if not count:
            continue
        height = max(1, round(count / top * HEIGHT))
        label = f"{moment.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M} · {count:,}"
        parts.append(
            Markup('<rect x="{}" y="{}" width="8" height="{}"><title>{}</title></rect>').format(
                index * 10 + 1, HEIGHT - height, height, label
            )
        )
    head = Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img">').format(
        places * 10, HEIGHT
    )
    shown = "%m-%d %H:%M" if step < timedelta(days=1) else "%m-%d"
    last = end - step
    return Chart(
        head + Markup("").join(parts) + Markup("</svg>"),
        top,
        start.astimezone(LOCAL_ZONE).strftime(shown),
        last.astimezone(LOCAL_ZONE).strftime(shown),
    )
