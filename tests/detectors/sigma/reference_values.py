"""Say what the values and modifiers of a plain Sigma rule ask: the other half of ``reference``, and as independent."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

Plain: TypeAlias = str | int | float | bool
PlainEvent: TypeAlias = Mapping[str, Plain | Sequence[Plain]]
Fields: TypeAlias = Callable[[str], Sequence[str]]
"""Give the names under which an event holds the values of a rule's field."""


class RefusedError(Exception):
    """Say that a rule can't be judged, and why."""


# --- texts with wildcards ---------------------------------------------------------------------------------------------

Token: TypeAlias = tuple[Literal["letter", "one", "many"], str]
ONE: Final[Token] = ("one", "?")
MANY: Final[Token] = ("many", "*")


def tokens_of(text: str) -> list[Token]:
    """Read a rule's text: ``*``, ``?``, and the backslash that takes the meaning of these and of itself away."""
    found: list[Token] = []
    letters = iter(range(len(text)))
    for at in letters:
        letter = text[at]
        if letter == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            found.append(("letter", text[at + 1]))
            next(letters)
        elif letter in "*?":
            found.append(MANY if letter == "*" else ONE)
        else:
            found.append(("letter", letter))
    return found


def plain_of(tokens: Sequence[Token]) -> str:
    """Return a text without wildcards; refuse one with."""
    if any(kind != "letter" for kind, _ in tokens):
        raise RefusedError("wildcards can't be encoded")
    return "".join(letter for _, letter in tokens)


def lower(letter: str) -> str:
    """Return the one lower case letter of a letter."""
    return letter.lower()[:1]


def fits(tokens: Sequence[Token], text: str, *, cased: bool) -> bool:
    """Tell whether the whole text fits."""
    return (
        _expression(tuple(tokens), cased).fullmatch(text if cased else "".join(map(lower, text))) is not None
    )


@lru_cache(maxsize=50_000)
def _expression(tokens: tuple[Token, ...], cased: bool) -> re.Pattern[str]:
    """Return a pattern as a regular expression: a letter is itself, ``?`` is any one, ``*`` any number of any."""
    parts = {"one": ".", "many": ".*"}
    letters = [parts.get(kind) or re.escape(letter if cased else lower(letter)) for kind, letter in tokens]
    return re.compile("".join(letters), re.DOTALL)


def text_of(value: Plain) -> str:
    """Return a value of an event as the text it is compared as."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


# --- what a rule's value asks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pattern:
    """Ask for a text."""

    tokens: tuple[Token, ...]
    cased: bool = False

    def holds(self, value: Plain) -> bool:
        return fits(self.tokens, text_of(value), cased=self.cased)


@dataclass(frozen=True)
class Expression:
    """Ask for a regular expression."""

    pattern: str
    flags: frozenset[str] = frozenset()

    def holds(self, value: Plain) -> bool:
        known = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
        flags = sum(known[flag] for flag in self.flags)
        return re.search(self.pattern, text_of(value), flags) is not None


@dataclass(frozen=True)
class Network:
    """Ask for an address inside a network."""

    network: str

    def holds(self, value: Plain) -> bool:
        wanted = ipaddress.ip_network(self.network)
        try:
            address = ipaddress.ip_address(value if isinstance(value, str) else "")
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.version == wanted.version and address in wanted


@dataclass(frozen=True)
class Number:
    """Ask for a number, by ``eq``, ``gt``, ``gte``, ``lt`` or ``lte``; of a ``part`` of a time if one is named."""

    number: int | float
    by: str = "eq"
    part: str = ""

    def holds(self, value: Plain) -> bool:
        found = part_of(self.part, value) if self.part else number_of(value)
        if found is None:
            return False
        return {
            "eq": found == self.number,
            "gt": found > self.number,
            "gte": found >= self.number,
            "lt": found < self.number,
            "lte": found <= self.number,
        }[self.by]


@dataclass(frozen=True)
class Absence:
    """Ask that there be no value."""


@dataclass(frozen=True)
class Presence:
    """Ask that there be a value."""


@dataclass(frozen=True)
class Reference:
    """Ask that another field hold the same, or its ``how`` (``contains``, ``startswith``, ``endswith``)."""

    field: str
    how: str = "equals"

    def related(self, one: Plain, other: Plain) -> bool:
        left, right = ("".join(map(lower, text_of(value))) for value in (one, other))
        return {
            "equals": left == right,
            "contains": right in left,
            "startswith": left.startswith(right),
            "endswith": left.endswith(right),
        }[self.how]


Asked: TypeAlias = Pattern | Expression | Network | Number | Absence | Presence | Reference | bytes


def number_of(value: Plain) -> int | float | None:
    """Return the number a value is, decimal text included."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        whole, dot, fraction = value.removeprefix("-").removeprefix("+" * (value[:1] == "+")).partition(".")
        if not whole.isdecimal() or (dot and not fraction.isdecimal()):
            return None
        return float(value) if dot else int(value)
    return value


