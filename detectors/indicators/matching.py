"""Judge single values by a table: whether they are listed and nothing allows them.

Allow lists beat indicators. An allowed name holds for all below it and for web addresses there, an allowed network for
all addresses in it, an allowed value that is the indicator itself for whatever the indicator would have matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from detectors.indicators.model import Kind
from detectors.indicators.table import Table
from detectors.indicators.urls import canonical_url
from detectors.indicators.values import canonical_name, canonical_serial, parse_address

REMEMBERED: Final = 32_768
"""Values whose verdict is remembered for each kind: about 6 MB each, and most of a network's traffic."""
MOST_LABELS: Final = 12
"""Labels of a name below which no suffix is looked up: longer ones are made by tunnels."""
_HOST: Final = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]{0,15}:)?//([a-z0-9.-]+)(?::[0-9]+)?(?:[/?#]|$)")


@dataclass(frozen=True, slots=True)
class Hit:
    """Say that a value is listed: as what, and by which entries of the table, the most telling first."""

    kind: Kind
    value: str
    entries: tuple[int, ...]


Judge: TypeAlias = Callable[[str], Hit | None]


class Judgement:
    """Judge values by one table; verdicts are remembered, since most values come again and again."""

    def __init__(self, table: Table) -> None:
        """Take the table; it never changes."""
        self.table = table
        heads = table.heads
        self._allow = [head.allow for head in heads]
        self._lists = table.section("lists")
        self._can_beat = any(self._allow)
        self._nothing = len(table) == 0
        self.address: Judge = lru_cache(REMEMBERED)(self._address)
        self.name: Judge = lru_cache(REMEMBERED)(self._name)
        self.url: Judge = self._url
        self.hash: Judge = self._exact(Kind.HASH, str.lower)
        self.ja3: Judge = self._exact(Kind.JA3, str.lower)
        self.ja4: Judge = self._exact(Kind.JA4, str.lower)
        self.certificate: Judge = self._exact(Kind.CERTIFICATE, str.lower)
        self.serial: Judge = self._exact(Kind.SERIAL, canonical_serial)

    def _exact(self, kind: Kind, form: Callable[[str], str]) -> Judge:
        letter = kind.letter

        def judged(text: str) -> Hit | None:
            value = form(text)
            found = self.table.find(letter + _bytes(value))
            return self._settled([(kind, value, found)]) if found else None

        return lru_cache(REMEMBERED)(judged)

    def _address(self, text: str) -> Hit | None:
        if self._nothing:
            return None
        if ":" not in text and not self.table.ipv4_lengths:
            # Events write addresses in their one form, so nothing has to be read to look one up.
            found = self.table.find(b"i" + _bytes(text))
            return self._settled([(Kind.IP, text, found)]) if found else None
        address = parse_address(text)
        return None if address is None else self._settled(list(self._holding(address)))

    def _holding(self, address: IPv4Address | IPv6Address) -> Iterator[tuple[Kind, str, range]]:
        """Yield what is listed of an address: itself, then networks from the smallest."""
        find, value = self.table.find, str(address)
        found = find(b"i" + value.encode())
        if found:
            yield Kind.IP, value, found
        four = isinstance(address, IPv4Address)
        bits, number = address.max_prefixlen, int(address)
        for length in self.table.ipv4_lengths if four else self.table.ipv6_lengths:
            shift = bits - length
            base = number >> shift << shift
            start = _dotted(base) if four else str(IPv6Address(base))
            found = find(f"n{start}/{length}".encode())
            if found:
                yield Kind.NETWORK, f"{start}/{length}", found

    def _name(self, text: str) -> Hit | None:
        if self._nothing:
            return None
        if text[-1:].isdigit() or ":" in text:
            address = parse_address(text)
            if address is not None:  # in the place of a name: url.domain, or the answer to a question
                return self._named_address(text, str(address))
        name = canonical_name(text.removeprefix("*."))
        return self._settled(list(self._above(name))) if name else None

    def _named_address(self, text: str, form: str) -> Hit | None:
        """Judge an address that stands where names stand: as itself only, as searches in history can ask for it."""
        hit = self.address(form) if form == text.lower() else None
        return hit if hit is not None and hit.kind is Kind.IP else None

    def _above(self, name: str) -> Iterator[tuple[Kind, str, range]]:
        """Yield what is listed of a name: the very name, then the domains it lies in, from the longest."""
        find = self.table.find
        found = find(b"e" + name.encode())
        if found:
            yield Kind.HOSTNAME, name, found
        for suffix in _suffixes(name):
            found = find(b"d" + suffix.encode())
            if found:
                yield Kind.DOMAIN, suffix, found

    def listing_address(self, text: str) -> set[int]:
        """Return all entries that hold an address, whether or not something allows it."""
        address = parse_address(text)
        held = [] if address is None else list(self._holding(address))
        return {number for _, _, numbers in held for number in numbers}

    def listing_name(self, name: str) -> set[int]:
        """Return all entries that hold a name in its one form, whether or not something allows it."""
        return {number for _, _, numbers in self._above(name) for number in numbers}

    def _url(self, text: str) -> Hit | None:
        plain = _HOST.match(text)
        if plain is not None and not self.table.may_hold_host(plain[1].encode()):
            return None
        url = canonical_url(text)
        if url is None:
            return None
        host = url.host.strip("[]")
        found = [(Kind.URL, url.text, self.table.find(b"u" + url.text.encode()))]
        if not found[0][2]:
            return None
        address = parse_address(host)
        above = self._holding(address) if address is not None else self._above(canonical_name(host))
        beats = [item for item in above if any(self._allow[self._lists[entry]] for entry in item[2])]
        return None if beats else self._settled(found)

    def _settled(self, found: list[tuple[Kind, str, range]]) -> Hit | None:
        """Return the hit on the most telling value, ``None`` where nothing is listed or something allows it."""
        entries: list[int] = []
        first: tuple[Kind, str] | None = None
        for kind, value, numbers in found:
            for number in numbers:
                if self._allow[self._lists[number]]:
                    return None
            if numbers and self._can_beat and self._allows(kind, value):
                continue
            if numbers and first is None:
                first = kind, value
            entries.extend(numbers)
        return None if first is None else Hit(*first, tuple(entries))

    def _allows(self, kind: Kind, value: str) -> bool:
        """Tell whether the indicator itself is allowed under the other kind of name: ``qq.com`` but not all below."""
        if kind is not Kind.DOMAIN:
            return False
        same = self.table.find(Kind.HOSTNAME.letter + value.encode())
        return any(self._allow[self._lists[number]] for number in same)


def _dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _suffixes(name: str) -> Iterator[str]:
    """Yield the name and the domains above it, those of at least two labels."""
    if name.count(".") > MOST_LABELS:
        name = ".".join(name.split(".")[-MOST_LABELS - 1 :])
    while "." in name:
        yield name
        name = name.partition(".")[2]


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def allowed_by(judgement: Judgement, kind: Kind, value: str) -> list[int]:
    """Return the allow entries that beat an indicator, for showing: of the value itself and of what it lies in."""
    table = judgement.table
    keys = [kind.letter + value.encode()]
    if kind in {Kind.DOMAIN, Kind.HOSTNAME}:
        keys.append(Kind.HOSTNAME.letter + value.encode())
        keys += [Kind.DOMAIN.letter + suffix.encode() for suffix in _suffixes(value)]
    found = {number for key in keys for number in table.find(key)}
    if kind is Kind.IP:
        found |= judgement.listing_address(value)
    return sorted(number for number in found if table.head(number).allow)
