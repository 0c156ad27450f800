"""Find personal values in free text: identity numbers, student numbers, mobile numbers, mail addresses, names.

Identity numbers follow GB 11643-1999 (18 characters, the last by ISO 7064 MOD 11-2) and are checked, so that other long
numbers stay; a national student number (全国学籍号) is such a number behind ``G`` or ``L``. Mobile numbers are those of
the ranges in use in mainland China, with or without country code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Final
from urllib.parse import quote

import re2
from ahocorasick_rs import AhoCorasick, MatchKind

from collectors.privacy.tokens import CITIZEN, MAIL, NAME, PHONE, STUDENT

Replace = Callable[[str, str], str]
"""Takes kind and value, returns what shall stand there."""

_NUMBERS: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"(?P<citizen>[GLgl]?[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx])"
    r"|(?:(?:\+|00)?86[ -]?)?"
    r"(?P<phone>1(?:3[0-9]|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-35-9])(?P<gap>[ -]?)[0-9]{4}(?P=gap)[0-9]{4})"
    r")(?![0-9A-Za-z])"
)
_MAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+~-])([A-Za-z0-9._%+-]{1,64})((?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})"
)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_DIGITS: Final = re.compile(r"[0-9]{4}[ -]?[0-9]{4}")
"""What all numbers looked for have: most texts need no closer look."""


def is_identity_number(text: str) -> bool:
    """Tell whether 18 characters are an identity number: birthday and check character fit (GB 11643-1999)."""
    if len(text) != 18 or not (text[:17].isascii() and text[:17].isdigit()):
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == text[17].upper()


class Finder:
    """Replace personal values in texts."""

    def __init__(self, names: Sequence[str] = (), student_number: str = "") -> None:
        """Take people's names to look for and a pattern of the school's own student numbers."""
        forms = {form: name for name in names for form in _forms(name)}
        self._names = forms
        self._automaton = AhoCorasick(forms, matchkind=MatchKind.LeftmostLongest) if forms else None
        self._student = re2.compile(student_number) if student_number else None

    def hide(self, text: str, replace: Replace) -> str:
        """Return the text with personal values replaced; half characters, which no library takes, become text."""
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        if _DIGITS.search(text):
            text = _NUMBERS.sub(lambda match: _number(match, replace), text)
        if self._student is not None:
            text = self._student.sub(lambda match: replace(STUDENT, match.group()), text)
        if "@" in text or "%40" in text:
            text = _MAIL.sub(lambda match: replace(MAIL, match[1]) + match[2], text)
        if self._automaton is not None:
            text = self._hide_names(text, replace)
        return text

    def _hide_names(self, text: str, replace: Replace) -> str:
        parts, last = list[str](), 0
        assert self._automaton is not None  # noqa: S101  # the caller asked
        for _, start, end in self._automaton.find_matches_as_indexes(text):
            if is_word(text, start, end):
                parts += [text[last:start], replace(NAME, self._names[text[start:end]])]
                last = end
        return "".join([*parts, text[last:]]) if parts else text


def is_word(text: str, start: int, end: int) -> bool:
    """Tell whether what stands there is no part of a longer Latin word; Chinese words have no such ends."""
    left = start > 0 and _joins(text[start - 1]) and _joins(text[start])
    right = end < len(text) and _joins(text[end]) and _joins(text[end - 1])
    return not left and not right


def _joins(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter == "_")


def _number(match: re.Match[str], replace: Replace) -> str:
    """Return what replaces a number; one that only looks like one stays."""
    whole = match.group()
    if (phone := match["phone"]) is not None:
        plain = phone.replace(" ", "").replace("-", "")
        return whole[: match.start("phone") - match.start()] + replace(PHONE, plain)
    number = match["citizen"]
    if not is_identity_number(number[-18:]):
        return whole
    return replace(CITIZEN if len(number) == 18 else STUDENT, number.upper())


def _forms(name: str) -> Iterable[str]:
    """Return how a name is written in texts: as it is, and as URLs have it (RFC 3986 section 2.1)."""
    coded = quote(name)
    return dict.fromkeys((name, coded, coded.lower())) if coded != name else (name,)
