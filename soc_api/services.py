"""Hold what the endpoints use. The composition root builds it; endpoints get it from the application's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request

from cases.alerts.card import RuleBook
from intake.rules.library import RuleLibrary
from soc_core.clock import Clock
from soc_core.config import Settings
from soc_core.keys.store import KeyStore
from soc_core.organisations.repository import TreeCache
from soc_core.state.database import Database
from soc_core.store.interface import EventReader, Scope


@dataclass(frozen=True, slots=True)
class CutPackets:
    """Hold cut packets: the pcap file's bytes, how many packets, and the protocol tree where tshark is there."""

    data: bytes
    packets: int
    tree: tuple[str, ...] = ()
    tree_missing: str = ""


class PacketCutter(Protocol):
    """Cut sessions out of imported captures."""

    def cut(self, scope: Scope, evidence: Sequence[str]) -> CutPackets | None:
        """Return the packets of the sessions these events tell of, or ``None`` when no imported capture has them."""
        ...


@dataclass(frozen=True, slots=True)
class TourStep:
    """Hold one stop of a tour: what to look at in both languages, and the page it opens (a path of ours)."""

    text: Mapping[str, str]
    path: str


@dataclass(frozen=True, slots=True)
class Tour:
    """Hold the demo's tour for one account: shown behind its door on the start page."""

    user_name: str
    steps: Sequence[TourStep]


@dataclass(frozen=True, slots=True)
class Services:
    """Hold the opened parts of one installation."""

    database: Database
    reader: EventReader
    rules: RuleBook
    keys: KeyStore
    clock: Clock
    packets: PacketCutter
    settings: Settings = field(default_factory=Settings)
    demo: bool = False
    library: RuleLibrary | None = None
    tours: Sequence[Tour] = ()
    trees: TreeCache = field(default_factory=TreeCache)


def services_of(request: Request) -> Services:
    """Return the services of the application that serves ``request``."""
    services: Services = request.app.state.services
    return services


ServicesDependency = Annotated[Services, Depends(services_of)]
