"""Meter flows: one loop over the indexed packets of a window, machine code by numba.

Each packet is counted exactly once: in a flow, as not IP, or as malformed (``C_RESULTS``). The flow table lives across
windows. What it does depends only on the packets and their order, never on where windows were cut: idle flows are
looked for after fixed numbers of packets. Timeouts run on the packet clock.
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_decode import decode
from collectors.packets.kernel_digest import community, event_id
from collectors.packets.kernel_link import _njit
from collectors.packets.kernel_select import datagram_kind, sane_dns, select_stream, stream_position
from collectors.packets.layout import *  # noqa: F403 - column names, nearly all of them needed

HOUR_US = 3_600_000_000
FRAGMENT_US = 60_000_000
SYN = 2
SYN_ACK = 18


@_njit
def _mix(h, v):
    h = (h ^ v) * np.int64(-7046029254386353131)  # 2^64 divided by the golden ratio, odd
    return h ^ ((h >> 29) & 0x7FFFFFFFF)


@_njit
def _hash(k, c):
    h = c[C_SEED]
    for j in range(6):
        h = _mix(h, k[j])
    return (h ^ ((h >> 32) & 0xFFFFFFFF)) & c[C_MASK]


@_njit
def _find(k, bucket, t, buckets):
    """Return the slot of the flow with key ``k``, -1 when there is none."""
    slot = np.int64(buckets[bucket]) - 1
    while slot >= 0:
        row = slot * COLUMNS
        if (
            t[row] == k[0]
            and t[row + 2] == k[2]
            and t[row + 4] == k[4]
            and t[row + 1] == k[1]
            and t[row + 3] == k[3]
            and t[row + 5] == k[5]
        ):
            return slot
        slot = t[row + F_NEXT] - 1
    return np.int64(-1)


@_njit
def _write_out(slot, reason, t, c, out):
    """Copy a flow's row to the output."""
    row = slot * COLUMNS
    t[row + F_REASON] = reason
    target = c[C_OUT] * OUT_COLUMNS
    for j in range(COLUMNS):
        out[target + j] = t[row + j]
    event_id(t, row, c, out, target + O_EVENT_ID)
    community(t, row, c, out, target + O_COMMUNITY)
    c[C_OUT] += 1


@_njit
def _end_flow(slot, reason, t, buckets, c, out):
    """Write a flow out and give its slot back."""
    row = slot * COLUMNS
    _write_out(slot, reason, t, c, out)
    bucket = t[row + F_BUCKET]
    before = np.int64(buckets[bucket]) - 1
    if before == slot:
        buckets[bucket] = t[row + F_NEXT]
    else:
        while t[before * COLUMNS + F_NEXT] - 1 != slot:
            before = t[before * COLUMNS + F_NEXT] - 1
        t[before * COLUMNS + F_NEXT] = t[row + F_NEXT]
    t[row + F_LIVE] = 0
    t[row + F_NEXT] = c[C_FREE]
    c[C_FREE] = slot
    c[C_LIVE] -= 1


@_njit
def _evict(t, buckets, c, out):
    """End the oldest of 64 flows: the table is full."""
    oldest = np.int64(-1)
    for _ in range(64):
        slot = c[C_CURSOR]
        c[C_CURSOR] = slot + 1 if slot + 1 < c[C_CAPACITY] else 0
        if t[slot * COLUMNS + F_LIVE] and (
            oldest < 0 or t[slot * COLUMNS + F_LAST] < t[oldest * COLUMNS + F_LAST]
        ):
            oldest = slot
    if oldest >= 0:
        c[C_EVICTED] += 1
        _end_flow(oldest, END_EVICTED, t, buckets, c, out)


@_njit
def _idle_limit(row, t, c):
    if (t[row + F_KEY] >> 8) & 0xFF != 6:
        return c[C_IDLE]
    state = t[row + F_STATE]
    if state & ST_RESET or state & (ST_FIN * 3) == ST_FIN * 3:
        return c[C_IDLE_CLOSED]
    return c[C_IDLE_TCP]


