"""Let the running pipeline match by the newest file of indicators: it is opened beside and swapped between chunks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from detectors.indicators.detector import IndicatorDetector
from detectors.indicators.table import Table
from intake.indicators.importing import ListKeeper, current_stamp
from intake.indicators.repository import has_lists
from intake.indicators.shelf import Shelf, own_networks
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.model.detection import Detection
from soc_core.model.event import Event
from soc_core.model.organisation import AddressPlan
from soc_core.organisations.repository import load_tree, today
from soc_core.state.database import Database

LOG: Final = logging.getLogger("edusoc.indicators")


class IndicatorWatch:
    """Be the event detector of an installation's indicators, those that hold when a batch comes."""

    id = "indicators"

    def __init__(self, shelf: Shelf, database: Database, clock: Clock) -> None:
        """Take where files and tables are; nothing is matched before ``look``."""
        self._keeper = ListKeeper(shelf, database)
        self._database, self._clock = database, clock
        self._detector: IndicatorDetector | None = None
        self._stamp = ""
        self.fault = ""
        """Why the newest indicators are not matched, empty while they are."""

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        """Return the detections of a batch, by the indicators that held when it came."""
        detector = self._detector
        return [] if detector is None else detector.detect(events)

    def look(self) -> bool:
        """Take over what changed, building it where nobody did; return whether others are matched now.

        A file that can't be used leaves the old one in place, which is said in ``fault`` and logged once.
        """
        try:
            with self._database.read() as connection:
                stamp = current_stamp(connection, self._clock())
                needed = has_lists(connection)
            if not needed:
                self._detector, self._stamp = None, ""
                return False
            if self._detector is not None and stamp == self._stamp and not self.fault:
                return False
            lost = self._keeper.build(self._clock())
            self._detector = open_detector(self._keeper.shelf, self._database, self._clock)
            self._stamp = stamp
            self._say(f"lists are damaged: {', '.join(lost)}" if lost else "")
        except StoreError as error:
            self._say(str(error))
            return False
        return True

    def _say(self, fault: str) -> None:
        if fault and fault != self.fault:
            LOG.warning("indicators: %s", fault)
        self.fault = fault


def open_detector(
    shelf: Shelf, database: Database, clock: Clock, *, hunting: bool = False
) -> IndicatorDetector:
    """Return the detector of the file of them all. Raises ``StoreError`` when it can't be opened."""
    now = clock()
    with database.read() as connection:
        own = own_networks(load_tree(connection, today(now)))
    return IndicatorDetector(
        Table(shelf.whole), AddressPlan(own), hunting=format_instant(now) if hunting else ""
    )
