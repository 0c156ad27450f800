"""Read JSON objects from a source in any of the shapes exports have, with offsets and bounded memory.

Objects a line (NDJSON), one array of objects, or objects one after another over several lines. The shape is decided
once from the head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import orjson

from collectors.base import MAX_RECORD_BYTES, ByteSource
from collectors.lines import decode_text, read_lines, text_head, text_reader

JsonTree: TypeAlias = dict[str, object]
_CHUNK: Final = 1 << 17
_SEPARATORS: Final = b" \t\r\n,[]\x00\xef\xbb\xbf\x1e"
_SEPARATORS_RUN: Final = re.compile(r"[ \t\r\n,\[\]\x00\xef\xbb\xbf\x1e]*")
_NEXT_OBJECT: Final = re.compile(r"\n[ \t,\[]*\{")
_SCANNER: Final = json.JSONDecoder(strict=False)


class JsonObject(NamedTuple):
    """Hold one object with its bytes, offset and line; ``fault`` says why it can't be used (``tree`` is then empty)."""

    tree: JsonTree
    raw: bytes
    position: int
    line: int
    fault: str = ""


def load_object(raw: bytes) -> JsonTree:
    """Return the object in ``raw``. Raises ``ValueError`` when it is no JSON object.

    Text in GB18030 and escapes of lone surrogates, which strict parsers refuse, are read.
    """
    try:
        tree = orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        tree = _load_odd(raw, fault)
    if not isinstance(tree, dict):
        raise ValueError("not a JSON object")
    return tree


def _load_odd(raw: bytes, fault: orjson.JSONDecodeError) -> object:
    """Return what a lenient reading gives for records that are not UTF-8 or hold lone surrogates."""
    if raw.isascii() and b"\\u" not in raw:
        raise ValueError(f"broken JSON: {fault}") from fault
    try:
        return _SCANNER.decode(decode_text(raw))
    except (ValueError, RecursionError):
        raise ValueError(f"broken JSON: {fault}") from fault


@lru_cache(maxsize=4)
def first_object(head: bytes) -> JsonTree | None:
    """Return the first JSON object in the first bytes of a source, ``None`` if there is none (in full)."""
    text = text_head(head).lstrip(_SEPARATORS)
    if not text.startswith(b"{"):
        return None
    try:
        return load_object(text.split(b"\n", 1)[0].strip())
    except ValueError:
        pass
    try:
        _, end = _SCANNER.raw_decode(text.decode("latin-1"))
        return load_object(text[:end])
    except (ValueError, RecursionError):
        return None


def is_ndjson(head: bytes) -> bool:
    """Tell whether the first line that is not empty is one whole object or can't be anything else."""
    text = text_head(head).lstrip(b" \t\r\n\0")
    if not text.startswith(b"{"):
        return False
    line, end, _ = text.partition(b"\n")
    try:
        load_object(line.strip())
    except ValueError:
        # A broken first line still means lines when the second one starts an object.
        return bool(end) and text[len(line) + 1 :].startswith(b"{") and len(line) > 2
    return True


def read_json(source: ByteSource) -> Iterator[JsonObject]:
    """Yield the objects of ``source``; broken ones with their fault. Raises ``InputError`` as the source does."""
    if is_ndjson(source.head):
        yield from _read_ndjson(source)
    else:
        yield from _read_loose(source)


def _read_ndjson(source: ByteSource) -> Iterator[JsonObject]:
    for line in read_lines(source):
        if line.too_long:
            yield JsonObject({}, line.raw, line.position, line.number, "line is longer than 1 MiB")
            continue
        try:
            yield JsonObject(load_object(line.raw), line.raw, line.position, line.number)
        except ValueError as fault:
            yield JsonObject({}, line.raw, line.position, line.number, str(fault))


def _read_loose(source: ByteSource) -> Iterator[JsonObject]:
    """Yield objects that stand in an array or one after another."""
    window = _Window(source)
    while window.skip_separators():
        size = window.object_size()
        fault, tree = "", JsonTree()
        if size:
            raw = window.peek(size)
            try:
                tree = load_object(raw)
            except ValueError as error:
                fault = str(error)
        else:
            fault = "broken JSON" if window.ended else "object is longer than 1 MiB"
            size = window.broken_size()
            raw = window.peek(size)
        yield JsonObject(tree, raw, window.position, window.line, fault)
        window.advance(size)


class _Window:
    """Look at a bounded part of a source as Latin-1 text, whose indices are byte offsets."""

    def __init__(self, source: ByteSource) -> None:
        self._read = text_reader(source)
        self._text = ""
        self._start = 0
        resume = source.resume
        self.position, self.line = (resume.position, resume.line) if resume is not None else (0, 1)
        self.ended = False

    def _left(self) -> int:
        return len(self._text) - self._start

    def _fill(self) -> None:
        """Read on; doubling keeps the work linear when one object needs many reads."""
        chunk = self._read(max(_CHUNK, self._left()))
        self.ended = not chunk
        self._text = self._text[self._start :] + chunk.decode("latin-1")
        self._start = 0

    def skip_separators(self) -> bool:
        """Move to the next byte that is no separator; tell whether there is one."""
        while True:
            match = _SEPARATORS_RUN.match(self._text, self._start)
            self.advance(match.end() - self._start if match else 0)
            if self._left() or self.ended:
                return self._left() > 0
            self._fill()

    def object_size(self) -> int:
        """Return the length of the object that starts here, 0 if it is broken or too long."""
        while True:
            size = self._scan()
            if size or self.ended or self._left() > MAX_RECORD_BYTES:
                return size if size <= MAX_RECORD_BYTES else 0
            self._fill()

    def _scan(self) -> int:
        if not self._text.startswith("{", self._start):
            return 0
        try:
            _, end = _SCANNER.raw_decode(self._text, self._start)
        except (ValueError, RecursionError):
            return 0
        return end - self._start

    def peek(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        return self._text[self._start : self._start + size].encode("latin-1")

    def advance(self, size: int) -> None:
        """Move on by ``size`` bytes."""
        self.line += self._text.count("\n", self._start, self._start + size)
        self.position += size
        self._start += size

    def broken_size(self) -> int:
        """Return how many bytes to give up: up to the next line that opens an object, else all that is here."""
        match = _NEXT_OBJECT.search(self._text, self._start + 1)
        return (match.start() + 1 if match else len(self._text)) - self._start
