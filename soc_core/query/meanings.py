"""Say what a value means for a field, by the field's type: one predicate of the tree, or several together.

What a field can never hold is refused rather than looked for in vain: ``source.ip:999`` has a slip in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from math import isfinite
from typing import Final

from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import EVENT_ID, Scalar
from soc_core.query.evaluate import takes_linear_time
from soc_core.query.lexer import Token, fault_at, letters_of, plain
from soc_core.query.times import Moment, parse_moment
from soc_core.query.tree import Cidr, Everything, Exists, OneOf, Or, Query, Range, Regex, Text

MAX_STARS: Final = 30
"""Each may begin anywhere: the work is the text's length times the pattern's."""
_RANGE: Final = re.compile(r"""([\[{])\s*("[^"]*"|\S+?)\s+(?:TO|to)\s+("[^"]*"|\S+?)\s*([\]}])""")
_ADDRESS_LETTERS: Final = re.compile(r"[0-9a-fA-F.:*?]+")
_EVENT_ID: Final = re.compile(r"\d{8}-[0-9a-v]{26}")
_LONG: Final = 2**63
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Read values; ``now`` and ``zone`` are what relative and local times go by."""

    now: datetime
    zone: tzinfo

    def query(self, field: str, token: Token) -> Query:
        """Return the query of one value: a word, a phrase, a range or a regular expression; no field means anywhere."""
        match token.kind:
            case "range":
                return self._range(field, token)
            case "regex":
                return _regex(field, token)
            case "phrase":
                text = plain(token.text[1:-1])
                return self._equal(field, text, token.at) if field else _anywhere(text, token.at)
        if field:
            return self._word(field, token)
        return _anywhere_word(token)

    def compared(self, field: str, sign: str, token: Token) -> Query:
        """Return the query of ``field sign value``."""
        text = plain(token.text[1:-1] if token.kind == "phrase" else token.text)
        if FIELDS[field].type == "ip":
            return _between(field, [(sign, _address(field, text, token.at))], token.at)
        return _bounded(field, [(sign, self._bound(field, sign, text, token.at))])

    def _word(self, field: str, token: Token) -> Query:
        """Return the query of an unquoted word: ``*`` alone means present, ``*`` and ``?`` are wildcards."""
        if token.text == "*":
            return Exists(field)
        if not _has_wildcard(token.text):
            return self._equal(field, plain(token.text), token.at)
        kind = FIELDS[field].type
        if kind == "ip" and not _ADDRESS_LETTERS.fullmatch(token.text):
            raise _no_address(field, token.text, token.at)
        if kind == "boolean":
            raise fault_at(token.at, f"field '{field}' is true or false, not '{token.text}'")
        pattern = _pattern(token)
        # Long text is looked through: a word in it fits, wherever it stands.
        return _simplest(field, f"*{pattern}*" if kind == "text" else pattern)

    def _equal(self, field: str, value: str, at: int) -> Query:
        match FIELDS[field].type:
            case "ip":
                return _network(field, value, at)
            case "text":
                return Text(field, "contains", value)
            case "date":
                moment = self._moment(value, at)
                return _within(field, moment)
            case "boolean":
                if value.lower() not in {"true", "false"}:
                    raise fault_at(at, f"field '{field}' is true or false, not '{value}'")
                return OneOf(field, (value.lower() == "true",))
            case "long" | "double":
                return OneOf(field, (_number(field, value, at, whole=FIELDS[field].type == "long"),))
        return OneOf(field, (value,))

    def _moment(self, value: str, at: int) -> Moment:
        try:
            return parse_moment(value, self.now, self.zone)
        except ValueError:
            todo = "write it like 2026-11-20, 2026-11-20T08:00 or now-1d"
            raise fault_at(at, f"'{value}' is no time", todo) from None

    def _bound(self, field: str, sign: str, value: str, at: int) -> Scalar:
        """Return a bound as the tree has it; a date is the whole day, so what is after it begins with the next."""
        match FIELDS[field].type:
            case "date":
                moment = self._moment(value, at)
                return format_instant(moment.end if sign in {">", "<="} else moment.start)
            case "long" | "double":
                return _number(field, value, at, whole=False)
            case "boolean":
                raise fault_at(at, f"field '{field}' is true or false: it has no order")
        return value

    def _range(self, field: str, token: Token) -> Query:
        match = _RANGE.fullmatch(token.text)
        if match is None or not field:
            raise fault_at(token.at, "a range needs a field: field:[a TO b]")
        signs = (">" if match[1] == "{" else ">=", "<" if match[4] == "}" else "<=")
        given = [
            (sign, plain(part.strip('"')), token.at + match.start(number))
            for number, sign, part in ((2, signs[0], match[2]), (3, signs[1], match[3]))
            if part != "*"
        ]
        if not given:
            return Exists(field)
        if FIELDS[field].type == "ip":
            return _between(field, [(sign, _address(field, text, at)) for sign, text, at in given], token.at)
        return _bounded(field, [(sign, self._bound(field, sign, text, at)) for sign, text, at in given])