@_njit
def _is_closed(row, t):
    state = t[row + F_STATE]
    return (state & ST_RESET) != 0 or (state & (ST_FIN * 3)) == ST_FIN * 3


@_njit
def _sweep(t, buckets, c, out):
    """Look at the next slots for flows that have been idle too long."""
    if c[C_HIGH] == 0:
        return
    for _ in range(SWEEP):
        slot = c[C_CURSOR]
        c[C_CURSOR] = slot + 1 if slot + 1 < c[C_HIGH] else 0
        row = slot * COLUMNS
        if t[row + F_LIVE]:
            idle = c[C_CLOCK] - t[row + F_LAST]
            if idle > c[C_IDLE_CLOSED] and idle > _idle_limit(row, t, c):
                _end_flow(slot, END_CLOSED if _is_closed(row, t) else END_IDLE, t, buckets, c, out)


@_njit
def _clock(time, c):
    """Move the packet clock; a jump of an hour or more either way is believed when a second packet agrees."""
    if abs(time - c[C_CLOCK]) >= HOUR_US:
        if abs(time - c[C_CLOCK_DOUBT]) >= HOUR_US and c[C_CLOCK] != 0:
            c[C_CLOCK_DOUBT] = time
            return
        c[C_CLOCK] = time
    elif time > c[C_CLOCK]:
        c[C_CLOCK] = time
    c[C_CLOCK_DOUBT] = c[C_CLOCK]


@_njit
def _new_flow(k, bucket, sender, time, position, s, t, buckets, c, out):
    """Return the slot of a new flow."""
    if c[C_FREE] < 0 and c[C_HIGH] >= c[C_CAPACITY]:
        _evict(t, buckets, c, out)
    if c[C_FREE] >= 0:
        slot = c[C_FREE]
        c[C_FREE] = t[slot * COLUMNS + F_NEXT]
    else:
        slot = c[C_HIGH]
        c[C_HIGH] += 1
    row = slot * COLUMNS
    for j in range(COLUMNS):
        t[row + j] = 0
    for j in range(6):
        t[row + j] = k[j]
    t[row + F_NEXT] = buckets[bucket]
    buckets[bucket] = slot + 1
    t[row + F_BUCKET] = bucket
    t[row + F_LIVE] = 1
    t[row + F_SERIAL] = c[C_SERIAL]
    c[C_SERIAL] += 1
    c[C_LIVE] += 1
    t[row + F_FIRST] = time
    t[row + F_LAST] = time
    t[row + F_BEGAN] = time
    t[row + F_POSITION] = position
    t[row + F_BEGAN_POSITION] = position
    t[row + F_PART] = 1
    t[row + F_STATE] = sender
    t[row + F_FIRST_SIDE] = sender
    t[row + F_ICMP] = s[S_ICMP]
    t[row + F_SMAC] = s[S_SMAC]
    t[row + F_DMAC] = s[S_DMAC]
    t[row + F_VLAN] = s[S_VLAN]
    t[row + F_VLAN_INNER] = s[S_VLAN_INNER]
    t[row + F_TUNNEL] = s[S_TUNNEL]
    t[row + F_TUNNEL_ID] = s[S_TUNNEL_ID]
    t[row + F_OUTER_VERSION] = s[S_OUTER_VERSION] if s[S_TUNNEL] else 0
    for j in range(4):
        t[row + F_OUTER + j] = s[S_OUTER + j] if s[S_TUNNEL] else 0
    return slot


@_njit
def _next_part(slot, time, position, t, c, out):
    """Write an interim record of a long flow and start counting anew."""
    row = slot * COLUMNS
    _write_out(slot, END_ACTIVE, t, c, out)
    for side in range(2):
        t[row + F_PACKETS + side] = 0
        t[row + F_BYTES + side] = 0
        t[row + F_WIRE + side] = 0
    t[row + F_FLAGS] = 0
    t[row + F_FRAGMENTS] = 0
    t[row + F_FIRST] = time
    t[row + F_LAST] = time
    t[row + F_POSITION] = position
    t[row + F_PART] += 1


