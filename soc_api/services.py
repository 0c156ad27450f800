"""Hold what the endpoints use. The composition root builds it; endpoints get it from the application's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from cases.alerts.card import RuleBook
from soc_core.clock import Clock
from soc_core.keys.store import KeyStore
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
class Services:
    """Hold the opened parts of one installation."""

    database: Database
    reader: EventReader
    rules: RuleBook
    keys: KeyStore
    clock: Clock
    packets: PacketCutter
    demo: bool = False


def services_of(request: Request) -> Services:
    """Return the services of the application that serves ``request``."""
    services: Services = request.app.state.services
    return services


ServicesDependency = Annotated[Services, Depends(services_of)]
