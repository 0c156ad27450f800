"""Copy a bundled capture or log with all its times moved by whole days.

Whole days keep the time of day, and with it the place of every record inside the detectors' epoch-aligned windows: the
demo finds the same on every day at every hour. The copy is an ordinary file that any collector reads, so ids, cut
sessions and the text of records all agree with it.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from collectors.opening import open_source
from soc_core.clock import LOCAL_ZONE
from soc_core.errors import InputError

MAX_BYTES: Final = 1 << 30
_PIECE: Final = 1 << 20
_DAY_SECONDS: Final = 86_400
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def copy_moved(source: Path, target: Path, days: int, end: datetime) -> None:
    """Write a copy of ``source``, unpacked, with every time ``days`` later; whole or not at all.

    ``end`` is the last instant of the original (aware UTC): it dates records without a year (RFC 3164), and moved by
    ``days`` it becomes the copy's age, against which collectors guess such years. Raises ``InputError`` when the file
    can't be read or has a form whose times can't be moved.
    """
    data = moved(_all_bytes(source), days, year=end.astimezone(LOCAL_ZONE).year, name=str(source))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(data)
    stamp = (end + timedelta(days=days)).timestamp()
    os.utime(partial, (stamp, stamp))
    partial.replace(target)


def moved(data: bytes, days: int, *, year: int, name: str = "") -> bytes:
    """Return the bytes of a capture or text log with every time ``days`` later, as ``copy_moved`` does."""
    if data[:4] in _PCAP_ORDERS:
        return _move_pcap(data, days, name)
    if data[:4] == _SECTION:
        return _move_pcapng(data, days, name)
    if data[:8] == b"ElfFile\0":
        return _move_evtx(data, days)
    if b"\0" in data[:4_096]:
        raise InputError("times inside this binary file can't be moved", where=name)
    return _move_text(data, days, year)


def _all_bytes(path: Path) -> bytes:
    parts: list[bytes] = []
    size = 0
    with open_source(str(path)) as source:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > MAX_BYTES:
                raise InputError(f"larger than {MAX_BYTES >> 20} MB", where=str(path))
            parts.append(piece)
    return b"".join(parts)


_PCAP_ORDERS: Final = {
    bytes.fromhex("a1b2c3d4"): ">",
    bytes.fromhex("d4c3b2a1"): "<",
    bytes.fromhex("a1b23c4d"): ">",
    bytes.fromhex("4d3cb2a1"): "<",
}


def _move_pcap(data: bytes, days: int, name: str) -> bytes:
    """Move a classic capture (draft-ietf-opsawg-pcap): 16-byte record headers that begin with the seconds.

    A record that is cut off at the end is moved like the others.
    """
    head = struct.Struct(f"{_PCAP_ORDERS[data[:4]]}IIII")
    number = struct.Struct(f"{_PCAP_ORDERS[data[:4]]}I")
    result, position = bytearray(data), 24
    while position + head.size <= len(data):
        seconds, _, kept, _ = head.unpack_from(data, position)
        later = seconds + days * _DAY_SECONDS
        if not 0 <= later < 1 << 32:
            raise InputError("the time leaves what a pcap file can hold", where=name)
        number.pack_into(result, position, later)
        position += head.size + kept
    return bytes(result)


_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE: Final = 1
_WITH_TIME: Final = {2: "H", 5: "I", 6: "I"}
"""Packet, interface statistics and enhanced packet blocks: all begin with an interface, their time at offset 12."""


def _move_pcapng(data: bytes, days: int, name: str) -> bytes:
    """Move a pcapng capture (draft-ietf-opsawg-pcapng): packet and statistics blocks, any resolution and byte order."""
    result, position, order = bytearray(data), 0, "<"
    units: list[int] = []
    while position + 12 <= len(data):
        if data[position : position + 4] == _SECTION:
            order = "<" if data[position + 8 : position + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            units = []
        kind, length = struct.unpack_from(f"{order}II", data, position)
        if length < 12 or length % 4 or position + length > len(data):
            break
        if kind == _INTERFACE:
            units.append(_resolution(data[position + 16 : position + length - 4], order))
        elif kind in _WITH_TIME and length >= 24:
            (interface,) = struct.unpack_from(f"{order}{_WITH_TIME[kind]}", data, position + 8)
            if interface < len(units):
                high, low = struct.unpack_from(f"{order}II", data, position + 12)
                later = (high << 32 | low) + days * _DAY_SECONDS * units[interface]
                if not 0 <= later < 1 << 64:
                    raise InputError("the time leaves what a pcapng file can hold", where=name)
                struct.pack_into(f"{order}II", result, position + 12, later >> 32, later & 0xFFFFFFFF)
        position += length
    return bytes(result)


def _resolution(options: bytes, order: str) -> int:
    """Return units per second of an interface: option ``if_tsresol`` (9), microseconds without it."""
    position = 0
    while position + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, position)
        if code == 0:
            break
        if code == 9 and length == 1 and position + 4 < len(options):
            value = options[position + 4]
            return int(2 ** (value & 0x7F)) if value & 0x80 else int(10**value)
        position += 4 + (length + 3) // 4 * 4
    return 1_000_000


_CHUNK: Final = 65_536
_DAY_TICKS: Final = _DAY_SECONDS * 10_000_000
_WIDE_DATE: Final = re.compile(rb"(?:\d\0){4}-\0(?:\d\0){2}-\0(?:\d\0){2}(?=T\0)")


def _move_evtx(data: bytes, days: int) -> bytes:
    """Move a Windows event log: each record's own time, the same in its binary XML, ISO times in its texts.

    Layout and checksums after the libevtx documentation (Windows XML Event Log format).
    """
    result = bytearray(data)
    for chunk in range(4_096, len(data) - 511, _CHUNK):
        if data[chunk : chunk + 8] != b"ElfChnk\0":
            continue
        end = min(chunk + struct.unpack_from("<I", data, chunk + 48)[0], chunk + _CHUNK, len(data))
        position = chunk + 512
        while position + 28 <= end and data[position : position + 4] == b"**\0\0":
            size = int.from_bytes(data[position + 4 : position + 8], "little")
            if size < 28 or position + size > end:
                break
            result[position : position + size] = _move_evtx_record(data[position : position + size], days)
            position += size
        struct.pack_into("<I", result, chunk + 52, zlib.crc32(result[chunk + 512 : end]))
        tables = result[chunk : chunk + 120] + result[chunk + 128 : chunk + 512]
        struct.pack_into("<I", result, chunk + 124, zlib.crc32(tables))
    return bytes(result)


def _move_evtx_record(record: bytes, days: int) -> bytes:
    written = record[16:24]
    later = (int.from_bytes(written, "little") + days * _DAY_TICKS).to_bytes(8, "little")
    return _WIDE_DATE.sub(lambda match: _move_wide(match, days), record.replace(written, later))


def _move_wide(match: re.Match[bytes], days: int) -> bytes:
    try:
        day = date.fromisoformat(match.group().decode("utf-16-le"))
    except ValueError:
        return match.group()
    return (day + timedelta(days=days)).isoformat().encode("utf-16-le")


_FORMS: Final = (
    # ISO 8601 and RFC 3339
    re.compile(rb"(?<!\d)(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?=[T ]\d\d:\d\d:\d\d)"),
    # access logs of web servers
    re.compile(rb"(?<![\w/])(?P<day>\d\d)/(?P<name>[A-Z][a-z]{2})/(?P<year>\d{4})(?=:\d\d:\d\d:\d\d)"),
    # RFC 3164, at the beginning of a line
    re.compile(
        rb"^(?P<head>(?:<\d{1,3}>)?)(?P<name>[A-Z][a-z]{2}) (?P<day>[ \d]\d)(?= \d\d:\d\d:\d\d )",
        re.MULTILINE,
    ),
    # seconds since 1970 as Zeek writes them: first column, or "ts" in JSON
    re.compile(rb'(?P<head>^|"ts": ?)(?P<epoch>\d{10})(?=\.\d{1,6}[\t,}])', re.MULTILINE),
)


def _move_text(data: bytes, days: int, year: int) -> bytes:
    """Move a text log: only dates change, and no line changes its length."""
    for form in _FORMS:
        data = form.sub(lambda match: _move_date(match, days, year), data)
    return data


def _move_date(match: re.Match[bytes], days: int, year: int) -> bytes:
    parts = {name: value.decode() for name, value in match.groupdict().items() if value is not None}
    head = parts.get("head", "")
    if "epoch" in parts:
        return f"{head}{int(parts['epoch']) + days * _DAY_SECONDS}".encode()
    name = parts.get("name", "")
    try:
        month = _MONTHS.index(name) + 1 if name else int(parts["month"])
        later = date(int(parts.get("year", year)), month, int(parts["day"])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return match.group()  # looks like a date but is none: left as it is
    if not name:
        return later.isoformat().encode()
    if "year" in parts:
        return f"{later.day:02d}/{_MONTHS[later.month - 1]}/{later.year}".encode()
    padded = f"{later.day:02d}" if parts["day"].startswith("0") else f"{later.day:2d}"
    return f"{head}{_MONTHS[later.month - 1]} {padded}".encode()
