"""Say in the user's language why something failed.

Reasons are written in English (``EdusocError.what``, ``BadRecord.reason``), so that stored ones stay the same and logs
can be searched; the sentences ``<package>.reason.*`` of the catalogues say them in other languages. A package's
sentences are known once its catalogue is loaded (``i18n.load``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from soc_core import i18n
from soc_core.errors import EdusocError

MARK: Final = ".reason."
"""What the keys of such sentences have in common."""
_PLACE: Final = re.compile(r"(column|offset) ([0-9]+)")
MOST_CUTS: Final = 8
"""A reason stands after a place with at most so many colons."""
LONGEST_INNER: Final = 300
"""A parameter may be what a stranger wrote: longer ones, in characters, are not looked up."""
_PARAMETER: Final = re.compile(r"\\\{(\w+)\\\}")


@lru_cache(maxsize=4)
def _patterns(known: int) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return for each catalogued reason the pattern of its English sentence and its key, that with most words first.

    ``known`` is how many sentences are loaded: with more of them the patterns are made anew.
    """
    found = []
    for key, texts in list(i18n.entries().items())[:known]:  # a copy: other threads may load catalogues
        if MARK in key:
            escaped = re.escape(texts["en"])
            pattern = _PARAMETER.sub(r"(?P<\1>.*)", escaped)
            found.append((len(_PARAMETER.sub("", escaped)), re.compile(pattern, re.DOTALL), key))
    return tuple((pattern, key) for _, pattern, key in sorted(found, key=lambda item: -item[0]))


def reason_text(reason: str, language: str) -> str:
    """Return ``reason`` in ``language``; one that is not in a loaded catalogue stays English.

    An error's text (``where: what — todo``) is looked at part by part.
    """
    if language == "en":
        return reason
    i18n.load("soc_core")
    head, dash, todo = reason.partition(" — ")
    for where, what in _splits(head):
        translated = _translated(what, language)
        if translated is not None:
            advice = (_translated(todo, language) or todo) if dash else ""
            return _placed(where, language) + translated + (f"；{advice}" if advice else "")
    return reason


def parts_text(reasons: str, language: str) -> str:
    """Return several reasons (``one; another``), each once, in ``language``: what a partial answer says of itself."""
    parts = dict.fromkeys(reason_text(part, language) for part in reasons.split("; ") if part)
    return ("; " if language == "en" else "；").join(parts)


def error_text(error: EdusocError, language: str) -> str:
    """Return what an error says (``where: what — todo``) in ``language``; what is not in a catalogue stays English."""
    if language == "en":
        return str(error)
    i18n.load("soc_core")
    what, todo = (_translated(part, language) or part for part in (error.what, error.todo))
    return _placed(error.where, language) + what + (f"；{todo}" if todo else "")


def _placed(where: str, language: str) -> str:
    """Return the place that stands before a reason: one within a text in words, a file or record as it is named."""
    match = _PLACE.fullmatch(where)
    if match is not None:
        where = i18n.text(f"soc_core.place.{match[1]}", language, number=match[2])
    return f"{where}：" if where else ""


def _splits(head: str) -> list[tuple[str, str]]:
    """Return the ways to cut ``head`` into a place and a reason, the longest reason first."""
    parts = head.split(": ", MOST_CUTS)
    return [(": ".join(parts[:cut]), ": ".join(parts[cut:])) for cut in range(len(parts))]


def _translated(reason: str, language: str) -> str | None:
    """Return the sentence of the first catalogued reason that fits."""
    for pattern, key in _patterns(len(i18n.entries())):
        match = pattern.fullmatch(reason)
        if match is not None:
            # A parameter may itself be a reason: "can't listen on :80: Permission denied".
            values = {
                name: (len(value) <= LONGEST_INNER and _translated(value, language)) or value
                for name, value in match.groupdict().items()
            }
            return i18n.text(key, language, **values)
    return None