def _bounded(field: str, bounds: list[tuple[str, Scalar]]) -> Range:
    named = dict(bounds)
    if FIELDS[field].type == "date":
        # The bounds are instants already: "after the 20th" is "from the 21st on".
        named = {sign[0] + ("=" if sign[0] == ">" else ""): bound for sign, bound in bounds}
    return Range(field, gte=named.get(">="), gt=named.get(">"), lte=named.get("<="), lt=named.get("<"))


def _within(field: str, moment: Moment) -> Query:
    start, end = format_instant(moment.start), format_instant(moment.end)
    if (moment.end - moment.start).total_seconds() < 2e-6:
        return OneOf(field, (start,))
    return Range(field, gte=start, lt=end)


def _number(field: str, value: str, at: int, *, whole: bool) -> Scalar:
    """Return the number that ``value`` is; one that equals no value of the field is refused if ``whole``."""
    number: int | float | None = None
    for convert in (int, float):
        try:
            number = convert(value)
            break
        except ValueError:
            continue
    if number is None or not isfinite(number) or not value.isascii():
        raise fault_at(at, f"field '{field}' is a number, '{value}' is not")
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        number = int(number)
    if whole and (isinstance(number, float) or not -_LONG <= number < _LONG):
        raise fault_at(at, f"field '{field}' is a whole number of at most 64 bits, '{value}' is not")
    return number


def _no_address(field: str, value: str, at: int) -> UsageError:
    todo = "write it like 10.0.0.5, 10.0.0.0/24, 10.0.* or [10.0.0.5 TO 10.0.0.9]"
    return fault_at(at, f"field '{field}' holds addresses, '{value}' is none", todo)


def _network(field: str, value: str, at: int) -> Query:
    if "/" not in value:
        return OneOf(field, (str(_address(field, value, at)),))
    try:
        return _cidr(field, ip_network(value, strict=False))
    except ValueError:
        raise fault_at(at, f"'{value}' is no network", "write it like 10.0.0.0/24") from None


