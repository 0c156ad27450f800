"""Find what must hold for a rule to be possible, so that most rules need not be judged for most events.

A *clause* is a set of leaves one of which must hold if the rule does. Of a rule's clauses the two that should hold
most seldom are watched. How seldom is guessed from the form of the leaves alone: long texts are rarer than short ones,
equality is rarer than inclusion, and being there at all is common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from detectors.sigma.folding import Leaf
from soc_core.query.tree import (
    And,
    Cidr,
    Everything,
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

MAX_CLAUSES: Final = 6
_COMMON: Final = (
    "\\windows\\", "system32", "c:\\", ".exe", ".dll", "powershell", "cmd.exe", "svchost", "program files", "\\users\\",
    "appdata", "microsoft", "software", "currentversion", "http", "explorer", "rundll32", "/", "www", "/bin/",
)  # fmt: skip
"""Texts that stand in ordinary events of every installation."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Hold leaf bits one of which must hold, and the guessed share of events in which one does."""

    share: float
    bits: int


def clauses_of(query: Query, bits: Mapping[Leaf, int]) -> list[Clause]:
    """Return necessary clauses, the rarest first; none when the rule may hold whatever the leaves say.

    ``bits`` holds the bit of each leaf that tables answer; for the others that of ``Exists`` of their field.
    """
    match query:
        case And(children):
            found = [clause for child in children for clause in clauses_of(child, bits)]
            return sorted(set(found), key=lambda clause: clause.share)[:MAX_CLAUSES]
        case Or(children):
            return _any_of([clauses_of(child, bits) for child in children])
        case Not() | Everything():
            return []
        case _:
            bit = bits.get(query)
            if bit is not None:
                return [Clause(share_of(query), bit)]
            present = bits.get(Exists(query.field))
            return [Clause(share_of(Exists(query.field)), present)] if present is not None else []


def _any_of(parts: list[list[Clause]]) -> list[Clause]:
    """Return clauses of alternatives: one clause of each together."""
    if not parts or not all(parts):
        return []
    found: list[Clause] = []
    for rank in range(min(len(part) for part in parts)):
        chosen = [part[rank] for part in parts]
        bits = 0
        for clause in chosen:
            bits |= clause.bits
        found.append(Clause(sum(clause.share for clause in chosen), bits))
    return sorted(found, key=lambda clause: clause.share)


def share_of(leaf: Leaf) -> float:
    """Guess in which share of events a leaf holds."""
    match leaf:
        case Exists():
            return 0.9
        case Range() | TimePart() | Cidr():
            return 0.3
        case Regex() | SameAs():
            return 0.2
        case OneOf():
            return min(0.5, sum(0.05 if len(str(value)) < 4 else 0.01 for value in leaf.values))
        case Text():
            text = leaf.value.lower()
            guess = max(0.0005, 0.5 / 1.6 ** min(len(text), 32))
            return max(guess, 0.05) if any(common in text for common in _COMMON) else guess
