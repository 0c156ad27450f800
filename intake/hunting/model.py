"""Define what is asked of history and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from detectors.base import WindowDetector
from detectors.sigma.model import SigmaRule
from soc_core.model.detection import Detection, Entity, Reason
from soc_core.store.interface import Scope

SECONDS: Final = 86_400.0
SAMPLES: Final = 5
TOP: Final = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """Say where to look: units, and event time from ``start`` (inclusive) to ``end`` (exclusive), aware UTC."""

    scope: Scope
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Hunted:
    """Hold what judges history: rules on single events, and detectors on windows (correlations, anomalies)."""

    rules: Sequence[SigmaRule] = ()
    windows: Sequence[WindowDetector] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Tell how much is done, from 0 to 1, how many events were judged and how many detections that gave."""

    done: float
    examined: int
    detections: int


def _never() -> bool:
    return False


def _nowhere(_item: object) -> None:
    return None


def _unknown(_found: Sequence[Detection]) -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Means:
    """Say how long a hunt may take and who is told what.

    ``stop`` is asked between batches. ``take`` gets every detection once, some at a time. ``known`` gives the ids
    of those among some detections that are stored already, so that they can be told from new ones.
    """

    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    stop: Callable[[], bool] = _never
    progress: Callable[[Progress], None] = _nowhere
    take: Callable[[Sequence[Detection]], None] = _nowhere
    known: Callable[[Sequence[Detection]], Collection[str]] = _unknown


@dataclass(frozen=True, slots=True)
class Found:
    """Tell what one rule or detector would have found.

    ``examined`` counts the events that were judged by it or by rules asked together with it, after the store had
    narrowed them; ``known`` the detections that are stored already. ``by_unit`` holds detections per unit id,
    ``entities`` those that had most; ``first`` and ``last`` are canonical times, empty without any. ``samples`` are the
    newest. ``left_out`` counts detections whose entity found no room in the count.
    """

    rule_id: str
    detections: int = 0
    known: int = 0
    examined: int = 0
    by_unit: Mapping[str, int] = field(default_factory=dict)
    entities: Sequence[tuple[Entity, int]] = ()
    first: str = ""
    last: str = ""
    samples: Sequence[Detection] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Hunt:
    """Hold a hunt's outcome, one entry for each rule and detector in the order they were given.

    ``whole_since`` is the time since which everything was looked at: ``asked.start``, unless ``partial`` says why the
    hunt ended early. ``examined`` counts events judged, ``stored`` those that lie in the time asked about, as far as
    the store's statistics tell.
    """

    asked: Asked
    found: tuple[Found, ...]
    examined: int
    stored: int
    seconds: float
    whole_since: datetime
    partial: Reason | None = None
