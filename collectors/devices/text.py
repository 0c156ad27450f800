"""Take messages apart into pairs of name and value, in the ways devices write them.

Every function looks at a bounded part of the text, gives a bounded number of pairs in order and never raises.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

Pairs: TypeAlias = list[tuple[str, str]]

MOST_PAIRS: Final = 200
MOST_TEXT: Final = 1 << 15
"""Longer than any message seen; what stands behind it stays in ``message`` only."""

MOST_JSON: Final = 1 << 18

_QUOTED: Final = re.compile(
    r"""([^\s=",;'(]{1,64})=(?:"((?:[^"\\]|\\.){0,4096})"|'([^']{0,4096})'|(?!["'])(\S{0,4096}))"""
)
_ESCAPED: Final = re.compile(r'\\(["\\])')
_NUMBER: Final = re.compile(r"\(\d{1,5}\)$")
_BRACKET: Final = re.compile(r"\( ?(?=[A-Za-z][\w\-/]{0,40} ?=)")

COMMA_EQUALS: Final = re.compile(r"(?:^|,) ?([A-Za-z][\w\- /]{0,40}?)=")
"""``Name=value,Name=value`` (Huawei): a comma not followed by a name belongs to the value."""
SEMICOLON_EQUALS: Final = re.compile(r"(?:^|;) {0,3}([A-Za-z][\w\- ()]{0,40}?)=")
"""``name=value;name=value`` (H3C, NSFOCUS IDS, Topsec ACM)."""
SEMICOLON_COLON: Final = re.compile(r"(?:^|;) ?(?:\[\w{1,40}\])?([A-Za-z][\w\- ()]{0,40}?)[:=]")
"""``NAME:value;NAME:value`` (Huawei CM, old NSFOCUS IDS, DPtech)."""
COMMA_COLON: Final = re.compile(r"(?:^|[,，]\s?)([^\s:：,，=;(]{1,24}(?:\([^)]{1,8}\))?)[:：]")
"""``名称:值, 名称:值`` (Sangfor), with half- and full-width signs."""
COMMA_SLASH: Final = re.compile(r"(?:^|,)([^\s,/:;=.]{1,16}(?:/S响应码)?)/")
"""``名称/值,名称/值`` (DBAPPSecurity)."""
HYPHEN_EQUALS: Final = re.compile(r"(?:^|-)([A-Za-z][A-Za-z]{1,31})=")
"""``-Name=value-Name=value`` (Comware): hyphens within values stay."""
SPACE_EQUALS: Final = re.compile(r"(?:^|\s)([A-Za-z_][\w.\-\[\]]{0,63})=")
"""``name=value name=value`` with spaces in values (CEF extensions)."""
SPACE_COLON: Final = re.compile(r"(?:^|\s)([a-z][a-z_]{1,31}):")
"""``name:value  name:value`` (NSFOCUS WAF)."""


def quoted_pairs(text: str) -> Pairs:
    r"""Return the pairs of ``name=value name="a \"quoted\" value" name='other'``."""
    found: Pairs = []
    for match in _QUOTED.finditer(text[:MOST_TEXT]):
        name, double, single, bare = match.groups()
        if double is not None:
            value = _ESCAPED.sub(r"\1", double) if "\\" in double else double
        else:
            value = single if single is not None else bare.rstrip(",;")
        found.append((name, value))
        if len(found) >= MOST_PAIRS:
            break
    return found


def marked_pairs(text: str, mark: re.Pattern[str]) -> Pairs:
    """Return the pairs whose names ``mark`` finds, with separator and sign; a value goes up to the next name."""
    text = text[:MOST_TEXT]
    found: Pairs = []
    name, start = "", -1
    for match in mark.finditer(text):
        if start >= 0:
            found.append((name, _clean(text[start : match.start()])))
            if len(found) >= MOST_PAIRS:
                return found
        name, start = match[1], match.end()
    if start >= 0:
        found.append((name, _clean(text[start:])))
    return found


def _clean(value: str) -> str:
    """Take blanks, an ending separator and quotes off a value."""
    value = value.strip().rstrip(";,，")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return value.strip()


def without_number(name: str) -> str:
    """Return ``Name`` of ``Name(1003)``, as Comware and DPtech number their fields."""
    return _NUMBER.sub("", name)


def bracketed(text: str) -> str:
    """Return what stands between the first ``(`` before a pair and the last ``)``; empty if there is none."""
    match = _BRACKET.search(text, 0, MOST_TEXT)
    if match is None:
        return ""
    end = text.rfind(")")
    return text[match.end() : end if end > match.start() else len(text)]


def json_pairs(text: str) -> Pairs:
    """Return the scalars at the top of a JSON object as pairs, nested parts as JSON text; empty if it is none."""
    if not text.startswith("{") or len(text) > MOST_JSON:
        return []
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(tree, dict):
        return []
    found: Pairs = []
    for name, value in tree.items():
        if isinstance(value, str):
            found.append((name, value))
        elif value is not None and value != [] and value != {}:
            found.append((name, json.dumps(value, ensure_ascii=False)))
        if len(found) >= MOST_PAIRS:
            break
    return found
