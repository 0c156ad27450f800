"""Say which browser and system a user agent names (ua-parser's patterns)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import ua_parser

from soc_core.model.event import Event

_FIELD: Final = "user_agent.original"
_LONGEST: Final = 1_024
"""Characters of a user agent that are looked at: longer ones are attacks."""


class Browsers:
    """Write ``user_agent.name``, ``.version``, ``.os.name``, ``.os.version`` and ``.device.name`` (ECS)."""

    name = "browsers"

    def enrich(self, event: Event) -> None:
        """Add what the user agent says."""
        value = event.get(_FIELD)
        if isinstance(value, str):
            for field, text in _parts(value[:_LONGEST]):
                event.setdefault(field, text)


@lru_cache(maxsize=8_192)
def _parts(text: str) -> tuple[tuple[str, str], ...]:
    found = ua_parser.parse(text)
    browser, system, device = found.user_agent, found.os, found.device
    values = (
        ("user_agent.name", browser and browser.family),
        ("user_agent.version", browser and _version(browser.major, browser.minor, browser.patch)),
        ("user_agent.os.name", system and system.family),
        ("user_agent.os.version", system and _version(system.major, system.minor, system.patch)),
        ("user_agent.device.name", device and device.family),
    )
    return tuple((field, value) for field, value in values if value)


def _version(*parts: str | None) -> str:
    kept: list[str] = []
    for part in parts:
        if not part:
            break
        kept.append(part)
    return ".".join(kept)