@_njit
def _is_over(row, sender, time, s, t, c):
    """Return why the flow in ``row`` ended before this packet of its key, 0 when it goes on."""
    if time - t[row + F_LAST] > _idle_limit(row, t, c):
        return END_CLOSED if _is_closed(row, t) else END_IDLE
    if s[S_PROTO] == 6 and (s[S_FLAGS] & SYN_ACK) == SYN:
        if _is_closed(row, t):
            return END_CLOSED
        if t[row + F_STATE] & ST_SYN_ACK:
            known = t[row + F_ISN + sender]
            if known == 0 or ((known - 1) & 0xFFFFFFFF) != s[S_SEQ]:
                return END_CLOSED
    return 0


@_njit
def _key(s, k):
    """Write the flow key of the packet in the scratch row; return who sent it: 0 A, 1 B."""
    sport = s[S_SPORT]
    dport = s[S_DPORT]
    swap = False
    if s[S_SRC_HI] != s[S_DST_HI]:
        swap = s[S_SRC_HI] > s[S_DST_HI]
    elif s[S_SRC_LO] != s[S_DST_LO]:
        swap = s[S_SRC_LO] > s[S_DST_LO]
    else:
        swap = sport > dport
    if swap:
        k[0] = (dport << 40) | (sport << 24) | (s[S_PROTO] << 8) | s[S_VERSION]
        k[1] = s[S_DST_HI]
        k[2] = s[S_DST_LO]
        k[3] = s[S_SRC_HI]
        k[4] = s[S_SRC_LO]
    else:
        k[0] = (sport << 40) | (dport << 24) | (s[S_PROTO] << 8) | s[S_VERSION]
        k[1] = s[S_SRC_HI]
        k[2] = s[S_SRC_LO]
        k[3] = s[S_DST_HI]
        k[4] = s[S_DST_LO]
    # Not the VLAN: mirror ports often tag one direction only, and Zeek and Arkime leave it out too.
    k[5] = s[S_SPACE]
    return np.int64(1) if swap else np.int64(0)


@_njit
def _fragment(s, time, fragments, c):
    """Give later fragments the ports of the first one (a table that forgets, never grows)."""
    c[C_FRAGMENTS] += 1
    h = _mix(_mix(_mix(c[C_SEED], s[S_SRC_LO] ^ s[S_SRC_HI]), s[S_DST_LO] ^ s[S_DST_HI]), s[S_IP_ID])
    row = (h & (FRAGMENT_SLOTS - 1)) * FRAGMENT_COLUMNS
    if s[S_FRAGMENT] == 0:
        fragments[row] = s[S_SRC_LO]
        fragments[row + 1] = s[S_SRC_HI]
        fragments[row + 2] = s[S_DST_LO]
        fragments[row + 3] = s[S_DST_HI]
        fragments[row + 4] = (s[S_IP_ID] << 8) | s[S_PROTO]
        fragments[row + 5] = (s[S_SPORT] << 16) | s[S_DPORT]
        fragments[row + 6] = time
        fragments[row + 7] = s[S_ICMP]
    elif (
        fragments[row] == s[S_SRC_LO]
        and fragments[row + 1] == s[S_SRC_HI]
        and fragments[row + 2] == s[S_DST_LO]
        and fragments[row + 3] == s[S_DST_HI]
        and fragments[row + 4] == (s[S_IP_ID] << 8) | s[S_PROTO]
        and abs(time - fragments[row + 6]) < FRAGMENT_US
    ):
        s[S_SPORT] = fragments[row + 5] >> 16
        s[S_DPORT] = fragments[row + 5] & 0xFFFF
        s[S_ICMP] = fragments[row + 7]


