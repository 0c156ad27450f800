"""Decide how a file that was not followed yet is read, and from where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from collectors.base import HEAD_BYTES, Collector, ReadContext, Resume
from collectors.json_records import first_object, is_ndjson
from collectors.lines import utf16_codec
from collectors.live.files.content import Content, PartSource, make_window, text_size
from collectors.live.files.gathering import Gatherer
from collectors.live.files.lines import LARGEST_WINDOW, USUAL_WINDOW, LineReader
from collectors.live.files.marks import (
    LINES,
    TAIL_BYTES,
    WHOLE,
    WINDOWS,
    Mark,
    fingerprint,
)
from collectors.live.files.whole import WholeReader
from collectors.live.files.windows import WindowsReader
from collectors.registry import collector, recognise, resumes

_EVTX: Final = "evtx"
_BINARY_BYTES: Final = 64


class Reader(Protocol):
    """Read one content step by step; what it knows is its mark."""

    mark: Mark

    @property
    def held_since(self) -> float | None:
        """Return since when something read waits for more, ``None`` when nothing does."""
        ...

    @property
    def waits(self) -> bool:
        """Tell whether the reader wants to be asked although the file does not change."""
        ...

    def step(
        self, content: Content, path: str, gatherer: Gatherer, now: float, *, final: bool = False
    ) -> bool:
        """Read a part and gather what it gives; return whether there is more to read at once."""
        ...

    def rest(self) -> None:
        """Let go of memory that can be had again."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Say how a file is read: which sort, by which collector."""

    kind: str
    collector: Collector


def can_begin(head: bytes, *, complete: bool) -> bool:
    """Tell whether enough of a file is there to recognise it: a whole line, or something that is no text."""
    if not head:
        return False
    return complete or b"\n" in head or len(head) >= HEAD_BYTES or b"\0" in head[:_BINARY_BYTES]


def choose(path: str, head: bytes, modified: float, wanted: str, *, packed: bool) -> Choice:
    """Return how a file is read. Raises ``InputError`` when no collector knows it, or none is called ``wanted``."""
    source = PartSource(path, head, b"", Resume(), modified)
    found = collector(wanted) if wanted else recognise(source)
    if found.name == _EVTX and not packed:
        return Choice(WINDOWS, found)
    loose = first_object(source.head) is not None and not is_ndjson(source.head)
    return Choice(LINES if resumes(found) and not loose else WHOLE, found)


def make_reader(mark: Mark, settle: float) -> LineReader | WholeReader | WindowsReader:
    """Return the reader that goes on from a mark. Raises ``InputError`` when its collector is gone."""
    if mark.kind == WHOLE:
        return WholeReader(mark, settle)
    if mark.kind == WINDOWS:
        return WindowsReader(mark, collector(mark.collector), settle)
    return LineReader(mark, collector(mark.collector))


def known_content(content: Content, known: Iterable[Mark]) -> Mark | None:
    """Return the mark of the content that a file holds, the one read farthest; ``None`` if it is none of ``known``.

    ``known`` begin like the file. A renamed, copied, packed or restored file is told by the bytes before the mark, too.
    """
    for mark in sorted(known, key=lambda mark: -mark.raw):
        if mark.raw and holds(content, mark):
            return mark
    return None


def holds(content: Content, mark: Mark) -> bool:
    """Tell whether what stands before the mark is what was read there."""
    back = min(TAIL_BYTES, mark.raw)
    return not back or fingerprint(content.at(mark.raw - back, back)) == mark.tail


def mark_end(content: Content, head: bytes, mark: Mark, found: Collector, context: ReadContext) -> Mark:
    """Return the mark behind the last complete line of a file that is not to be read from its start.

    The first part is read nevertheless, for the record that names the source and for column names; line numbers count
    from where reading starts.
    """
    plain = content.at(0, USUAL_WINDOW)
    window = make_window(plain, head, mark, USUAL_WINDOW)
    data = window.data[: window.data.rfind(b"\n") + 1]
    for batch in found.read(PartSource(mark.path, head, data, Resume(more=True), 0.0), context):
        if batch.reached is not None:
            mark = replace(mark, first=batch.reached.first, headers=tuple(batch.reached.headers.values()))
    raw = _last_line_end(content, utf16_codec(head))
    back = min(raw, TAIL_BYTES)
    codec = utf16_codec(head)
    position = raw if codec is None else text_size(content, codec, raw)
    mark = replace(mark, raw=raw, position=position, tail=fingerprint(content.at(raw - back, back)))
    return mark.with_head(head[:raw])


def _last_line_end(content: Content, codec: str | None) -> int:
    """Return the offset behind the last line end; where the last bytes hold none, that of the end."""
    size = content.status().st_size
    size -= size % 2 if codec is not None else 0
    start = max(0, size - LARGEST_WINDOW)
    data = content.at(start, size - start)
    line_end = "\n".encode(codec or "ascii")
    place = data.rfind(line_end)
    while codec is not None and place >= 0 and (start + place) % 2:
        place = data.rfind(line_end, 0, place)
    return start + place + len(line_end) if place >= 0 else size if start else 0
