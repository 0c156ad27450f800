"""Read lists of indicators: MISP JSON, STIX 2.1 bundles, CSV, plain files. One module a format."""

from __future__ import annotations

from detectors.indicators.reading.base import BadEntry, Defaults, Notes
from detectors.indicators.reading.formats import FORMATS, read_list, recognise

__all__ = ["FORMATS", "BadEntry", "Defaults", "Notes", "read_list", "recognise"]