@_njit
def _tcp(d, s, t, row, sender, c):
    """Follow a TCP packet's flags and sequence numbers; return the kind of payload wanted."""
    flags = s[S_FLAGS]
    state = t[row + F_STATE]
    if flags & 2:
        if not state & (ST_SYN | ST_SYN_ACK):
            origin = 1 - sender if flags & 16 else sender
            state = (state & ~ST_ORIGIN_B) | origin
        state |= ST_SYN_ACK if flags & 16 else ST_SYN
    if flags & 1:
        state |= ST_FIN << sender
    if flags & 4:
        state |= ST_RESET
    t[row + F_STATE] = state
    t[row + F_FLAGS] |= flags << (8 * sender)
    if s[S_SEQ] < 0:
        return KIND_NONE
    if flags & 2:
        t[row + F_ISN + sender] = stream_position(s[S_SEQ] + 1, np.int64(0), t, row, sender)
        return KIND_NONE
    length = s[S_PAYLOAD_WIRE] - s[S_DATA]
    if length <= 0:
        return KIND_NONE
    t[row + F_PAYLOADS + sender] += 1
    if flags & 4:
        return KIND_NONE
    end = t[row + F_NEXT_SEQ + sender]
    a = stream_position(s[S_SEQ], length, t, row, sender)
    s[S_SEQ] = a
    s[S_HOLE] = 1 if end != 0 and a > end else 0
    if c[C_SELECT] == 0 or s[S_END] <= s[S_DATA]:
        return KIND_NONE
    return select_stream(d, s, t, row, sender, a, c[C_BUDGET])


@_njit
def _account(d, s, t, row, sender, time, wire, c):
    """Count a packet in its flow; return the kind of payload wanted."""
    t[row + F_LAST] = max(t[row + F_LAST], time)
    t[row + F_FIRST] = min(t[row + F_FIRST], time)
    t[row + F_PACKETS + sender] += 1
    t[row + F_BYTES + sender] += s[S_BYTES]
    t[row + F_WIRE + sender] += wire
    if t[row + F_VLAN] < 0:
        t[row + F_VLAN] = s[S_VLAN]
        t[row + F_VLAN_INNER] = s[S_VLAN_INNER]
    if s[S_FRAGMENT] != 0 or s[S_MORE] != 0:
        t[row + F_FRAGMENTS] += 1
        if s[S_FRAGMENT] != 0:
            return KIND_NONE
    proto = s[S_PROTO]
    if proto == 6:
        return _tcp(d, s, t, row, sender, c)
    if s[S_PAYLOAD_WIRE] > s[S_DATA]:
        t[row + F_PAYLOADS + sender] += 1
        if proto == 17 and c[C_SELECT] and s[S_END] > s[S_DATA]:
            kind = datagram_kind(d, s, row, t, sender)
            if kind != KIND_NONE and sane_dns(d, s[S_DATA]):
                t[row + F_KIND] = kind
            return kind
    return KIND_NONE


@_njit
def _write_item(kind, slot, sender, time, position, s, t, c, items):
    row = slot * COLUMNS
    item = c[C_ITEMS] * ITEM_COLUMNS
    items[item + IT_SERIAL] = t[row + F_SERIAL]
    items[item + IT_SENDER] = sender | (s[S_HOLE] << 1)
    items[item + IT_OFFSET] = s[S_DATA]
    items[item + IT_LENGTH] = s[S_END] - s[S_DATA]
    items[item + IT_STREAM] = s[S_SEQ]
    items[item + IT_TIME] = time
    items[item + IT_KIND] = kind
    items[item + IT_SLOT] = slot
    items[item + IT_POSITION] = position
    items[item + IT_BASE] = t[row + F_BASE + sender]
    c[C_ITEMS] += 1
    c[C_ITEM_BYTES] += s[S_END] - s[S_DATA]


