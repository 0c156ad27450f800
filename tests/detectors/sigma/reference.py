r"""Judge one event by one Sigma rule, slowly and plainly: what the engine is held against in tests and benchmarks.

Written from the Sigma specification (rules 2.0.0, appendix modifiers 2.1.0) over the YAML tree of a rule and a plain
event, a mapping of names to a value or a list of values. It shares no code with ``detectors.sigma`` or
``soc_core.query`` and looks at one question after the other. Where the specification leaves a question open, what
is said here is decision 7 in other words:

- What a field says is all its values together: a question is answered yes if one of them answers it yes. An empty text
  or ``null`` in a rule asks that there be no value at all.
- A question about a field without values is answered no, and ``not`` turns that around. But a rule that would come out
  true although none of its fields has a value, and whatever were answered to its questions for absence and presence,
  has seen nothing: it needs one value in one of the fields its condition names. (Keywords name no field.)
- Everything but a number in a comparison is a text: 22 is ``22``, 1.0 is ``1``, true is ``true``. Case counts in
  regular expressions and under ``cased`` only; each letter by itself has one lower case letter.
- A regular expression may be found anywhere. A keyword stands anywhere in one of the event's texts.
- ``gt`` and its like compare numbers, decimal text included. Hours and their like are those of UTC.
- ``windash``: a dash or slash before a word (a letter follows, none stands before) may be any of the five dashes.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


# --- searches and conditions ------------------------------------------------------------------------------------------


class Rule:
    """Hold one rule's ``detection`` and judge events by it."""

    def __init__(self, detection: Mapping[str, object], fields: Fields = lambda name: (name,)) -> None:
        """Take the YAML tree below ``detection``; ``fields`` names where an event holds a field's values."""
        self._fields = fields
        self._searches = {name: tree for name, tree in detection.items() if name != "condition"}
        given = detection.get("condition")
        self._conditions = [str(one) for one in given] if isinstance(given, list) else [str(given)]

    def matches(self, event: PlainEvent, texts: Sequence[str] = ()) -> bool:
        """Tell whether the rule matches an event; ``texts`` is where keywords are looked for."""
        if not _Judging(self, event, texts).verdict():
            return False
        nothing = _Judging(self, None, ())
        if nothing.verdict() is not True:
            return True
        return not nothing.named or any(_values(event, name) for name in nothing.named)


Answer: TypeAlias = bool | None
"""``None``: that depends on a question for absence or presence which nobody answered."""


def _one_of(answers: Sequence[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def _all_of(answers: Sequence[Answer]) -> Answer:
    return False if False in answers else None if None in answers else True


def _opposite(answer: Answer) -> Answer:
    return None if answer is None else not answer


class _Judging:
    """Judge one event; ``None`` stands for an event that holds nothing, where nobody says what is absent.

    All questions are asked even where the answer is known: they name fields.
    """

    def __init__(self, rule: Rule, event: PlainEvent | None, texts: Sequence[str]) -> None:
        self._rule = rule
        self._event = event
        self._texts = texts
        self.named: set[str] = set()

    def verdict(self) -> Answer:
        """Return whether one of the conditions holds."""
        return _one_of([self._condition(one) for one in self._rule._conditions])

    def _condition(self, text: str) -> Answer:
        words = re.findall(r"[()]|[^\s()]+", text)
        answer = self._either(words)
        if words:
            raise RefusedError(f"'{words[0]}' is too much in '{text}'")
        return answer

    def _either(self, words: list[str]) -> Answer:
        answers = [self._both(words)]
        while words[:1] == ["or"]:
            words.pop(0)
            answers.append(self._both(words))
        return _one_of(answers)

    def _both(self, words: list[str]) -> Answer:
        answers = [self._not(words)]
        while words[:1] == ["and"]:
            words.pop(0)
            answers.append(self._not(words))
        return _all_of(answers)

    def _not(self, words: list[str]) -> Answer:
        if words[:1] == ["not"]:
            words.pop(0)
            return _opposite(self._not(words))
        return self._term(words)

    def _term(self, words: list[str]) -> Answer:
        if not words:
            raise RefusedError("the condition breaks off")
        word = words.pop(0)
        if word == "(":
            answer = self._either(words)
            if not words or words.pop(0) != ")":
                raise RefusedError("a bracket is not closed")
            return answer
        if word in ("1", "any", "all") and words[:1] == ["of"]:
            words.pop(0)
            answers = [self._search(self._rule._searches[name]) for name in self._meant(words.pop(0))]
            return _all_of(answers) if word == "all" else _one_of(answers)
        if word not in self._rule._searches:
            raise RefusedError(f"there is no search {word}")
        return self._search(self._rule._searches[word])

    def _meant(self, pattern: str) -> list[str]:
        """Return the searches that ``them`` or a pattern means: hidden ones (``_``) never."""
        wanted = tokens_of("*" if pattern == "them" else pattern)
        names = [name for name in self._rule._searches if not name.startswith("_")]
        found = [name for name in names if fits(wanted, name, cased=True)]
        if not found:
            raise RefusedError(f"no search is called {pattern}")
        return found

    def _search(self, tree: object) -> Answer:
        if isinstance(tree, Mapping):
            return _all_of([self._item(str(key), value) for key, value in tree.items()])
        if isinstance(tree, list) and any(isinstance(part, Mapping | list) for part in tree):
            return _one_of([self._search(part) for part in tree])
        return self._item("", tree)

    def _item(self, key: str, value: object) -> Answer:
        field, *modifiers = key.split("|")
        values: list[object] = value if isinstance(value, list) else [value]
        names = set(modifiers)
        answers = [self._value(field, one, modifiers) for one in values or [None]]
        answer = _all_of(answers) if "all" in names else _one_of(answers)
        return _opposite(answer) if "neq" in names else answer

    def _value(self, field: str, value: object, modifiers: Sequence[str]) -> Answer:
        """Return whether a field (or, without name, the event) has one value of a rule."""
        asked: list[Asked] = [first_meaning(value, modifiers)]
        for name in modifiers:
            if name not in ("all", "neq"):
                asked = [after for one in asked for after in modified(one, name)]
        if any(isinstance(one, bytes) for one in asked):
            raise RefusedError("an encoded text is only looked for in base64")
        if not field:
            return _one_of([self._keyword(one) for one in asked])
        return _one_of([self._field(field, one) for one in asked])

    def _keyword(self, asked: Asked) -> bool:
        if isinstance(asked, Pattern) and set(asked.tokens) - {MANY}:
            asked = Pattern((MANY, *asked.tokens, MANY), asked.cased)
        elif not isinstance(asked, Expression):
            raise RefusedError("only texts and expressions are keywords")
        return any(asked.holds(text) for text in self._texts)

    def _field(self, field: str, asked: Asked) -> Answer:
        values = self._see(field)
        match asked:
            case Absence() | Pattern(()):
                return None if self._event is None else not values
            case Presence():
                return None if self._event is None else bool(values)
            case Pattern(tokens) if set(tokens) == {MANY}:
                return None if self._event is None else bool(values)
            case Reference(other):
                return any(asked.related(one, two) for two in self._see(other) for one in values)
            case bytes():
                raise RefusedError("bytes are no text")
            case _:
                return any(asked.holds(value) for value in values)

    def _see(self, field: str) -> list[Plain]:
        names = self._rule._fields(field)
        self.named.update(names)
        return [value for name in names for value in _values(self._event or {}, name)]


def _values(event: PlainEvent, name: str) -> Iterable[Plain]:
    value = event.get(name)
    if value is None:
        return []
    if isinstance(value, str | int | float):
        return [value]
    return list(value)
