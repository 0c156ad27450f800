"""Read the lines of a file that grows, part by part, with the collector that reads such files whole.

Each part goes through ``Collector.read`` as a source that resumes, so events and ids are those of an import. What a
reader knows is its mark; everything else can be read again from the file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from collectors.base import MAX_RECORD_BYTES, Batch, Collector, Reached, Resume, Span
from collectors.live.files.content import (
    Content,
    PackedContent,
    PartSource,
    PlainContent,
    Window,
    head_of,
    make_window,
    slice_of,
)
from collectors.live.files.gathering import Gatherer
from collectors.live.files.marks import TAIL_BYTES, Mark, fingerprint
from collectors.making import fault_reason
from collectors.records import MOST_HEADERS, header_key
from soc_core.errors import InputError
from soc_core.model.event import EVENT_ID, BadRecord

USUAL_WINDOW: Final = 1 << 18
LARGEST_WINDOW: Final = 1 << 22
HELD_SECONDS: Final = 5.0
"""How long a group of lines may stay unfinished before it is taken as it is."""
_LAST_BYTES: Final = 4_096
_LOGGER: Final = logging.getLogger("edusoc.collectors.files")


class ReplacedError(Exception):
    """Say that a file does not hold any more what was read from it: it was truncated, rewritten or is another."""


@dataclass(slots=True)
class Part:
    """Hold one part of a file, the head of the file and the bytes before the part."""

    window: Window
    head: bytes
    before: bytes
    plain: bytes
    content: Content


class LineReader:
    """Read one content line by line."""

    def __init__(self, mark: Mark, collector: Collector) -> None:
        """Take the mark to go on from."""
        self.mark = mark
        self._collector = collector
        self._limit = USUAL_WINDOW
        self._held_at: tuple[int, float] | None = None
        self._delivered: frozenset[object] = frozenset()
        self._first_record: bytes | None = None
        self._headers: list[bytes] | None = None

    @property
    def held_since(self) -> float | None:
        """Return since when a group of lines waits to be finished, ``None`` when none does."""
        return None if self._held_at is None else self._held_at[1]

    @property
    def waits(self) -> bool:
        """Tell whether the reader wants to be asked although the file does not change."""
        return self._held_at is not None

    def rest(self) -> None:
        """Let go of memory that can be had again from the file."""
        self._first_record, self._headers = None, None
        self._limit = USUAL_WINDOW

    def step(
        self, content: Content, path: str, gatherer: Gatherer, now: float, *, final: bool = False
    ) -> bool:
        """Read one part; return whether there is more to read at once.

        ``final`` says that nothing will be added to the file: the last line counts without an end. Raises
        ``ReplacedError`` when the file no longer holds what was read.
        """
        part = self._part(content)
        damaged = isinstance(content, PackedContent) and content.fault is not None
        end = self._complete(part, final=final and not part.window.full and not damaged)
        if self.mark.skipping:
            return self._busy(part, at_once=self._skip(part))
        too_long = False
        if end <= 0:
            if self._skip_hole(part):
                return self._busy(part, at_once=True)
            if not part.window.data.strip(b"\0"):
                return False
            too_long = len(part.window.data) > MAX_RECORD_BYTES
            if not too_long:
                return self._enlarge(part)
            end = len(part.window.data)
        flush = final or too_long or self._waited(now)
        reached = self._read(part, end, path, gatherer, more=not flush)
        if reached.position == self.mark.position and part.window.full and not flush:
            if self._enlarge(part):
                return True
            reached = self._read(part, end, path, gatherer, more=False)
        self._advance(part, end, reached, now)
        if too_long:
            self.mark = replace(self.mark, skipping=True)
        return self._busy(part)

    def _part(self, content: Content) -> Part:
        """Read the head and the next bytes, and check that the file is what it was."""
        mark = self.mark
        head = head_of(content)
        back = min(TAIL_BYTES, mark.raw)
        plain = content.at(mark.raw - back, back + self._limit)
        before = plain[:back]
        if not mark.begins(head) or (back and fingerprint(before) != mark.tail):
            raise ReplacedError
        window = make_window(plain[back:], head, mark, self._limit)
        return Part(window, head, before, plain[back:], content)

    @staticmethod
    def _complete(part: Part, *, final: bool) -> int:
        """Return how many bytes of the window are complete lines."""
        return len(part.window.data) if final else part.window.data.rfind(b"\n") + 1

    def _waited(self, now: float) -> bool:
        """Tell whether a group that began at the mark has waited long enough."""
        held = self._held_at
        return held is not None and held[0] == self.mark.position and now - held[1] >= HELD_SECONDS

    def _enlarge(self, part: Part) -> bool:
        """Take more at once next time, where there is more and it is allowed; return whether to read again."""
        if not part.window.full or self._limit >= LARGEST_WINDOW:
            return False
        self._limit *= 4
        return True

    def _busy(self, part: Part, *, at_once: bool = False) -> bool:
        self.mark = self.mark.with_head(part.head[: self.mark.raw])
        if part.window.full:
            return True
        self._limit = USUAL_WINDOW
        return at_once

    def _skip(self, part: Part) -> bool:
        """Pass over the rest of a line that is too long; return whether more follows it."""
        data = part.window.data
        end = data.find(b"\n") + 1
        raw, position, tail = self._moved(part, end or len(data))
        line = self.mark.line + bool(end)
        self.mark = replace(self.mark, raw=raw, position=position, tail=tail, skipping=not end, line=line)
        return 0 < end < len(data)

    def _skip_hole(self, part: Part) -> bool:
        """Pass over NUL bytes that data follows (a log truncated under a program that writes on where it was).

        Room that a program took in advance, NUL bytes up to the end, is left for what will be written there.
        """
        data, content = part.window.data, part.content
        size = len(data) - len(data.lstrip(b"\0"))
        if not size or part.window.codec is not None:
            return False
        if size == len(data):
            if not part.window.full or not _ends_with_data(content):
                return False
            if isinstance(content, PlainContent):
                size = max(size, content.next_data(self.mark.raw) - self.mark.raw)
        raw = self.mark.raw + size
        back = min(raw, TAIL_BYTES)
        tail = fingerprint(content.at(raw - back, back))
        self.mark = replace(self.mark, raw=raw, position=self.mark.position + size, tail=tail)
        return True

    def _read(self, part: Part, end: int, path: str, gatherer: Gatherer, *, more: bool) -> Reached:
        """Give complete lines to the collector; return how far it came."""
        mark, content = self.mark, part.content
        resume = Resume(mark.position, mark.line, self._named_by(content, part.head),
                        tuple(self._header_lines(content, part.head)), more)  # fmt: skip
        modified = content.status().st_mtime
        source = PartSource(path, part.head, part.window.data[:end], resume, modified)
        reached = Reached(mark.position + end)
        known, batches = self._delivered, list[Batch]()
        try:
            for batch in self._collector.read(source, gatherer.context(modified)):
                if batch.reached is not None:
                    reached = batch.reached
                    continue
                batches.append(batch)
                events, bad = batch.events, batch.bad
                if known:
                    events = [event for event in events if event.get(EVENT_ID) not in known]
                    bad = [record for record in bad if record.position not in known]
                gatherer.add(events, bad, batch.counters, path)
        except InputError as fault:
            gatherer.add([], [BadRecord(path, mark.position, mark.line, fault_reason(fault, path))], {}, path)
        except Exception as fault:
            _LOGGER.debug("collector %s failed on %s", self._collector.name, path, exc_info=True)
            reason = f"collector {self._collector.name} failed: {fault!r}"
            gatherer.add([], [BadRecord(path, mark.position, mark.line, reason)], {}, path)
        # What stands behind the beginning of an unfinished group will be read, but not delivered, again.
        self._delivered = _names(batches) if reached.position < mark.position + end else frozenset()
        return reached

    def _advance(self, part: Part, end: int, reached: Reached, now: float) -> None:
        """Move the mark to where the collector came."""
        start = self.mark.position
        size = max(0, min(reached.position - start, end))
        if size < end:
            same = self._held_at is not None and self._held_at[0] == reached.position
            self._held_at = self._held_at if same else (reached.position, now)
        else:
            self._held_at = None
        raw, position, tail = self._moved(part, size)
        self.mark = replace(
            self.mark,
            raw=raw,
            position=position,
            tail=tail,
            line=self.mark.line + part.window.data.count(b"\n", 0, size),
            first=self.mark.first or reached.first,
            headers=self._later_headers(reached),
        )

    def _moved(self, part: Part, size: int) -> tuple[int, int, str]:
        """Return raw offset, position and the hash of what stands before, ``size`` bytes of text farther."""
        raw_size = part.window.raw_size(size) if size else 0
        before = (part.before + part.plain[max(0, raw_size - TAIL_BYTES) : raw_size])[-TAIL_BYTES:]
        return self.mark.raw + raw_size, self.mark.position + size, fingerprint(before)

    def _named_by(self, content: Content, head: bytes) -> bytes:
        """Return the record that names the source, empty while none is known."""
        if self._first_record is None and self.mark.first is not None:
            self._first_record = slice_of(content, head, *self.mark.first)
        return self._first_record or b""

    def _header_lines(self, content: Content, head: bytes) -> Iterable[bytes]:
        """Return the lines that later ones are read by."""
        if self._headers is None:
            self._headers = [slice_of(content, head, *span) for span in self.mark.headers]
        return [raw for raw in self._headers if raw.strip()]

    def _later_headers(self, reached: Reached) -> tuple[Span, ...]:
        """Return where header lines lie now: each kind keeps its place in the order, the last one of it counts."""
        if not reached.headers:
            return self.mark.headers
        lines = self._headers or []
        known = {
            header_key(raw): span for raw, span in zip(lines, self.mark.headers, strict=False) if raw.strip()
        }
        self._headers = None
        return tuple({**known, **reached.headers}.values())[:MOST_HEADERS]


def _names(batches: Iterable[Batch]) -> frozenset[object]:
    """Return the ids of events and the places of bad records."""
    found: set[object] = set()
    for batch in batches:
        found.update(event.get(EVENT_ID) for event in batch.events)
        found.update(record.position for record in batch.bad)
    return frozenset(found)


def _ends_with_data(content: Content) -> bool:
    """Tell whether the last bytes of a file are not all NUL."""
    size = content.status().st_size
    return content.packed or bool(content.at(max(0, size - _LAST_BYTES), _LAST_BYTES).strip(b"\0"))
