"""Walk the records of capture files and write down where each packet lies: machine code by numba.

``d`` is the window, ``n`` how many bytes of it are filled, ``w`` the walker's state (``WK_*``), ``index`` takes one row
a packet. A walk stops at the end of the window, at a full index or at nonsense; ``resync_*`` then looks for the next
place where records make sense. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; the modified format (24-byte
record headers) as libpcap reads it.
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_link import _njit, be16, be32, le16, le32
from collectors.packets.layout import *  # noqa: F403 - column names, most of them needed

DAY_US = 86_400_000_000
CHAIN = 3


@_njit
def _word(d, p, swapped):
    if swapped:
        return be32(d, p)
    return le32(d, p)


@_njit
def _half(d, p, swapped):
    if swapped:
        return be16(d, p)
    return le16(d, p)


@_njit
def _record_makes_sense(d, p, w):
    """Tell whether a record header at ``p`` looks like one, strictly; its 16 bytes are in the window."""
    swapped = w[WK_SWAPPED]
    captured = _word(d, p + 8, swapped)
    wire = _word(d, p + 12, swapped)
    if captured > MAX_RECORD or wire > 16 * MAX_RECORD or _word(d, p + 4, swapped) >= w[WK_UNITS]:
        return False
    if w[WK_OLD] == 0 and captured > wire:
        return False
    if w[WK_SNAP] > 0 and captured > max(w[WK_SNAP], 65536):
        return False
    return True


@_njit
def _near(d, p, time, w):
    """Tell whether the record at ``p`` is within a day of ``time``."""
    return abs(_word(d, p, w[WK_SWAPPED]) * 1_000_000 - time) < DAY_US


@_njit
def walk_pcap(d, n, w, index, room):
    """Index the records of a pcap from ``WK_POSITION``; return rows written << 2 | why it stopped."""
    p = w[WK_POSITION]
    swapped = w[WK_SWAPPED]
    header = w[WK_HEADER]
    units = w[WK_UNITS]
    rows = np.int64(0)
    reason = WALK_END
    w[WK_NEED] = header
    while p + header <= n:
        if rows >= room:
            reason = WALK_FULL
            break
        seconds = _word(d, p, swapped)
        fraction = _word(d, p + 4, swapped)
        captured = _word(d, p + 8, swapped)
        wire = _word(d, p + 12, swapped)
        if (
            seconds == w[WK_MAGIC] and fraction == 0x00040002 and p + 24 <= n
        ):  # captures put together with cat
            w[WK_LINK] = _word(d, p + 20, swapped) & 0xFFFF
            p += 24
            continue
        if w[WK_OLD] and captured > wire:
            captured, wire = wire, captured
        after = p + header + captured
        if captured > MAX_RECORD:
            reason = WALK_DAMAGED
            break
        if fraction >= units:
            # A strange time alone costs no packet: the next header decides.
            if after + 16 <= n:
                if not _record_makes_sense(d, after, w):
                    reason = WALK_DAMAGED
                    break
            elif w[WK_LAST] and after != n:
                reason = WALK_DAMAGED
                break
            fraction = 0
        if after > n:
            w[WK_NEED] = header + captured
            break
        time = seconds * 1_000_000 + (fraction if units == 1_000_000 else fraction // 1000)
        row = rows * INDEX_COLUMNS
        index[row + IX_OFFSET] = p + header
        index[row + IX_CAPTURED] = captured
        index[row + IX_WIRE] = max(wire, captured)
        index[row + IX_TIME] = time
        index[row + IX_LINK] = w[WK_LINK]
        w[WK_LAST_TIME] = time
        rows += 1
        p = after
        w[WK_NEED] = header
    w[WK_POSITION] = p
    return (rows << 2) | reason


@_njit
def resync_pcap(d, n, w):
    """Find after ``WK_POSITION`` the next place where three records in a row make sense; return it or -1.

    When it returns -1, ``WK_POSITION`` is where to go on looking once more bytes are there.
    """
    header = w[WK_HEADER]
    p = w[WK_POSITION] + 1
    while p + header <= n:
        if _record_makes_sense(d, p, w) and _near(d, p, w[WK_LAST_TIME], w):
            time = _word(d, p, w[WK_SWAPPED]) * 1_000_000
            q = p
            good = 0
            unsure = False
            while good < CHAIN:
                if q == n and w[WK_LAST]:
                    good = CHAIN
                    break
                if q + 16 > n:
                    unsure = w[WK_LAST] == 0
                    break
                if not _record_makes_sense(d, q, w) or not _near(d, q, time, w):
                    break
                good += 1
                q += header + _word(d, q + 8, w[WK_SWAPPED])
            if good >= CHAIN:
                return p
            if unsure and good > 0 and n - p < 4 * MAX_RECORD:
                break
        p += 1
    w[WK_POSITION] = p - 1
    return np.int64(-1)


@_njit
def _time_of(high, low, resolution, offset):
    """Return microseconds since 1970 of a pcapng timestamp."""
    power = resolution & 0x7F
    if resolution & 0x80:
        power = min(power, 63)
        units = (high << 32) | low
        if units < 0:
            return np.int64(0)
        seconds = units >> power
        fraction = units - (seconds << power)
        if power > 40:
            fraction >>= power - 40
            power = 40
        return (seconds + offset) * 1_000_000 + ((fraction * 1_000_000) >> power)
    units = (high << 32) | low
    if units < 0:
        return np.int64(0)
    if power >= 6:
        scale = np.int64(1)
        for _ in range(min(power - 6, 18)):
            scale *= 10
        return units // scale + offset * 1_000_000
    scale = np.int64(1)
    for _ in range(6 - power):
        scale *= 10
    if units > MAX_TIME // scale:
        return np.int64(0)
    return units * scale + offset * 1_000_000


@_njit
def _interface(d, p, end, w, interfaces):
    """Take an interface description block's body at ``p``."""
    swapped = w[WK_SWAPPED]
    number = w[WK_INTERFACES]
    if number >= MAX_INTERFACES or p + 8 > end:
        return
    row = number * INTERFACE_COLUMNS
    interfaces[row + IF_LINK] = _half(d, p, swapped)
    interfaces[row + IF_SNAP] = _word(d, p + 4, swapped)
    interfaces[row + IF_RESOLUTION] = 6
    interfaces[row + IF_OFFSET] = 0
    w[WK_INTERFACES] = number + 1
    x = p + 8
    while x + 4 <= end:
        code = _half(d, x, swapped)
        length = _half(d, x + 2, swapped)
        if code == 0 or x + 4 + length > end:
            return
        if code == 9 and length >= 1:
            interfaces[row + IF_RESOLUTION] = np.int64(d[x + 4])
        elif code == 14 and length >= 8:
            first = _word(d, x + 4, swapped)
            second = _word(d, x + 8, swapped)
            seconds = (first << 32) | second if swapped else (second << 32) | first
            if abs(seconds) < MAX_TIME // 1_000_000:
                interfaces[row + IF_OFFSET] = seconds
        x += 4 + ((length + 3) & ~3)


