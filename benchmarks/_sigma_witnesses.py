"""Make events that rules fire on, and events that nearly are such.

So each rule's conversion is tried, not only those that somebody recorded an attack for. Made from the query tree, at
random: of alternatives one, of a regular expression a text that it finds. What fires is for the matcher to say.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from re import _constants, _parser  # type: ignore[attr-defined] # the standard library's parser of expressions
from typing import Any, Final

from detectors.sigma import SigmaRule, to_query
from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, EXTRA, TIMESTAMP, Event, Scalar, make_event_id
from soc_core.query.tree import (
    And,
    Cidr,
    Exists,
    Not,
    OneOf,
    Or,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
    TimePart,
)

STAMP: Final = "2026-11-20T08:30:00.000000Z"
_LONG: Final = "x" * 9_000
_LOOKALIKES: Final = str.maketrans({"k": "\u212a", "s": "\u017f", "i": "\u0131", "I": "\u0130"})
_LETTERS: Final = "abz019-_. \\/"


@dataclass(slots=True)
class _Wanted:
    """Hold what one field is to have: a whole value, or pieces of one."""

    whole: list[Scalar] = field(default_factory=list)
    first: str = ""
    middle: list[str] = field(default_factory=list)
    last: str = ""

    def values(self) -> list[Scalar]:
        """Return the values that together have all of it."""
        pieces = self.first or self.middle or self.last
        made = [f"{self.first}{' '.join(self.middle)}{self.last}"] if pieces else []
        return [*self.whole, *made] or ["-"]


def witnesses(rule: SigmaRule, seed: int, most: int = 3) -> Iterator[Event]:
    """Yield events for a rule: ``most`` that it should fire on, each followed by two that are nearly alike."""
    chance = random.Random(f"{rule.id}{seed}")
    for number in range(most):
        wanted: dict[str, _Wanted] = {}
        _wish(to_query(rule), wanted, chance)
        event = _event(wanted)
        for change in (_same, *chance.sample(_CHANGES, 2)):
            made = change(event, chance)
            made[EVENT_ID] = make_event_id(
                STAMP, rule.id.encode()[:16], number, repr(change).encode() + bytes([seed])
            )
            yield made


def _wish(query: Query, wanted: dict[str, _Wanted], chance: random.Random) -> None:
    match query:
        case And(children):
            for child in children:
                _wish(child, wanted, chance)
        case Or(children) if children:
            _wish(chance.choice(children), wanted, chance)
        case Not(child):
            _wish_not(child, wanted, chance)
        case SameAs(one, other):
            for name in (one, other):
                wanted.setdefault(name, _Wanted()).whole.append("same")
        case Exists(name):
            wanted.setdefault(name, _Wanted())
        case OneOf() | Text() | Regex() | Cidr() | Range() | TimePart():
            _value(query, wanted.setdefault(query.field or "message", _Wanted()), chance)


def _wish_not(query: Query, wanted: dict[str, _Wanted], chance: random.Random) -> None:
    match query:
        case And(children) | Or(children) if chance.random() < 0.1:
            _wish(children[0], wanted, chance)  # nearly: what a filter leaves out
        case Not(child):
            _wish(child, wanted, chance)
        case _:
            for name in _asked_for_absence(query):
                wanted.setdefault(name, _Wanted())  # a filter takes what lacks it


def _asked_for_absence(query: Query) -> Iterator[str]:
    match query:
        case Not(Exists(name)):
            yield name
        case And(children) | Or(children):
            for child in children:
                yield from _asked_for_absence(child)


def _value(query: Query, wanted: _Wanted, chance: random.Random) -> None:
    match query:
        case OneOf(values=values):
            wanted.whole.append(chance.choice(values))
        case Text(how="startswith", value=value):
            wanted.first = value
        case Text(how="endswith", value=value):
            wanted.last = value
        case Text(how="contains", value=value):
            wanted.middle.append(value)
        case Text(how="wildcard", value=value):
            wanted.whole.append(_of_wildcard(value, chance))
        case Regex(pattern=pattern):
            wanted.middle.append(of_pattern(pattern, chance))
        case Cidr(network=network):
            inside = ip_network(network, strict=False)
            wanted.whole.append(str(inside[chance.randrange(inside.num_addresses)]))
        case Range(gte=low, gt=over, lte=high, lt=under):
            bound = next(item for item in (low, over, high, under) if item is not None)
            shift = 1 if over is not None else -1 if under is not None else 0
            wanted.whole.append(bound + shift if isinstance(bound, int | float) else bound)
        case TimePart():
            wanted.whole.append(STAMP)


def _of_wildcard(pattern: str, chance: random.Random) -> str:
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    fill = {"*": lambda: chance.choice(["", "x", "a b\\c"]), "?": lambda: chance.choice("xÄ7")}
    return "".join(
        fill[piece]() if piece in fill else piece[-1] if len(piece) > 1 else piece for piece in pieces
    )


def of_pattern(pattern: str, chance: random.Random) -> str:
    """Return a text in which a regular expression is found, in most cases."""
    return "".join(_of_items(_parser.parse(pattern), chance))


def _of_items(items: Any, chance: random.Random) -> Iterator[str]:
    for kind, about in items:
        maker = _MAKERS.get(kind)
        if maker is not None:
            yield maker(about, chance)


def _repeated(about: Any, chance: random.Random) -> str:
    least, most, inner = about
    count = chance.randint(least, min(most, least + 2))
    return "".join("".join(_of_items(inner, chance)) for _ in range(count))


def _of_class(about: Any, chance: random.Random) -> str:
    (kind, first) = about[0]
    if kind is _constants.NEGATE:
        banned = {chr(code) for code in _codes(about[1:])}
        return next((letter for letter in "~x7 é" if letter not in banned), "~")
    if kind is _constants.CATEGORY:
        return _CATEGORIES.get(first, "~")
    return chr(chance.choice(list(_codes(about)) or [0x78]))


def _codes(about: Any) -> Iterator[int]:
    for kind, value in about:
        if kind is _constants.LITERAL:
            yield value
        elif kind is _constants.RANGE:
            yield from range(value[0], min(value[1], value[0] + 40) + 1)
        elif kind is _constants.CATEGORY:
            yield ord(_CATEGORIES.get(value, "~"))


_CATEGORIES: Final = {
    _constants.CATEGORY_DIGIT: "7",
    _constants.CATEGORY_SPACE: " ",
    _constants.CATEGORY_WORD: "w",
}
_MAKERS: Final[dict[Any, Callable[[Any, random.Random], str]]] = {
    _constants.LITERAL: lambda about, _chance: chr(about),
    _constants.NOT_LITERAL: lambda about, _chance: "~" if about != ord("~") else "x",
    _constants.ANY: lambda _about, chance: chance.choice(_LETTERS),
    _constants.IN: _of_class,
    _constants.BRANCH: lambda about, chance: "".join(_of_items(chance.choice(about[1]), chance)),
    _constants.SUBPATTERN: lambda about, chance: "".join(_of_items(about[3], chance)),
    _constants.MAX_REPEAT: _repeated,
    _constants.MIN_REPEAT: _repeated,
}


def _event(wanted: dict[str, _Wanted]) -> Event:
    event: Event = {TIMESTAMP: STAMP}
    extra: list[str] = []
    for name, wish in wanted.items():
        values = [_typed(name, value) for value in wish.values()]
        if name in FIELDS:
            event[name] = values if FIELDS[name].multi else values[0]  # type: ignore[assignment]
        else:
            extra.extend(f"{name}={value}" for value in values)
    return event | ({EXTRA: extra} if extra else {})


def _typed(name: str, value: Scalar) -> Scalar:
    kind = FIELDS[name].type if name in FIELDS else "keyword"
    try:
        if kind in {"long", "double"}:
            return int(value) if kind == "long" else float(value)
    except ValueError:
        return 200
    if kind == "boolean":
        return str(value).lower() == "true"
    if kind == "date":
        return STAMP
    return str(value)


def _texts(event: Event, change: Callable[[str], str]) -> Event:
    """Return the event with each text changed but those that say what it is about."""
    made = dict(event)
    for name, value in event.items():
        known = FIELDS[name].type in {"keyword", "text"} and not name.startswith("event.")
        if not known:
            continue
        if name == EXTRA and isinstance(value, list):
            pairs = [str(item).partition("=") for item in value]
            made[name] = [f"{key}={change(text)}" for key, _, text in pairs]
        elif isinstance(value, str):
            made[name] = change(value)
    return made


def _same(event: Event, _chance: random.Random) -> Event:
    return dict(event)


def _other_case(event: Event, _chance: random.Random) -> Event:
    return _texts(event, str.swapcase)


def _lookalike(event: Event, _chance: random.Random) -> Event:
    return _texts(event, lambda text: text.translate(_LOOKALIKES))


def _longer(event: Event, chance: random.Random) -> Event:
    return _texts(event, lambda text: chance.choice([f"x{text}", f"{text}x", f"{text}\n", f" {text} \n y"]))


def _shorter(event: Event, chance: random.Random) -> Event:
    return _texts(event, lambda text: text[1:] if chance.random() < 0.5 else text[:-1])


def _fewer(event: Event, chance: random.Random) -> Event:
    names = [name for name in event if name not in {TIMESTAMP, "event.dataset"}]
    gone = chance.choice(names) if names else ""
    return {name: value for name, value in event.items() if name != gone}


def _endless(event: Event, chance: random.Random) -> Event:
    return _texts(event, lambda text: text + _LONG) if chance.random() < 0.1 else _fewer(event, chance)


_CHANGES: Final[Sequence[Callable[[Event, random.Random], Event]]] = (
    _other_case,
    _lookalike,
    _longer,
    _shorter,
    _fewer,
    _endless,
)
