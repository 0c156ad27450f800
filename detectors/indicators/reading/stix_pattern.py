"""Take values out of STIX patterns (STIX 2.1, section 9) that are nothing but lists of values.

A pattern can be matched by value when it holds as soon as *one* of its values is seen: comparisons by ``=``, ``IN`` and
``ISSUBSET`` joined by ``OR``, in one observation or several joined by ``OR``. ``AND`` is taken where it narrows
nothing: several hashes or the name of the same file, or the type of the address beside the address. Everything else
(ports, ``FOLLOWEDBY``, ``NOT``, ``LIKE``, ``MATCHES``, ``WITHIN``…) asks for more than a value; taking the
value alone would accuse the innocent, so it is refused with the reason.

The parser is our own: lists hold hundreds of thousands of patterns, and nearly all compare one value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from detectors.indicators.model import Kind

LONGEST: Final = 100_000
MOST_TOKENS: Final = 20_000
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<path>[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_.\-]*(?:(?:'[^']*'|\[[^\]]*\])[A-Za-z0-9_.\-]*)*)"
    r"|(?P<word>[A-Za-z]+)|(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?)|(?P<sign>!=|<=|>=|[=<>()\[\],])|(?P<other>\S))"
)
_ESCAPE: Final = re.compile(r"\\(.)")
PATHS: Final[dict[str, Kind]] = {
    "ipv4-addr:value": Kind.IP,
    "ipv6-addr:value": Kind.IP,
    "domain-name:value": Kind.HOSTNAME,
    "url:value": Kind.URL,
    "x509-certificate:serial_number": Kind.SERIAL,
    "network-traffic:dst_ref.value": Kind.IP,
    "network-traffic:src_ref.value": Kind.IP,
}
_HASHES: Final = re.compile(
    r"(file|artifact|x509-certificate):hashes\.'?(MD5|SHA-?1|SHA-?256)'?", re.IGNORECASE
)
_HARMLESS: Final = frozenset(
    {
        "file:name",
        "file:size",
        "file:mime_type",
        "file:name_enc",
        "network-traffic:dst_ref.type",
        "network-traffic:src_ref.type",
    }
)
"""Paths that narrow nothing beside the hash of the same file, or the address of the same traffic."""
_UNSUPPORTED: Final = frozenset(
    {"FOLLOWEDBY", "WITHIN", "REPEATS", "START", "STOP", "NOT", "LIKE", "MATCHES", "ISSUPERSET", "EXISTS"}
)


class PatternError(ValueError):
    """Say why a pattern can't be matched by values."""


@dataclass(frozen=True, slots=True)
class _Test:
    """Hold one comparison: what its path names (``None``: something that only narrows) and the values."""

    path: str
    kind: Kind | None
    values: tuple[str, ...]


def values_of_pattern(pattern: str) -> list[tuple[Kind, str]]:
    """Return kinds and values of a pattern; raise ``PatternError`` with the reason."""
    if len(pattern) > LONGEST:
        raise PatternError("the pattern is too long")
    tokens = _tokens(pattern)
    found = _Parser(tokens).pattern()
    return list(dict.fromkeys((test.kind, value) for test in found if test.kind for value in test.values))


