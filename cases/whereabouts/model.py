"""Define what is known about who had an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from soc_core.model.event import Scalar


class Certainty(StrEnum):
    """Say how far the answer reaches: to a device, to the exit of a school (behind address translation), nowhere."""

    DEVICE = "device"
    EXIT = "exit"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """Name the kinds of evidence."""

    LEASE = "lease"
    NEIGHBOUR = "neighbour"
    ACCOUNTING = "accounting"
    LOGIN = "login"
    NAME = "name"
    CARD = "card"
    ASSET = "asset"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold one piece: when it was said, until when it held (``None``: not said), and who it points to.

    ``event_id`` is empty for what the asset list says. ``weight`` is how much it says about the asked time, 0 to 1.
    ``ended`` marks a lease given back at ``until``.
    """

    kind: Kind
    at: datetime
    until: datetime | None = None
    mac: str = ""
    user: str = ""
    host: str = ""
    place: str = ""
    event_id: str = ""
    dataset: str = ""
    weight: float = 0.0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold one device that may have had the address; ``score`` is 0 to 1, its evidence stands strongest first."""

    mac: str
    hosts: tuple[str, ...]
    users: tuple[str, ...]
    places: tuple[str, ...]
    score: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """Hold one session that an address translation shows: who was inside, and which ports tell it apart."""

    inside: str
    port: int
    at: datetime
    event_id: str
    device: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Say what would tell more: a catalogue key of ``cases.whereabouts`` and its values."""

    key: str
    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold the answer about ``address`` at ``at``: candidates best first, sessions through translation, hints."""

    address: str
    at: datetime
    organization_id: str
    zone: str
    certainty: Certainty
    candidates: tuple[Candidate, ...] = ()
    translations: tuple[Translation, ...] = ()
    hints: tuple[Hint, ...] = ()
    partial: str = ""
