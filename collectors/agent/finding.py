"""Define what a check of ``edusoc doctor`` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from soc_core.model.event import Scalar

OK: Final = "ok"
WARNING: Final = "warning"
BAD: Final = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """Hold one finding: how bad it is, ``key`` names its sentence (``edusoc.doctor.told.…``), ``values`` fill it."""

    level: str
    key: str
    values: Mapping[str, Scalar] = field(default_factory=dict)
