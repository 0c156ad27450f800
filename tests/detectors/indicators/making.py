"""Make tables of indicators for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from detectors.indicators.building import Builder
from detectors.indicators.model import Head, Indicator, Kind, Tlp
from detectors.indicators.table import Table
from detectors.indicators.values import normalise

BAD = Head("l1", "bad things", "somebody")
GOOD = Head("ok", "good things", "us", allow=True)


def item(kind: Kind, text: str, confidence: int = 50, tlp: Tlp = Tlp.AMBER, **more: int | str) -> Indicator:
    found, value = normalise(kind, text)
    return Indicator(found, value, confidence, tlp, **more)  # type: ignore[arg-type]


def table_of(path: Path, *lists: tuple[Head, Iterable[Indicator]]) -> Table:
    builder = Builder()
    for head, items in lists:
        builder.begin(head)
        for one in items:
            builder.add(one)
    builder.write(path)
    return Table(path)


def bad_and_good(path: Path, bad: Sequence[Indicator], good: Sequence[Indicator] = ()) -> Table:
    return table_of(path, (BAD, bad), (GOOD, good))
