r"""Translate the part of Python's regular expressions that RE2 (here and inside DuckDB) can answer exactly alike.

RE2 needs time in proportion to the text, whatever pattern and text are; Python's engine may need hours for a short
hostile one. Two differences are taken: without regard to case, RE2 holds neither ``ı`` nor ``İ`` for an ``i``; and a
word boundary (``\b``) is one of ASCII words, so that a command stands apart from Chinese text around it.

What is left out: look-around, back references, named groups, inner flags, possessive repeats, many repeats, letters
beyond ASCII where their case matters. Those are answered by Python's engine.
"""

from __future__ import annotations

import re
from typing import Final

CLASSES: Final = {
    "d": r"\p{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r"\t-\r\x{1c}-\x{20}\x{85}\p{Z}",
}
TOKEN: Final = re.compile(
    r"""(?P<class>\[\^?\]?(?:[^\]\\]|\\.)*\]) | (?P<escape>\\.) | (?P<group>\((?:\?(?P<kind>.))?)
      | (?P<brace>\{[^}]*\}?) | (?P<dollar>\$) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_KEPT: Final = frozenset("nrtfv")
_POSSESSIVE: Final = re.compile(r"[*+?}]\+")
"""Python 3.11 knows ``a++``, RE2 doesn't. A literal ``\\++`` is taken for one too: that costs time, not truth."""
SMALL_REPEAT: Final = 100
"""Repeats that any engine takes, whatever else the expression holds."""
LARGE_REPEAT: Final = 1_000
"""The most RE2 repeats at all."""
_INLINE: Final = re.compile(r"\(\?([ims]+)\)")


def to_re2(pattern: str, flags: str, most_repeats: int = SMALL_REPEAT) -> str | None:
    """Return the RE2 pattern that finds the same, or ``None`` when that can't be said for certain."""
    pattern, flags = split_flags(pattern, flags)
    if not set(flags) <= {"i", "m", "s"} or _POSSESSIVE.search(pattern):
        return None
    if not pattern.isascii() and any(_is_special(char, folded="i" in flags) for char in pattern):
        return None
    parts: list[str] = []
    for match in TOKEN.finditer(pattern):
        part = _part(match, most_repeats, by_line="m" in flags)
        if part is None:
            return None
        parts.append(part)
    prefix = f"(?{''.join(sorted(set(flags)))})" if flags else ""
    return prefix + "".join(parts)


def split_flags(pattern: str, flags: str) -> tuple[str, str]:
    """Return the pattern without the flags it begins with, and all flags."""
    inline = _INLINE.match(pattern)
    return (pattern, flags) if inline is None else (pattern[inline.end() :], flags + inline[1])


def _is_special(char: str, *, folded: bool) -> bool:
    """Tell whether the engines may read a letter beyond ASCII differently: where its case matters, or as a space."""
    return not char.isascii() and (char.isspace() or (folded and char.lower() != char.upper()))


def _part(match: re.Match[str], most_repeats: int, *, by_line: bool) -> str | None:
    text = match.group()
    match match.lastgroup:
        case "class":
            return _class(text)
        case "escape":
            return _escape(text[1], inside=False)
        case "group" | "kind":
            return text if match["kind"] in {None, ":"} else None
        case "brace":
            sound = re.fullmatch(r"\{(\d{1,4})(,(\d{0,4}))?\}", text)
            small = sound and all(int(n) <= most_repeats for n in sound.group(1, 3) if n)
            return text if small else None
        case "dollar":
            return "$" if by_line else r"(?:\n?\z)"  # Python's $ also matches before a last line feed
        case _:
            return text


def _escape(char: str, *, inside: bool) -> str | None:
    if char in CLASSES:
        return CLASSES[char] if inside else f"[{CLASSES[char]}]"
    if char in "DWS":
        return None if inside else f"[^{CLASSES[char.lower()]}]"
    if char == "v":
        return r"\x0b"
    if char in "bB" and not inside:
        return "\\" + char
    if not char.isascii():
        return None
    if char in _KEPT or not (char.isalnum() or char.isspace() or char == "_"):
        return "\\" + char
    if char == "A" and not inside:
        return r"\A"
    return r"\z" if char == "Z" and not inside else None


def _class(text: str) -> str | None:
    """Return a bracket expression, ``None`` for nested brackets and set operators, which Python may read anew."""
    if re.search(r"\[.*\[|--|&&|\|\||~~", text, re.DOTALL):
        return None
    parts: list[str] = []
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        part = _escape(piece[1], inside=True) if len(piece) == 2 else piece
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)
