"""Add up what rules find, in bounded memory whatever they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from intake.hunting.model import SAMPLES, TOP, Found
from soc_core.model.detection import Detection, Entity

MAX_ENTITIES: Final = 10_000


class Tally:
    """Add up the detections of one rule."""

    def __init__(self, rule_id: str) -> None:
        """Begin with none."""
        self.rule_id = rule_id
        self.examined = 0
        self.detections = 0
        self._known = 0
        self._by_unit: Counter[str] = Counter()
        self._entities: Counter[Entity] = Counter()
        self._left_out = 0
        self._first = self._last = ""
        self._samples: list[Detection] = []

    def add(self, detection: Detection, *, known: bool) -> None:
        """Count a detection."""
        self.detections += 1
        self._known += known
        self._by_unit[detection.organization_id] += 1
        if detection.entity in self._entities or len(self._entities) < MAX_ENTITIES:
            self._entities[detection.entity] += 1
        else:
            self._left_out += 1
        self._first = min(self._first or detection.first_seen, detection.first_seen)
        self._last = max(self._last, detection.last_seen)
        self._keep(detection)

    def _keep(self, detection: Detection) -> None:
        if len(self._samples) == SAMPLES and detection.last_seen <= self._samples[-1].last_seen:
            return
        self._samples = sorted([*self._samples, detection], key=_newest, reverse=True)[:SAMPLES]

    def found(self) -> Found:
        """Return what was added up."""
        most = sorted(self._entities.items(), key=lambda item: (-item[1], item[0].zone, item[0].value))
        return Found(
            rule_id=self.rule_id,
            detections=self.detections,
            known=self._known,
            examined=self.examined,
            by_unit=dict(sorted(self._by_unit.items(), key=lambda item: (-item[1], item[0]))),
            entities=tuple(most[:TOP]),
            first=self._first,
            last=self._last,
            samples=tuple(self._samples),
            left_out=self._left_out,
        )


def _newest(detection: Detection) -> tuple[str, str]:
    return detection.last_seen, detection.id


class Tallies:
    """Add up the detections of many rules, and hand them on."""

    def __init__(
        self,
        rule_ids: Sequence[str],
        known: Callable[[Sequence[Detection]], Collection[str]],
        take: Callable[[Sequence[Detection]], None],
    ) -> None:
        """Take the rules in the order of the answer, and whom to ask and tell."""
        self._of: dict[str, Tally] = {}
        for rule_id in rule_ids:
            self._of[rule_id] = Tally(rule_id)
        self._known, self._take = known, take
        self.detections = 0

    def examined(self, rule_ids: Sequence[str], events: int) -> None:
        """Count events that rules were asked about."""
        for rule_id in rule_ids:
            self._of[rule_id].examined += events

    def add(self, found: Sequence[Detection]) -> None:
        """Count detections and hand them on."""
        if not found:
            return
        known = frozenset(self._known(found))
        for detection in found:
            tally = self._of.get(detection.rule_id)
            if tally is None:  # a detector may speak under other names than its own
                tally = self._of[detection.rule_id] = Tally(detection.rule_id)
            tally.add(detection, known=detection.id in known)
        self.detections += len(found)
        self._take(found)

    def found(self) -> tuple[Found, ...]:
        """Return what was added up, in the order of the rules."""
        return tuple(tally.found() for tally in self._of.values())
