"""Gather the lines of records that span several: statements with line breaks, blocks of settings.

Memory is bounded: a record holds at most ``MAX_RECORD_BYTES`` and ``MAX_RECORD_LINES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from collectors.base import MAX_RECORD_BYTES
from collectors.lines import Line, decode_text
from collectors.making import RecordError
from collectors.records import Group
from soc_core.model.event import Event

MAX_RECORD_LINES: Final = 10_000
TOO_LONG: Final = "record is longer than 1 MiB or 10,000 lines"


class Gatherer:
    """Put lines together: one that ``starts`` a record ends the one before (see ``collectors.records.GroupParser``).

    ``parse`` gives the events of a record, whose lines are joined by line feeds; it raises ``RecordError`` for what
    can't be read.
    """

    def __init__(
        self,
        parse: Callable[[bytes], Sequence[Event]],
        starts: Callable[[bytes, Sequence[bytes]], bool],
    ) -> None:
        """Take what reads a record, and what is asked with a line and those of the open record."""
        self._parse = parse
        self._starts = starts
        self._first: Line | None = None
        self._lines: list[bytes] = []
        self._size = 0

    def parse(self, line: Line) -> Iterable[Group]:
        """Return the record that ``line`` ends by starting another."""
        if self._first is None or self._starts(line.raw, self._lines):
            found = self.rest()
            self._first, self._lines, self._size = line, [line.raw], len(line.raw)
            return found
        self._size += len(line.raw) + 1
        if self._size <= MAX_RECORD_BYTES and len(self._lines) < MAX_RECORD_LINES:
            self._lines.append(line.raw)
        return ()

    def rest(self) -> Iterable[Group]:
        """Return the open record and forget it."""
        first, raw, size = self._first, b"\n".join(self._lines), self._size
        self._first, self._lines, self._size = None, [], 0
        if first is None:
            return ()
        if size != len(raw):
            return (Group(first, (), "", TOO_LONG),)
        try:
            return (Group(first, self._parse(raw), decode_text(raw)),)
        except RecordError as fault:
            return (Group(first, (), "", str(fault)),)

    def held(self) -> int | None:
        """Return where the open record begins."""
        return self._first.position if self._first is not None else None
