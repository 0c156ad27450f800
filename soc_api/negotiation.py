"""Choose the language of an answer as the request asks for it (RFC 9110, 12.5.4)."""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request

LANGUAGE: Final = "en"
"""Of answers to requests that ask for nothing we have: programs send no header."""
_RANGE: Final = re.compile(
    r"(?P<tag>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def language_of(request: Request) -> str:
    """Return ``zh`` or ``en``: what the request's ``Accept-Language`` prefers."""
    return preferred(", ".join(request.headers.getlist("accept-language")))


def preferred(header: str) -> str:
    """Return ``zh`` or ``en``, whichever has the higher quality in an ``Accept-Language``; of equals the first.

    Any ``zh-…`` or ``en-…`` counts for its language; ``*`` for those that are not named. Bad parts are passed over.
    """
    qualities: dict[str, float] = {}
    for part in header.split(","):
        match = _RANGE.fullmatch(part.strip(" \t"))
        if match is not None:
            name = match["tag"].partition("-")[0].lower()
            qualities[name] = max(qualities.get(name, 0.0), float(match["quality"] or 1))
    for name in (LANGUAGE, "zh"):
        qualities.setdefault(name, qualities.get("*", 0.0))
    found = [name for name in qualities if name in {"zh", "en"} and qualities[name]]
    return max(found, key=qualities.__getitem__, default=LANGUAGE)
