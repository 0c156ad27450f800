"""Walk blocks of an AF_PACKET ring and write packets as a capture file has them: machine code by numba.

A block (TPACKET_V3) is a header, then packets each with a header of its own that says where the next one begins.
Layout: ``linux/if_packet.h`` (``tpacket_block_desc``, ``tpacket3_hdr``), Documentation/networking/packet_mmap.rst.
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_link import _njit, le16, le32
from collectors.packets.kernel_meter import _end_flow, _idle_limit, _is_closed
from collectors.packets.layout import *  # noqa: F403 - column names, many of them needed

BLOCK_PACKETS = 12
BLOCK_FIRST = 16
PACKET_NEXT = 0
PACKET_SECONDS = 4
PACKET_NANOSECONDS = 8
PACKET_CAPTURED = 12
PACKET_WIRE = 16
PACKET_STATUS = 20
PACKET_MAC = 24
PACKET_TCI = 32
PACKET_TPID = 36
VLAN_VALID = 1 << 4
TPID_VALID = 1 << 6


@_njit
def _put32(d, p, value):
    d[p] = value & 0xFF
    d[p + 1] = (value >> 8) & 0xFF
    d[p + 2] = (value >> 16) & 0xFF
    d[p + 3] = (value >> 24) & 0xFF


@_njit
def _restore_vlan(d, header, frame):
    """Put the tag back that the network card took out: into the room before the frame (PACKET_RESERVE)."""
    for j in range(12):
        d[frame - 4 + j] = d[frame + j]
    kind = 0x8100
    if le32(d, header + PACKET_STATUS) & TPID_VALID:
        kind = le16(d, header + PACKET_TPID)
    tag = le32(d, header + PACKET_TCI)
    d[frame + 8] = kind >> 8
    d[frame + 9] = kind & 0xFF
    d[frame + 10] = (tag >> 8) & 0xFF
    d[frame + 11] = tag & 0xFF


@_njit
def walk_block(d, block, size, w, index, room):
    """Index the packets of the block at ``block``, of ``size`` bytes; return rows written << 2 | why it stopped.

    ``WK_POSITION`` 0 begins a block; else it is where to go on, with ``WK_NEED`` packets left.
    """
    end = block + size
    if w[WK_POSITION] == 0:
        w[WK_NEED] = le32(d, block + BLOCK_PACKETS)
        w[WK_POSITION] = block + le32(d, block + BLOCK_FIRST)
    p = w[WK_POSITION]
    rows = np.int64(0)
    reason = WALK_END
    while w[WK_NEED] > 0:
        if rows >= room:
            reason = WALK_FULL
            break
        frame = p + le16(d, p + PACKET_MAC)
        captured = le32(d, p + PACKET_CAPTURED)
        wire = le32(d, p + PACKET_WIRE)
        if frame + captured > end:
            reason = WALK_DAMAGED
            break
        if le32(d, p + PACKET_STATUS) & VLAN_VALID and captured >= 14 and w[WK_LINK] == 1:
            _restore_vlan(d, p, frame)
            frame -= 4
            captured += 4
            wire += 4
        row = rows * INDEX_COLUMNS
        index[row + IX_OFFSET] = frame
        index[row + IX_CAPTURED] = captured
        index[row + IX_WIRE] = max(wire, captured)
        index[row + IX_TIME] = (
            le32(d, p + PACKET_SECONDS) * 1_000_000 + le32(d, p + PACKET_NANOSECONDS) // 1000
        )
        index[row + IX_LINK] = w[WK_LINK]
        rows += 1
        w[WK_NEED] -= 1
        following = le32(d, p + PACKET_NEXT)
        if following == 0:
            w[WK_NEED] = 0
            break
        p += following
    w[WK_POSITION] = p
    return (rows << 2) | reason


@_njit
def tick(now, t, buckets, c, out):
    """Move the packet clock to ``now`` and end what has been idle too long; return 1 when the output is full first."""
    if now > c[C_CLOCK]:
        c[C_CLOCK] = now
        c[C_CLOCK_DOUBT] = now
    for slot in range(c[C_HIGH]):
        if c[C_OUT] >= c[C_OUT_ROOM]:
            return 1
        row = slot * COLUMNS
        if t[row + F_LIVE]:
            idle = c[C_CLOCK] - t[row + F_LAST]
            if idle > c[C_IDLE_CLOSED] and idle > _idle_limit(row, t, c):
                _end_flow(slot, END_CLOSED if _is_closed(row, t) else END_IDLE, t, buckets, c, out)
    return 0


@_njit
def write_records(d, index, start, count, out, room, written):
    """Write packets ``start`` to ``count`` of the index as records of a pcap (microseconds, little-endian).

    Returns where it stopped because ``out`` is full; ``written`` takes how many bytes were written.
    """
    p = np.int64(0)
    for i in range(start, count):
        row = i * INDEX_COLUMNS
        captured = index[row + IX_CAPTURED]
        if p + 16 + captured > room:
            written[0] = p
            return i
        time = index[row + IX_TIME]
        _put32(out, p, time // 1_000_000)
        _put32(out, p + 4, time % 1_000_000)
        _put32(out, p + 8, captured)
        _put32(out, p + 12, index[row + IX_WIRE])
        offset = index[row + IX_OFFSET]
        for j in range(captured):
            out[p + 16 + j] = d[offset + j]
        p += 16 + captured
    written[0] = p
    return count