@_njit
def _packet(d, index, i, t, buckets, c, out, items, bad, fragments, s, spare, k):
    """Decode one packet and count it."""
    ix = i * INDEX_COLUMNS
    p = index[ix + IX_OFFSET]
    captured = index[ix + IX_CAPTURED]
    wire = index[ix + IX_WIRE]
    time = index[ix + IX_TIME]
    position = c[C_BASE] + p
    result = decode(d, p, captured, wire, index[ix + IX_LINK], s, spare)
    c[C_PACKETS] += 1
    c[C_RESULTS + result] += 1
    _clock(time, c)
    if result != OK:
        if result >= BAD_LINK_SHORT:
            row = c[C_BAD] * BAD_COLUMNS
            bad[row] = result
            bad[row + 1] = position
            bad[row + 2] = p
            bad[row + 3] = captured
            c[C_BAD] += 1
        return
    if s[S_TUNNEL]:
        c[C_TUNNELLED] += 1
    if s[S_FRAGMENT] != 0 or s[S_MORE] != 0:
        _fragment(s, time, fragments, c)
    sender = _key(s, k)
    bucket = _hash(k, c)
    slot = _find(k, bucket, t, buckets)
    if slot >= 0:
        row = slot * COLUMNS
        reason = _is_over(row, sender, time, s, t, c)
        if reason:
            _end_flow(slot, reason, t, buckets, c, out)
            slot = np.int64(-1)
        elif time - t[row + F_FIRST] > c[C_ACTIVE]:
            _next_part(slot, time, position, t, c, out)
    if slot < 0:
        slot = _new_flow(k, bucket, sender, time, position, s, t, buckets, c, out)
    s[S_HOLE] = 0
    kind = _account(d, s, t, slot * COLUMNS, sender, time, wire, c)
    if kind != KIND_NONE:
        _write_item(kind, slot, sender, time, position, s, t, c, items)


@_njit
def meter(d, index, start, count, t, buckets, c, out, items, bad, fragments, s, spare, k):
    """Meter packets ``start`` to ``count`` of the index; return where it stopped because an output is full."""
    for i in range(start, count):
        if (
            c[C_OUT] + OUT_RESERVE > c[C_OUT_ROOM]
            or c[C_ITEMS] >= c[C_ITEM_ROOM]
            or c[C_BAD] >= c[C_BAD_ROOM]
        ):
            return i
        _packet(d, index, i, t, buckets, c, out, items, bad, fragments, s, spare, k)
        if c[C_PACKETS] & (SWEEP - 1) == 0:
            _sweep(t, buckets, c, out)
    return count


@_njit
def flush(t, buckets, c, out):
    """End all flows, as many as the output has room for; return how many are left."""
    while c[C_LIVE] > 0 and c[C_OUT] < c[C_OUT_ROOM]:
        slot = c[C_CURSOR]
        c[C_CURSOR] = slot + 1 if slot + 1 < c[C_HIGH] else 0
        if t[slot * COLUMNS + F_LIVE]:
            closed = _is_closed(slot * COLUMNS, t)
            _end_flow(slot, END_CLOSED if closed else END_FILE, t, buckets, c, out)
    return c[C_LIVE]


@_njit
def match(d, index, count, wanted, found, s, spare, k):
    """Find the packets of one flow: write their index rows to ``found``, return how many.

    ``wanted`` holds [protocol, A hi lo, B hi lo, port of A, port of B, begin, end in microseconds, space]; both
    directions count, and later fragments whatever their ports.
    """
    n = np.int64(0)
    for i in range(count):
        ix = i * INDEX_COLUMNS
        time = index[ix + IX_TIME]
        if time < wanted[7] or time > wanted[8]:
            continue
        p = index[ix + IX_OFFSET]
        if decode(d, p, index[ix + IX_CAPTURED], index[ix + IX_WIRE], index[ix + IX_LINK], s, spare) != OK:
            continue
        _key(s, k)
        if s[S_PROTO] != wanted[0] or k[5] != wanted[9]:
            continue
        if k[1] != wanted[1] or k[2] != wanted[2] or k[3] != wanted[3] or k[4] != wanted[4]:
            continue
        if s[S_FRAGMENT] == 0 and (k[0] >> 24 != (wanted[5] << 16) | wanted[6]):
            continue
        found[n] = i
        n += 1
    return n
