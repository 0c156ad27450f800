"""Give the leaves of all rules numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detectors.sigma.folding import Leaf, is_slow
from soc_core.query.needed import needed_texts
from soc_core.query.tree import Exists, Regex


@dataclass(frozen=True, slots=True)
class Needle:
    """Be a text without which a regular expression can't hold: what tables look for in its stead."""

    field: str
    text: str


class Numbers:
    """Hold the numbers of leaves.

    Slow leaves have none. What must hold for one stands for it in tables: one of its needles, else that its field is
    there.
    """

    def __init__(self, asked: Iterable[Iterable[Leaf]]) -> None:
        """Take the leaves of each rule. They must outlive the numbers: they are known again by identity."""
        self.by_field: dict[str, list[tuple[Leaf | Needle, int]]] = {}
        self._count = 0
        self._numbers: dict[Leaf | Needle, int] = {}
        self._by_id: dict[int, int] = {}  # hashing leaves again and again would cost more than all the rest
        self._stand_ins: dict[int, Sequence[tuple[Leaf | Needle, int]]] = {}
        known: dict[Leaf, Sequence[tuple[Leaf | Needle, int]]] = {}
        for leaf in (leaf for found in asked for leaf in found):
            if not is_slow(leaf):
                self._by_id[id(leaf)] = self._number(leaf)
                continue
            if leaf not in known:
                known[leaf] = [(part, self._number(part)) for part in _stand_ins(leaf)]
            self._stand_ins[id(leaf)] = known[leaf]

    def _number(self, leaf: Leaf | Needle) -> int:
        number = self._numbers.get(leaf)
        if number is None:
            number = self._numbers[leaf] = self._count
            self._count += 1
            self.by_field.setdefault(leaf.field, []).append((leaf, number))
        return number

    def of(self, leaf: Leaf) -> int | None:
        """Return the number of a leaf, ``None`` of a slow one."""
        return self._by_id.get(id(leaf))

    def stand_ins(self, leaf: Leaf) -> Sequence[tuple[Leaf | Needle, int]]:
        """Return what stands for a slow leaf, one of which must hold where it does; nothing where that isn't known."""
        return self._stand_ins.get(id(leaf), ())


def _stand_ins(leaf: Leaf) -> list[Leaf | Needle]:
    if not leaf.field:
        return []
    needed = needed_texts(leaf.pattern, leaf.flags) if isinstance(leaf, Regex) else None
    return [Needle(leaf.field, text) for text in sorted(needed)] if needed else [Exists(leaf.field)]