def _cidr(field: str, network: IPv4Network | IPv6Network) -> Cidr:
    """Return the predicate of a network, one of IPv4 in the clothes of IPv6 as IPv4: so addresses are stored."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return Cidr(field, f"{mapped}/{network.prefixlen - 96}")
    return Cidr(field, str(network))


def _address(field: str, value: str, at: int) -> _Address:
    """Return an address, IPv4 in the clothes of IPv6 as IPv4: so they are stored."""
    try:
        address = ip_address(value)
    except ValueError:
        raise _no_address(field, value, at) from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise _no_address(field, value, at)
    return getattr(address, "ipv4_mapped", None) or address


def _between(field: str, bounds: list[tuple[str, _Address]], at: int) -> Query:
    """Return the networks that together are all addresses within the bounds, of the bounds' version."""
    versions = {bound.version for _, bound in bounds}
    if len(versions) > 1:
        raise fault_at(at, "both ends of a range must be of one version of IP")
    width = bounds[0][1].max_prefixlen
    low, high = 0, 2**width - 1
    for sign, bound in bounds:
        if sign[0] == ">":
            low = int(bound) + (sign == ">")
        else:
            high = int(bound) - (sign == "<")
    if low > high:
        return Or(())
    make = type(bounds[0][1])
    networks = summarize_address_range(make(low), make(high))
    found = tuple(Cidr(field, str(network)) for network in networks)
    return found[0] if len(found) == 1 else Or(found)


def _regex(field: str, token: Token) -> Query:
    pattern = token.text[1:-1].replace("\\/", "/")
    try:
        re.compile(pattern)
    except re.error as error:
        raise fault_at(token.at, f"the regular expression is wrong: {error}") from None
    except (RecursionError, OverflowError):
        raise fault_at(token.at, "the regular expression is wrong: too large") from None
    if not field:
        raise fault_at(token.at, "a regular expression needs a field: field:/…/")
    if not takes_linear_time(pattern):
        raise fault_at(
            token.at,
            "a search takes no such regular expression",
            "do without look-around, back references, named groups and repeats above 100",
        )
    return Regex(field, pattern)


def _anywhere(text: str, at: int) -> Query:
    if not text:
        raise fault_at(at, "there is nothing between these quotes")
    return Text("", "contains", text)


def _anywhere_word(token: Token) -> Query:
    """Return the query of a word without a field; addresses and ids of events are no text and looked up as such."""
    if token.text in {"*", "**"}:
        return Everything()
    if _has_wildcard(token.text):
        return _or_network(_simplest("", f"*{_pattern(token)}*"), _octets(token.text))
    text = plain(token.text)
    if _EVENT_ID.fullmatch(text):
        return Or((OneOf(EVENT_ID, (text,)), Text("", "contains", text)))
    return _or_network(Text("", "contains", text), text)


def _octets(text: str) -> str:
    """Return the network of whole octets such as ``10.0.*``, else an empty text."""
    match = re.fullmatch(r"((?:\d{1,3}\.){1,3})\*", text)
    if match is None:
        return ""
    given = match[1].count(".")
    return f"{match[1]}{'.'.join('0' * (4 - given))}/{8 * given}"


def _or_network(query: Query, text: str) -> Query:
    """Return the query with the addresses that a text names beside it, if it names any."""
    try:
        return Or((query, _cidr("", ip_network(text, strict=False))))
    except ValueError:
        return query


def _has_wildcard(text: str) -> bool:
    return any(letter in "*?" and not escaped for letter, escaped in letters_of(text))


def _pattern(token: Token) -> str:
    """Return the tree's wildcard pattern of a word: there a backslash stands only before ``*``, ``?`` and itself."""
    letters = list(letters_of(token.text))
    if sum(letter == "*" and not escaped for letter, escaped in letters) > MAX_STARS:
        raise fault_at(token.at, f"more than {MAX_STARS} stars in one word")
    return "".join(
        letter if letter in "*?" and not escaped else re.sub(r"[*?\\]", r"\\\g<0>", letter)
        for letter, escaped in letters
    )


def _simplest(field: str, pattern: str) -> Text:
    """Return the predicate of a pattern, without one where stars stand at its ends only: that is faster to find."""
    inner = re.fullmatch(r"(\**)([^*?\\]+)(\**)", pattern)
    if inner is None:
        return Text(field, "wildcard", re.sub(r"\*{2,}", "*", pattern))
    how = {(True, True): "contains", (False, True): "startswith", (True, False): "endswith"}
    return Text(field, how.get((bool(inner[1]), bool(inner[3])), "wildcard"), inner[2])