@_njit
def _section(d, p, w):
    """Start a section whose header block stands at ``p``; return False when its byte order mark is none."""
    mark = le32(d, p + 8)
    if mark == 0x1A2B3C4D:
        w[WK_SWAPPED] = 0
    elif mark == 0x4D3C2B1A:
        w[WK_SWAPPED] = 1
    else:
        return False
    w[WK_INTERFACES] = 0
    return True


@_njit
def _block_length(d, p, w):
    """Return the length of the block at ``p``, 0 when it is none. Its first 12 bytes are in the window."""
    if le32(d, p) == 0x0A0D0D0A:
        mark = le32(d, p + 8)
        if mark == 0x1A2B3C4D:
            length = le32(d, p + 4)
        elif mark == 0x4D3C2B1A:
            length = be32(d, p + 4)
        else:
            return np.int64(0)
        if length < 28:
            return np.int64(0)
    else:
        length = _word(d, p + 4, w[WK_SWAPPED])
    if length < 12 or length > MAX_BLOCK or length & 3:
        return np.int64(0)
    return length


@_njit
def _take_packet(d, p, end, kind, w, interfaces, index, row):
    """Write the packet of the block body [p, end) to the index; return False when the block makes no sense."""
    swapped = w[WK_SWAPPED]
    time = w[WK_LAST_TIME]
    if kind == 3:
        if p + 4 > end:
            return False
        number = np.int64(0)
        wire = _word(d, p, swapped)
        captured = wire
        if w[WK_INTERFACES] > 0 and interfaces[IF_SNAP] > 0:
            captured = min(captured, interfaces[IF_SNAP])
        body = p + 4
        captured = min(captured, end - body)
    else:
        if p + 20 > end:
            return False
        number = _word(d, p, swapped) if kind == 6 else _half(d, p, swapped)
        captured = _word(d, p + 12, swapped)
        wire = _word(d, p + 16, swapped)
        body = p + 20
        if captured > end - body:
            return False
    link = np.int64(-1)
    if number < w[WK_INTERFACES]:
        base = number * INTERFACE_COLUMNS
        link = interfaces[base + IF_LINK]
        if kind != 3:
            time = _time_of(
                _word(d, p + 4, swapped),
                _word(d, p + 8, swapped),
                interfaces[base + IF_RESOLUTION],
                interfaces[base + IF_OFFSET],
            )
    if time < 0 or time > MAX_TIME:
        time = w[WK_LAST_TIME]
    w[WK_LAST_TIME] = time
    index[row + IX_OFFSET] = body
    index[row + IX_CAPTURED] = captured
    index[row + IX_WIRE] = max(wire, captured)
    index[row + IX_TIME] = time
    index[row + IX_LINK] = link
    return True


