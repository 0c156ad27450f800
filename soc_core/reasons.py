"""Say in the user's language why a record or a file could not be read.

Reasons are kept in English with the record (``BadRecord.reason``, ``InputError.what``), so that stored ones stay the
same; the sentences ``collectors.reason.*`` of the catalogue say them in other languages.
"""

from __future__ import annotations

import re
from functools import cache

from soc_core import i18n

_PREFIX = "collectors.reason."
_PARAMETER = re.compile(r"\\\{(\w+)\\\}")


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return for each catalogued reason the pattern of its English sentence and its key, longest first."""
    i18n.load("collectors")
    found = []
    for key, texts in i18n.entries().items():
        if key.startswith(_PREFIX):
            pattern = _PARAMETER.sub(r"(?P<\1>.*)", re.escape(texts["en"]))
            found.append((re.compile(pattern, re.DOTALL), key))
    return tuple(sorted(found, key=lambda item: -len(item[0].pattern)))


def reason_text(reason: str, language: str) -> str:
    """Return ``reason`` in ``language``; one that is not in the catalogue stays English.

    An error's text (``where: what — todo``) is looked at part by part.
    """
    if language == "en":
        return reason
    whole = _translated(reason, language)
    if whole is not None:
        return whole
    head, dash, todo = reason.partition(" — ")
    for where, what in _splits(head):
        translated = _translated(what, language)
        if translated is not None:
            advice = (_translated(todo, language) or todo) if dash else ""
            return (f"{where}：" if where else "") + translated + (f"；{advice}" if advice else "")
    return reason


def _splits(head: str) -> list[tuple[str, str]]:
    """Return the ways to cut ``head`` into a place and a reason, the longest reason first."""
    parts = head.split(": ")
    return [(": ".join(parts[:cut]), ": ".join(parts[cut:])) for cut in range(len(parts))]


def _translated(reason: str, language: str) -> str | None:
    """Return the sentence of the first catalogued reason that fits."""
    for pattern, key in _patterns():
        match = pattern.fullmatch(reason)
        if match is not None:
            return i18n.text(key, language, **match.groupdict())
    return None
