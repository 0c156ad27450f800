"""Share what all formats need: what holds where a list says nothing, and counting what is bad or left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from detectors.indicators.model import Indicator, Kind, Tlp
from detectors.indicators.values import normalise, objection

MOST_KEPT: Final = 1_000
"""Bad entries that are kept with place and reason; all are counted."""
LONGEST_TEXT: Final = 300
"""Characters of a list's own words and of a reference."""
_LATEST: Final = 2**32 - 1
_DEFANGED: Final = re.compile(
    r"\[\s*(\.|dot|:|://|/)\s*\]|\(\s*(\.|dot)\s*\)|\{\s*(\.|dot)\s*\}", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"h(?:xx|tt|\*\*|__)p(s?)(?=\[?:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Say what holds where an entry says nothing.

    ``now`` and ``expires`` (0: never) are seconds since 1970. ``subdomains`` says whether a plain name stands for all
    below it. ``accuse`` is false for allow lists, which may hold wide and private things. ``columns`` maps what is
    read from CSV (``value``, ``kind``, …) to a column's name or 1-based number.
    """

    now: int
    confidence: int = 50
    tlp: Tlp = Tlp.AMBER
    expires: int = 0
    subdomains: bool = True
    accuse: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BadEntry:
    """Say which entry is bad, where it stands and why; ``value`` is cut to 200 characters."""

    place: str
    reason: str
    value: str = ""


@dataclass(slots=True)
class Notes:
    """Count what was read and what was not: ``skipped`` is not meant for matching, ``expired`` too old.

    ``reasons`` counts bad entries by reason, ``kept`` holds the first of them.
    """

    read: int = 0
    bad: int = 0
    skipped: int = 0
    expired: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    kept: list[BadEntry] = field(default_factory=list)

    def refuse(self, place: str, reason: str, value: object = "") -> None:
        """Count a bad entry, and keep it while there is room."""
        self.bad += 1
        if reason in self.reasons or len(self.reasons) < MOST_KEPT:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.kept) < MOST_KEPT:
            shown = value if isinstance(value, str) else ""
            self.kept.append(BadEntry(place, reason, shown[:200]))


@dataclass(frozen=True, slots=True)
class Said:
    """Hold what an entry says of itself beside its value; ``None`` and empty mean that it does not."""

    confidence: int | None = None
    tlp: Tlp | None = None
    since: int = 0
    expires: int | None = None
    reason: str = ""
    reference: str = ""


NOTHING_SAID: Final = Said()


@dataclass(frozen=True, slots=True)
class Reader:
    """Make indicators of what a format holds, by its defaults; count what is bad."""

    defaults: Defaults
    notes: Notes

    def entry(self, kind: Kind, text: str, place: str, said: Said = NOTHING_SAID) -> Indicator | None:
        """Return the indicator, ``None`` when it is bad or has expired; that is counted."""
        given = self.defaults
        try:
            kind, value = normalise(kind, refanged(text))
        except ValueError as error:
            self.notes.refuse(place, str(error), text)
            return None
        against = objection(kind, value) if given.accuse else ""
        if against:
            self.notes.refuse(place, against, text)
            return None
        expires = given.expires if said.expires is None else said.expires
        if expires and expires <= given.now:
            self.notes.expired += 1
            return None
        confidence = given.confidence if said.confidence is None else said.confidence
        self.notes.read += 1
        return Indicator(
            kind,
            value,
            max(0, min(100, confidence)),
            given.tlp if said.tlp is None else said.tlp,
            said.since,
            expires,
            clean(said.reason or given.reason),
            clean(said.reference),
        )


def clean(text: str) -> str:
    """Return a stranger's text on one line, without control characters, cut to what is kept."""
    if text.isprintable() and len(text) <= LONGEST_TEXT:
        return text
    words = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_TEXT]).split()
    return " ".join(words)[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def refanged(text: str) -> str:
    """Return a value that was made harmless to click (``hxxp``, ``[.]``) as it was before."""
    plain = text.strip()
    if "[" in plain or "(" in plain or "{" in plain:
        plain = _DEFANGED.sub(_meant, plain)
    if plain[:1] in {"h", "H"}:
        plain = _SCHEME.sub(r"http\1", plain, count=1)
    return plain


def _meant(match: re.Match[str]) -> str:
    inner = match[1] or match[2] or match[3]
    return "." if inner.lower() == "dot" else inner


def moment(value: object) -> int:
    """Return seconds since 1970 of a time as lists write it (ISO 8601, a date, a number of seconds), 0 for none.

    Times without an offset are UTC. Raises nothing; what lies outside 1970 to 2106 is cut to that.
    """
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int | float):
        return max(0, min(int(value), _LATEST)) if abs(value) < 2**62 else 0
    text = str(value).strip()
    if text.isascii() and text.isdigit() and 9 <= len(text) <= 10:
        return min(int(text), _LATEST)
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("/", "-").removesuffix(" UTC"))
    except ValueError:
        return 0
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return max(0, min(int(found.timestamp()), _LATEST))
    except (OverflowError, ValueError):
        return 0


def text_in(mapping: Mapping[str, object], name: str) -> str:
    """Return the text of a member of a JSON object, empty where it is anything else."""
    value = mapping.get(name)
    return value if isinstance(value, str) else ""
