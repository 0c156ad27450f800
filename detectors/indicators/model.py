"""Define the indicator: one value that somebody says is malicious, with how sure they are and who may be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from soc_core.model.detection import Severity


class Kind(StrEnum):
    """Say what a value is. ``DOMAIN`` holds for the name and all below it, ``HOSTNAME`` for the very name only."""

    IP = "ip"
    NETWORK = "network"
    DOMAIN = "domain"
    HOSTNAME = "hostname"
    URL = "url"
    HASH = "hash"
    JA3 = "ja3"
    JA4 = "ja4"
    CERTIFICATE = "certificate"
    SERIAL = "serial"

    @property
    def letter(self) -> bytes:
        """Return the byte that keys of this kind begin with."""
        return _LETTERS[self]


_LETTERS: Final = {
    Kind.IP: b"i",
    Kind.NETWORK: b"n",
    Kind.DOMAIN: b"d",
    Kind.HOSTNAME: b"e",
    Kind.URL: b"u",
    Kind.HASH: b"h",
    Kind.JA3: b"j",
    Kind.JA4: b"4",
    Kind.CERTIFICATE: b"c",
    Kind.SERIAL: b"s",
}
KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}
"""The kinds by the first byte of their keys."""


class Tlp(StrEnum):
    """Say who may be told (FIRST, TLP 2.0), from everybody to nobody else."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    STRICT = "amber+strict"
    RED = "red"

    @property
    def rank(self) -> int:
        """Return 0 (clear) to 4 (red)."""
        return TLPS.index(self)


TLPS: Final = tuple(Tlp)
_SPELLED: Final = {"white": Tlp.CLEAR, "unclear": Tlp.AMBER, "ex:chr": Tlp.AMBER} | {
    level.value: level for level in Tlp
}


def read_tlp(text: str) -> Tlp | None:
    """Return the marking that a text such as ``tlp:green``, ``TLP:AMBER+STRICT`` or ``WHITE`` names, if it does."""
    plain = text.strip().lower().removeprefix("tlp:").strip()
    return _SPELLED.get(plain)


@dataclass(frozen=True, slots=True)
class Indicator:
    """Hold one entry of a list: ``value`` is normalised (``values.py``), ``confidence`` 0–100.

    ``since`` and ``expires`` are seconds since 1970, 0 where nobody says; ``reason`` says in the list's own words what
    it is, ``reference`` where to read on.
    """

    kind: Kind
    value: str
    confidence: int
    tlp: Tlp
    since: int = 0
    expires: int = 0
    reason: str = ""
    reference: str = ""

    @property
    def key(self) -> bytes:
        """Return the bytes it is found by."""
        return self.kind.letter + self.value.encode()


@dataclass(frozen=True, slots=True)
class Head:
    """Describe the list an entry comes from; entries of an ``allow`` list beat all others.

    ``severity`` is empty where the confidence decides. ``version`` counts imports, ``at`` is when the last was.
    """

    id: str
    name: str
    source: str = ""
    severity: str = ""
    allow: bool = False
    version: int = 0
    at: str = ""


SURE: Final = 75
LIKELY: Final = 40
"""Confidence from which a hit is high, and medium. MISP and STIX both say little about what their numbers mean."""


def severity_of(head: Head, confidence: int) -> Severity:
    """Return how serious a hit is: as the list is set, else by confidence."""
    if head.severity:
        return Severity(head.severity)
    if confidence >= SURE:
        return Severity.HIGH
    return Severity.MEDIUM if confidence >= LIKELY else Severity.LOW