def _tokens(pattern: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while match := _TOKEN.match(pattern, at):
        at = match.end()
        name, text = str(match.lastgroup), match[str(match.lastgroup)]
        if name == "other":
            raise PatternError("the pattern can't be read")
        if name == "word" and text.upper() in _UNSUPPORTED:
            raise PatternError(f"{text.upper()} asks for more than a value")
        found.append((name, text))
        if len(found) > MOST_TOKENS:
            raise PatternError("the pattern is too long")
    if pattern[at:].strip() or not found:
        raise PatternError("the pattern can't be read")
    return found


class _Parser:
    """Read tokens of a pattern from left to right; depth is bounded, since brackets are read in a loop."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        if self._next()[1] != text:
            raise PatternError("the pattern can't be read")

    def pattern(self) -> list[_Test]:
        """Read observations joined by OR."""
        found: list[_Test] = []
        opened = 0
        while True:
            while self._peek()[1] == "(":
                self._at += 1
                opened += 1
            self._expect("[")
            found += self._observation()
            self._expect("]")
            while self._peek()[1] == ")":
                self._at += 1
                opened -= 1
            word = self._next()[1].upper()
            if word == "":
                break
            if word == "AND":
                raise PatternError("several things must be seen together, which a value can't say")
            if word != "OR":
                raise PatternError("the pattern can't be read")
        if opened != 0:
            raise PatternError("the pattern can't be read")
        return found

    def _observation(self) -> list[_Test]:
        """Read comparisons joined by OR, and by AND within; brackets around are allowed once."""
        found = self._conjunction()
        while self._peek()[1].upper() == "OR":
            self._at += 1
            found += self._conjunction()
        return found

    def _conjunction(self) -> list[_Test]:
        parts = [self._part()]
        while self._peek()[1].upper() == "AND":
            self._at += 1
            parts.append(self._part())
        return parts[0] if len(parts) == 1 and _all_known(parts[0]) else _joined(parts)

    def _part(self) -> list[_Test]:
        if self._peek()[1] != "(":
            return [self._comparison()]
        self._at += 1
        tests = [self._comparison()]
        joins = set[str]()
        while self._peek()[1].upper() in {"OR", "AND"}:
            joins.add(self._next()[1].upper())
            tests.append(self._comparison())
        self._expect(")")
        if len(joins) > 1:
            raise PatternError("AND and OR are mixed without brackets")
        return _joined([[test] for test in tests]) if "AND" in joins else tests

    def _comparison(self) -> _Test:
        name, path = self._next()
        if name != "path":
            raise PatternError("the pattern can't be read")
        operator = self._next()[1].upper()
        if operator not in {"=", "IN", "ISSUBSET"}:
            raise PatternError(f"the comparison {operator[:12]} can't be matched by value")
        values = self._set() if operator == "IN" else (self._literal(),)
        kind = _kind(path)
        if operator == "ISSUBSET":
            kind = Kind.NETWORK if kind is Kind.IP else None
        return _Test(path, kind, values)

    def _set(self) -> tuple[str, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._peek()[1] == ",":
            self._at += 1
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> str:
        name, text = self._next()
        if name == "number" or text.lower() in {"true", "false"}:
            return text
        if name != "text":
            raise PatternError("the value is no text")
        return _ESCAPE.sub(r"\1", text[1:-1])


def _kind(path: str) -> Kind | None:
    plain = path.lower()
    if plain in PATHS:
        return PATHS[plain]
    match = _HASHES.fullmatch(path)
    if match is None:
        return None
    return Kind.CERTIFICATE if match[1].lower() == "x509-certificate" else Kind.HASH


def _all_known(tests: list[_Test]) -> bool:
    unknown = next((test for test in tests if test.kind is None), None)
    if unknown is not None:
        raise PatternError(f"{unknown.path[:60]} can't be matched by value")
    return True


def _joined(parts: list[list[_Test]]) -> list[_Test]:
    """Return the values that suffice where all ``parts`` must hold; raise ``PatternError`` where none does."""
    tests = [test for part in parts for test in part]
    telling = [test for test in tests if test.kind is not None]
    narrowing = [test for test in tests if test.kind is None and test.path.lower() not in _HARMLESS]
    if narrowing:
        raise PatternError(f"{narrowing[0].path[:60]} narrows the pattern, which a value can't say")
    if not telling:
        _all_known(tests)
    if {test.kind for test in telling} <= {Kind.HASH} or len(telling) == 1:
        return telling
    if {test.kind for test in telling} <= {Kind.CERTIFICATE, Kind.SERIAL}:
        certain = [test for test in telling if test.kind is Kind.CERTIFICATE]
        if certain:
            return certain
    raise PatternError("several things must be seen together, which a value can't say")
