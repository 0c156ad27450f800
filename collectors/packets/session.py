"""Cut one session's packets out of a capture, and show them as a protocol tree.

Cutting scans the capture twice with the collector's own kernel and holds one window at a time: first flows are metered
until the one with the Community ID is met, then its packets are copied. The tree comes from pyshark and tshark in a
process of their own (``deep_view``): they are large, and what crashes them must not take a server down.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from collectors.opening import open_source
from collectors.packets import layout
from collectors.packets.machine import (
    address_of,
    child_command,
    child_environment,
    load_kernel,
    make_memory,
)
from collectors.packets.meter import Limits, Meter, Row
from collectors.packets.reader import INDEX_ROOM, CaptureReader
from soc_core.clock import epoch_us

TREE_SECONDS: Final = 30
TREE_LINES: Final = 4_000
_PCAP_MAGIC: Final = 0xA1B2C3D4


@dataclass(frozen=True, slots=True)
class Cut:
    """Say how many packets were written, and whether there were more than asked for."""

    packets: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """Hold the protocol tree, or in ``missing`` why there is none, in one line."""

    lines: tuple[str, ...] = ()
    missing: str = ""


def cut_session(  # noqa: PLR0913 - the contract of edusoc/packets.py
    path: Path, community: str, start: datetime, end: datetime, target: Path, *, max_packets: int
) -> Cut:
    """Write the packets of one session between two instants to ``target``, a pcap of microseconds.

    Both directions and later fragments belong to it; tunnelled packets are written whole. The target is not made when
    there are none. Raises ``InputError`` when the capture can't be opened.
    """
    begin_us, end_us = epoch_us(start), epoch_us(end)
    flow = _find_flow(path, community, begin_us, end_us)
    if flow is None:
        return Cut(0)
    with target.open("wb") as output:
        return _copy(path, _wanted(flow, begin_us, end_us), output, max_packets)


def _find_flow(path: Path, community: str, begin: int, end: int) -> Row | None:
    """Return the row of the first flow of this Community ID that was alive between the instants."""
    kernel = load_kernel()
    with open_source(str(path)) as source:
        reader = CaptureReader(source, kernel)
        meter = Meter(kernel, Limits(), select=False)
        for count in reader.chunks():
            for _ in meter.feed(reader, count):
                if (row := _named(meter, community, begin, end)) is not None:
                    return row
        for _ in meter.flush():
            if (row := _named(meter, community, begin, end)) is not None:
                return row
    return None


def _named(meter: Meter, community: str, begin: int, end: int) -> Row | None:
    for row, (_, name) in zip(meter.ended(), meter.names(), strict=True):
        if name == community and row[layout.F_FIRST] <= end and row[layout.F_LAST] >= begin:
            return row
    return None


def _wanted(row: Row, begin: int, end: int) -> list[int]:
    """Return what ``kernel_meter.match`` looks for."""
    key = row[layout.F_KEY]
    ends = [row[layout.F_A_HI], row[layout.F_A_LO], row[layout.F_B_HI], row[layout.F_B_LO]]
    return [key >> 8 & 0xFF, *ends, key >> 40 & 0xFFFF, key >> 24 & 0xFFFF, begin, end, row[layout.F_SPACE]]


def _copy(path: Path, wanted: list[int], output: BinaryIO, most: int) -> Cut:
    kernel = load_kernel()
    asked, found = make_memory(len(wanted) * 8), make_memory(INDEX_ROOM * 8)
    work = make_memory(2 * layout.SCRATCH * 8 + 64)
    memoryview(asked).cast("q")[:] = memoryview(struct.pack(f"={len(wanted)}q", *wanted)).cast("q")
    written, link = 0, -1
    with open_source(str(path)) as source:
        reader = CaptureReader(source, kernel)
        index = memoryview(reader.index).cast("q")
        at = address_of(work)
        for count in reader.chunks():
            matched = kernel.call(
                "match", reader.address, reader.index_address, count, address_of(asked), address_of(found),
                at, at + layout.SCRATCH * 8, at + 2 * layout.SCRATCH * 8,
            )  # fmt: skip
            for number in memoryview(found).cast("q")[:matched].tolist():
                row = tuple(index[number * layout.INDEX_COLUMNS : (number + 1) * layout.INDEX_COLUMNS])
                if link < 0:
                    link = row[layout.IX_LINK]
                    output.write(struct.pack("<IHHIIII", _PCAP_MAGIC, 2, 4, 0, 0, layout.MAX_RECORD, link))
                if row[layout.IX_LINK] != link:  # one pcap has one link type
                    continue
                if written == most:
                    return Cut(written, more=True)
                _write_packet(output, row, reader)
                written += 1
    return Cut(written)


def _write_packet(output: BinaryIO, row: Row, reader: CaptureReader) -> None:
    seconds, fraction = divmod(row[layout.IX_TIME], 1_000_000)
    start, captured = row[layout.IX_OFFSET], row[layout.IX_CAPTURED]
    header = struct.pack("<IIII", seconds & 0xFFFFFFFF, fraction, captured, row[layout.IX_WIRE] & 0xFFFFFFFF)
    output.write(header + reader.buffer[start : start + captured])


def tree(capture: Path) -> Tree:
    """Return the protocol tree of a small capture; never raises for what tshark does or lacks."""
    if shutil.which("tshark") is None:
        return Tree(missing="tshark is not installed: no protocol tree (apt-get install tshark)")
    process = subprocess.Popen(
        child_command("collectors.packets.deep_view", str(capture)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
    )
    try:
        output, faults = process.communicate(timeout=TREE_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Tree(missing=f"tshark took longer than {TREE_SECONDS} s: no protocol tree")
    lines = tuple(output.decode("utf-8", "replace").splitlines()[:TREE_LINES])
    if process.returncode or not lines:
        detail = faults.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        return Tree(missing=f"tshark made no protocol tree: {detail or 'no output'}")
    return Tree(lines)
