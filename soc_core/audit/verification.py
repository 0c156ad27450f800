"""Judge a chain: by itself it can only be *consistent*; what is known of it from outside *anchors* it.

Whoever may write all files can also write a whole new chain that is consistent. Only a head that was kept elsewhere
(printed, mailed, held by the parent unit) shows that, so without one nothing is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from soc_core.audit.chain import Head, Link, beginning, hash_of
from soc_core.errors import UsageError

MOST_FAULTS: Final = 20
"""Faults named; more are not worth reading."""

Judgement = Literal["broken", "differs", "unanchored", "anchored"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Say what is wrong with the link of a number."""

    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what was found of one stream.

    ``agreed`` is the latest anchor the chain agrees with: everything up to it is as it was then. ``differs`` is the
    first anchor it does not agree with: something between the two was changed.
    """

    head: Head
    faults: tuple[Fault, ...] = ()
    agreed: Head | None = None
    differs: Head | None = None

    @property
    def judgement(self) -> Judgement:
        """Return the verdict in one word; only ``anchored`` proves anything."""
        if self.faults:
            return "broken"
        if self.differs is not None:
            return "differs"
        return "unanchored" if self.agreed is None else "anchored"


def verify_links(stream: str, links: Iterable[Link], anchors: Sequence[Head] = ()) -> Verdict:
    """Check the links of a stream, first to last, against themselves and against heads known from outside.

    An anchor with number 0 names a hash only, which any link may have.
    """
    concerning = [anchor for anchor in anchors if anchor.stream in {"", stream}]
    wanted = {anchor.hash for anchor in concerning}
    faults: list[Fault] = []
    before = beginning(stream)
    seen: dict[str, Head] = {}
    for item in links:
        faults.extend(_faults(before, item) if len(faults) < MOST_FAULTS else ())
        before = item.head
        if before.hash in wanted:
            seen[before.hash] = before
    return _compared(Verdict(before, tuple(faults)), concerning, seen)


def _faults(before: Head, item: Link) -> list[Fault]:
    found = []
    if item.number != before.number + 1 or item.stream != before.stream:
        found.append(Fault(item.number, f"record {before.number + 1} is missing"))
    elif item.previous != before.hash:
        found.append(Fault(item.number, "the record does not follow the one before it"))
    try:
        sound = hash_of(item) == item.hash
    except UsageError as error:
        return [*found, Fault(item.number, error.what)]
    return found if sound else [*found, Fault(item.number, "the record was changed: its hash differs")]


def _compared(verdict: Verdict, anchors: Sequence[Head], seen: dict[str, Head]) -> Verdict:
    """Compare with the anchors, in the order of their numbers."""
    for anchor in sorted(anchors, key=lambda anchor: anchor.number):
        here = seen.get(anchor.hash)
        if here is None or anchor.number not in {0, here.number}:
            return replace(verdict, differs=anchor)
        if verdict.agreed is None or here.number > verdict.agreed.number:
            verdict = replace(verdict, agreed=here)
    return verdict