def part_of(part: str, value: Plain) -> int | None:
    """Return the minute, hour, day, week, month or year of a time, in UTC."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return instant.isocalendar().week if part == "week" else cast("int", getattr(instant, part))


# --- modifiers --------------------------------------------------------------------------------------------------------

DASHES: Final = "-/\u2013\u2014\u2015"
PARTS: Final = frozenset({"minute", "hour", "day", "week", "month", "year"})
COMPARISONS: Final = frozenset({"gt", "gte", "lt", "lte"})
FLAGS: Final = frozenset({"i", "m", "s"})
ENCODINGS: Final = frozenset({"base64", "base64offset", "wide", "utf16le", "utf16be", "utf16"})


def first_meaning(value: object, modifiers: Sequence[str]) -> Asked:
    """Return what a value asks before any modifier."""
    if value is None:
        return Absence()
    if "re" in modifiers and isinstance(value, str):
        return Expression(value)
    if isinstance(value, bool):
        return Pattern(tuple(tokens_of("true" if value else "false")))
    if isinstance(value, int | float):
        if any(name in PARTS or name in COMPARISONS for name in modifiers):
            return Number(value)
        return Pattern(tuple(("letter", letter) for letter in text_of(value)))
    if isinstance(value, str):
        return Pattern(tuple(tokens_of(value)))
    raise RefusedError(f"{value!r} is no value")


def modified(asked: Asked, name: str) -> list[Asked]:
    """Return what is asked after a modifier: any of what comes back."""
    match asked:
        case Pattern() | bytes():
            return modified_text(asked, name)
        case Expression(pattern, flags) if name in FLAGS:
            return [Expression(pattern, flags | {name})]
        case Expression() if name == "re":
            return [asked]
        case Reference(field) if name in ("contains", "startswith", "endswith"):
            return [Reference(field, name)]
        case Number(number, by) if name in PARTS:
            return [Number(number, by, name)]
        case Number(number, _, part) if name in COMPARISONS:
            return [Number(number, name, part)]
        case _:
            raise RefusedError(f"{name} does not fit {asked!r}")


def modified_text(asked: Pattern | bytes, name: str) -> list[Asked]:
    """Return what is asked after a modifier of texts."""
    if isinstance(asked, bytes) or name in ENCODINGS:
        return encoded(asked, name)
    tokens, cased = asked.tokens, asked.cased
    if name == "windash":
        return [Pattern(tuple(one), cased) for one in with_all_dashes(tokens)]
    meanings: dict[str, Callable[[], Asked]] = {
        "contains": lambda: Pattern((MANY, *tokens, MANY), cased),
        "startswith": lambda: Pattern((*tokens, MANY), cased),
        "endswith": lambda: Pattern((MANY, *tokens), cased),
        "cased": lambda: Pattern(tokens, cased=True),
        "cidr": lambda: Network(plain_of(tokens)),
        "exists": lambda: Presence() if plain_of(tokens) == "true" else Absence(),
        "fieldref": lambda: Reference(plain_of(tokens)),
    }
    if name not in meanings:
        raise RefusedError(f"there is no modifier {name} for texts")
    return [meanings[name]()]


def encoded(asked: Pattern | bytes, name: str) -> list[Asked]:
    """Return what is asked after a text was encoded, or bytes were."""
    data = asked if isinstance(asked, bytes) else plain_of(asked.tokens).encode()
    match name:
        case "base64":
            return [literal(base64.b64encode(data).decode())]
        case "base64offset":
            return [literal(text) for text in wherever_in_base64(data)]
        case "utf16be":
            return [data.decode().encode("utf-16-be")]
        case "utf16":
            return [b"\xff\xfe" + data.decode().encode("utf-16-le")]
        case "wide" | "utf16le":
            return [data.decode().encode("utf-16-le")]
        case _:
            raise RefusedError(f"{name} can't follow an encoding")


def literal(text: str) -> Pattern:
    """Ask for a text without wildcards."""
    return Pattern(tuple(("letter", letter) for letter in text))


def wherever_in_base64(data: bytes) -> Iterator[str]:
    """Yield the letters that ``data`` alone decides, behind none, one and two other bytes (six bits a letter)."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        begin, end = before * 8, (before + len(data)) * 8
        yield "".join(letter for at, letter in enumerate(encoded) if begin <= at * 6 and at * 6 + 6 <= end)


def with_all_dashes(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the text with each dash that begins a word replaced by each of the five."""

    def is_word(token: Token | None) -> bool:
        return token is not None and token[0] == "letter" and (token[1].isalnum() or token[1] == "_")

    for at, token in enumerate(tokens):
        before = tokens[at - 1] if at else None
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if token[0] == "letter" and token[1] in DASHES and not is_word(before) and is_word(after):
            for rest in with_all_dashes(tokens[at + 1 :]):
                for dash in DASHES:
                    yield [*tokens[:at], ("letter", dash), *rest]
            return
    yield list(tokens)
