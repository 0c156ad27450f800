"""Make small EVTX files for tests: records in binary XML without templates.

Layout after A. Schuster, "Introducing the Microsoft Vista event log file format" (2007) and the libevtx documentation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

CHUNK = 65_536
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def _filetime(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 10


def _hash(name: str) -> int:
    value = 0
    for character in name:
        value = (value * 65_599 + ord(character)) & 0xFFFFFFFF
    return value & 0xFFFF


class _Writer:
    """Write binary XML whose names stand inline, at offsets counted from the chunk."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.data = bytearray(b"\x0f\x01\x01\x00")

    def _name(self, name: str) -> None:
        """Write the offset of a name and, right after it, the name."""
        self.data += struct.pack("<I", self.start + len(self.data) + 4)
        self.data += struct.pack("<IHH", 0, _hash(name), len(name)) + name.encode("utf-16-le") + b"\0\0"

    def _text(self, text: str) -> None:
        self.data += struct.pack("<BBH", 5, 1, len(text)) + text.encode("utf-16-le")

    def element(
        self, name: str, text: str = "", attributes: Mapping[str, str] | None = None, inner: object = None
    ) -> None:
        """Write one element with attributes and either text or inner elements (a callable)."""
        # Outside templates there is no dependency id after the token.
        self.data += b"\x41" if attributes else b"\x01"
        size_at = len(self.data)
        self.data += b"\0\0\0\0"
        self._name(name)
        if attributes:
            self._attributes(attributes)
        if text or callable(inner):
            self.data += b"\x02"
            if text:
                self._text(text)
            if callable(inner):
                inner()
            self.data += b"\x04"
        else:
            self.data += b"\x03"
        struct.pack_into("<I", self.data, size_at, len(self.data) - size_at - 4)

    def _attributes(self, attributes: Mapping[str, str]) -> None:
        size_at = len(self.data)
        self.data += b"\0\0\0\0"
        for number, (name, text) in enumerate(attributes.items(), start=1):
            self.data += b"\x06" if number == len(attributes) else b"\x46"
            self._name(name)
            self._text(text)
        struct.pack_into("<I", self.data, size_at, len(self.data) - size_at - 4)


def _body(start: int, number: int, instant: datetime, event: Mapping[str, str]) -> bytes:
    writer = _Writer(start)
    channel, code = event["Channel"], event["EventID"]

    def system() -> None:
        writer.element("Provider", attributes={"Name": event.get("Provider", "Test")})
        writer.element("EventID", code)
        if "Keywords" in event:
            writer.element("Keywords", event["Keywords"])
        writer.element("TimeCreated", attributes={"SystemTime": instant.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")})
        writer.element("EventRecordID", str(number))
        writer.element("Channel", channel)
        writer.element("Computer", event.get("Computer", "pc-1"))

    def data() -> None:
        for name, text in event.items():
            if name not in ("Channel", "EventID", "Provider", "Computer", "Keywords"):
                writer.element("Data", text, {"Name": name})

    def inside() -> None:
        writer.element("System", inner=system)
        writer.element("EventData", inner=data)

    writer.element("Event", inner=inside)
    return bytes(writer.data) + b"\0"


def make_evtx(chunks: Sequence[Sequence[Mapping[str, str]]], instant: datetime) -> bytes:
    """Return an EVTX file; events are a second apart and numbered through."""
    number, parts = 1, []
    for events in chunks:
        records = bytearray()
        first = number
        for event in events:
            offset = 512 + len(records)
            body = _body(offset + 24, number, instant, event)
            size = 24 + len(body) + 4
            records += (
                struct.pack("<4sIQQ", b"**\0\0", size, number, _filetime(instant))
                + body
                + struct.pack("<I", size)
            )
            instant += timedelta(seconds=1)
            number += 1
        parts.append(_chunk(bytes(records), first, number - 1))
    head = struct.pack(
        "<8sQQQIHHHH", b"ElfFile\0", 0, len(parts) - 1, number, 128, 1, 3, 4096, len(parts)
    ).ljust(120, b"\0")
    head += struct.pack("<II", 0, zlib.crc32(head))
    return head.ljust(4096, b"\0") + b"".join(parts)


def _chunk(records: bytes, first: int, last: int) -> bytes:
    free = 512 + len(records)
    head = struct.pack("<8sQQQQIII", b"ElfChnk\0", first, last, first, last, 128, free - 1, free)
    head += struct.pack("<I", zlib.crc32(records))
    head = head.ljust(120, b"\0")
    tables = bytes(384)
    head += struct.pack("<II", 0, zlib.crc32(head[:120] + tables))
    return (head + tables + records).ljust(CHUNK, b"\0")
