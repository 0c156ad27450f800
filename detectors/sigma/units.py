"""Say what rules may know of the units (单位): which lie below which, and what values each gives to placeholders.

It is plain data, so that it can be part of a cache's key. Who loads rules makes it from the organisations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Units:
    """Hold units: ``below`` maps an id or code to the ids of that unit and of all below it.

    ``values`` maps a placeholder's name to its values by unit id: texts to be found as they are, or networks.
    """

    below: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


NOBODY = Units()
"""What is known where nobody says."""
