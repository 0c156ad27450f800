"""Find what must hold for a rule to be possible, so that most rules need not be judged for most events.

A *clause* is a set of leaves one of which must hold if the rule does. Of a rule's clauses the two that should hold
most seldom are watched. How seldom is guessed from the form of the leaves alone: long texts are rarer than short ones,
equality is rarer than inclusion, and being there at all is common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from detectors.sigma.folding import PIVOTS, Leaf
from detectors.sigma.numbering import Needle, Numbers
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
_COMMON: Final = re.compile(
    r"\\windows\\|system32|c:\\|\.exe|\.dll|powershell|cmd\.exe|svchost|program files|\\users\\|appdata|microsoft"
    r"|software|currentversion|http|explorer|rundll32|/|www"
)
"""Texts that stand in ordinary events of every installation."""
_SELDOM: Final = re.compile(r"[`^~{}|$]")
"""Letters that stand in few texts."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Hold leaves (numbers) one of which must hold, and the guessed share of events in which one does."""

    share: float
    leaves: frozenset[int]


def clauses_of(query: Query, numbers: Numbers) -> list[Clause]:
    """Return necessary clauses, the rarest first; none when the rule may hold whatever the leaves say."""
    match query:
        case And(children):
            found = [clause for child in children for clause in clauses_of(child, numbers)]
            return sorted(dict.fromkeys(found), key=lambda clause: clause.share)[:MAX_CLAUSES]
        case Or(children):
            return _any_of([clauses_of(child, numbers) for child in children])
        case Not() | Everything():
            return []
        case _:
            number = numbers.of(query)
            if number is not None:
                return [Clause(share_of(query), frozenset({number}))]
            instead = numbers.stand_ins(query)
            share = sum(share_of(leaf) for leaf, _ in instead)
            return [Clause(share, frozenset(number for _, number in instead))] if instead else []


def _any_of(parts: list[list[Clause]]) -> list[Clause]:
    """Return clauses of alternatives: one clause of each together."""
    if not parts or not all(parts):
        return []
    found: list[Clause] = []
    for rank in range(min(len(part) for part in parts)):
        chosen = [part[rank] for part in parts]
        leaves = frozenset[int]().union(*(clause.leaves for clause in chosen))
        found.append(Clause(sum(clause.share for clause in chosen), leaves))
    return sorted(found, key=lambda clause: clause.share)


def share_of(leaf: Leaf | Needle) -> float:
    """Guess in which share of events a leaf holds."""
    match leaf:
        case Exists():
            return 0.9
        case Range() | TimePart() | Cidr():
            return 0.3
        case Regex() | SameAs():
            return 0.2
        case OneOf():
            if leaf.field in PIVOTS:  # groups of events were told apart by them
                return 0.9
            return min(0.5, sum(0.05 if len(str(value)) < 4 else 0.01 for value in leaf.values))
        case Text():
            return _share_of_text(leaf.value.lower())
        case Needle():
            return _share_of_text(leaf.text)


def _share_of_text(text: str) -> float:
    guess = max(0.0005, 0.5 / 1.6 ** min(len(text), 32))
    if _SELDOM.search(text):
        return min(guess, 0.05)
    return max(guess, 0.05) if _COMMON.search(text) else guess
