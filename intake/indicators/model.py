"""Define a kept list, what an import is asked to do, what is allowed, and a search in history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from detectors.indicators.model import Head, Tlp

STREAM: Final = "indicators"
"""The stream of the journal that tells who changed what; its newest number says whether files have to be built anew."""


@dataclass(frozen=True, slots=True)
class KeptList:
    """Hold a list as the table has it; times are canonical text."""

    id: str
    name: str
    source: str
    format: str
    version: int
    sha256: str
    entries: int
    bad: int
    confidence: int
    tlp: Tlp
    severity: str
    valid_days: int
    subdomains: bool
    allow: bool
    enabled: bool
    columns: Mapping[str, str]
    actor: str
    reason: str
    created_at: str
    updated_at: str
    hits: int = 0
    last_hit_at: str = ""

    @property
    def head(self) -> Head:
        """Return what matching needs of it."""
        return Head(self.id, self.name, self.source, self.severity, self.allow, self.version, self.updated_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say how a list is to be imported; ``None`` leaves what it was before, or what is usual for a new one.

    ``format`` is empty to recognise it. ``valid_days`` of 0 means that entries don't expire by themselves.
    """

    name: str
    source: str
    actor: str
    reason: str
    format: str = ""
    confidence: int | None = None
    tlp: Tlp | None = None
    severity: str | None = None
    valid_days: int | None = None
    subdomains: bool | None = None
    allow: bool | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hold what a site allows, by whom, why and until when (empty: for good)."""

    kind: str
    value: str
    actor: str
    reason: str
    created_at: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class Hunt:
    """Hold how far the search for a list's new entries in history is.

    ``state`` is ``waiting``, ``running``, ``done`` or ``failed``.
    """

    list_id: str
    version: int
    state: str
    entries: int
    steps: int
    done: int
    until_at: str
    from_at: str
    events: int
    hits: int
    created_at: str
    started_at: str
    finished_at: str
    fault: str

    @property
    def key(self) -> str:
        """Return the key of its job."""
        return f"{self.list_id}@{self.version}"