@_njit
def walk_pcapng(d, n, w, interfaces, index, room):
    """Index the packets of a pcapng from ``WK_POSITION``; return rows written << 2 | why it stopped."""
    p = w[WK_POSITION]
    rows = np.int64(0)
    reason = WALK_END
    w[WK_NEED] = 12
    while p + 12 <= n:
        if rows >= room:
            reason = WALK_FULL
            break
        length = _block_length(d, p, w)
        if length == 0:
            reason = WALK_DAMAGED
            break
        if p + length > n:
            w[WK_NEED] = length
            break
        kind = _word(d, p, w[WK_SWAPPED])
        end = p + length - 4
        if kind == 0x0A0D0D0A:
            _section(d, p, w)
        if _word(d, end, w[WK_SWAPPED]) != length:
            reason = WALK_DAMAGED
            break
        if kind == 1:
            _interface(d, p + 8, end, w, interfaces)
        elif kind == 6 or kind == 3 or kind == 2:
            if not _take_packet(d, p + 8, end, kind, w, interfaces, index, rows * INDEX_COLUMNS):
                reason = WALK_DAMAGED
                break
            rows += 1
        p += length
        w[WK_NEED] = 12
    w[WK_POSITION] = p
    return (rows << 2) | reason


@_njit
def resync_pcapng(d, n, w):
    """Find after ``WK_POSITION`` the next block whose two lengths agree; return it or -1 as ``resync_pcap``."""
    p = w[WK_POSITION] + 1
    while p + 12 <= n:
        kind = _word(d, p, w[WK_SWAPPED])
        if (kind > 0 and kind < 16) or kind == 0x0A0D0D0A or kind == 0xBAD or kind == 0x40000BAD:
            length = _block_length(d, p, w)
            if length > 0 and length <= MAX_RECORD:
                if p + length <= n:
                    if _word(d, p + length - 4, w[WK_SWAPPED]) == length:
                        return p
                elif w[WK_LAST] == 0:
                    break
        p += 1
    w[WK_POSITION] = p - 1
    return np.int64(-1)
