"""Define what a scenario is: how its capture is built, and what is to be said about it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Protocol

from pcaps.wire.capture import Capture
from pcaps.wire.frames import Endpoint, mac, packed

MONDAY: Final = datetime(2026, 11, 15, 16, 0, tzinfo=UTC)
"""Midnight in China of Monday, 16 November 2026: day zero of all scenarios. The demo shifts it."""
CHINA: Final = timezone(timedelta(hours=8))
NOTHING_HIGH: Final[tuple[Mapping[str, str], ...]] = ({"min_severity": "high"},)


class Told(Protocol):
    """Have what a label says beside counts and times.

    ``addresses`` maps an address or name to Chinese and English words; ``must_find`` holds
    (kind, entity, least severity[, peer]).
    """

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        ...

    @property
    def zh(self) -> str:
        """Return its title in Chinese."""
        ...

    @property
    def en(self) -> str:
        """Return its title in English."""
        ...

    @property
    def addresses(self) -> Mapping[str, tuple[str, str]]:
        """Return who is who."""
        ...

    @property
    def must_find(self) -> tuple[tuple[str, ...], ...]:
        """Return what must be found."""
        ...

    @property
    def must_not(self) -> tuple[Mapping[str, str], ...]:
        """Return what must not be found."""
        ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """Describe one capture. ``hour`` is China's local time on the Monday at which it begins; see ``Told``."""

    name: str
    ending: str
    hour: float
    zh: str
    en: str
    build: Callable[[Capture], None]
    addresses: Mapping[str, tuple[str, str]]
    must_find: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[Mapping[str, str], ...] = NOTHING_HIGH

    @property
    def start(self) -> datetime:
        """Return the instant the scenario begins at."""
        return MONDAY + timedelta(hours=self.hour)

    @property
    def file(self) -> str:
        """Return the name of the capture."""
        return self.name + self.ending


@dataclass(frozen=True, slots=True)
class LogFile:
    """Hold one log: its name, its content and the number of log records in it."""

    name: str
    content: bytes
    records: int


@dataclass(frozen=True, slots=True)
class LogScenario:
    """Describe a folder of logs that cover ``hours`` from ``hour`` (China's time) on; see ``Told``."""

    name: str
    hour: float
    hours: float
    zh: str
    en: str
    build: Callable[[random.Random, datetime], list[LogFile]]
    addresses: Mapping[str, tuple[str, str]]
    must_find: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[Mapping[str, str], ...] = NOTHING_HIGH

    @property
    def start(self) -> datetime:
        """Return the instant the logs begin at."""
        return MONDAY + timedelta(hours=self.hour)


ROUTER_MAC: Final = mac("00:00:5e:00:01:01")
"""VRRP's virtual router (RFC 5798): the school's gateway, behind which everything outside stands."""


def inside(address: str, *, vendor: str = "02:ed:50", ttl: int = 64) -> Endpoint:
    """Return a device of the school; its locally administered MAC follows from its address."""
    tail = packed(address)[-3:]
    return Endpoint(address, mac(vendor) + tail, ttl)


def outside(address: str, ttl: int = 52) -> Endpoint:
    """Return a machine on the internet, seen behind the gateway."""
    return Endpoint(address, ROUTER_MAC, ttl)
