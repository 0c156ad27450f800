"""Choose the payload that dissectors have to see, whatever the port: machine code by numba.

A signature at the start of one of the first payload packets of a direction decides the protocol. From then on the
heads of records are followed, so that of a long conversation only the parts that say something are handed on: whole
TLS handshake records up to the first application data, the beginning of each SMB message, the heads of HTTP messages.
Sources: RFC 8446 (TLS), 4253 (SSH), 9110/9112 (HTTP), 1035 and 7766 (DNS), MS-SMB2 2.1 (direct TCP transport).
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_link import _njit, be16, be32
from collectors.packets.layout import *  # noqa: F403 - column names, most of them needed

TESTED_PAYLOADS = 8
SMB_WANTED = 2048
SMB_DATA_WANTED = 160
HTTP_REQUEST_BODY = 4096
HTTP_RESPONSE_BODY = 512
HTTP_HEAD = 8192
HTTP_START = 4096
SSH_WANTED = 6144
DNS_WANTED = 65_536


@_njit
def tls_hello(d, x, n):
    """Tell whether a TLS handshake record with a client or server hello starts at ``x``."""
    if n < 6 or d[x] != 0x16 or d[x + 1] != 3 or d[x + 2] > 4:
        return False
    length = be16(d, x + 3)
    return length >= 4 and length <= 18_432 and (d[x + 5] == 1 or d[x + 5] == 2)


@_njit
def _is_method(word):
    """Tell whether four bytes begin an HTTP method (RFC 9110 9.3, WebDAV RFC 4918)."""
    return (
        word == 0x47455420  # GET
        or word == 0x504F5354  # POST
        or word == 0x48454144  # HEAD
        or word == 0x50555420  # PUT
        or word == 0x44454C45  # DELETE
        or word == 0x4F505449  # OPTIONS
        or word == 0x434F4E4E  # CONNECT
        or word == 0x50415443  # PATCH
        or word == 0x54524143  # TRACE
        or word == 0x50524F50  # PROPFIND
        or word == 0x4D4B434F  # MKCOL
        or word == 0x4D4F5645  # MOVE
        or word == 0x434F5059  # COPY
        or word == 0x4C4F434B  # LOCK
        or word == 0x554E4C4F  # UNLOCK
        or word == 0x53454152  # SEARCH
        or word == 0x5245504F  # REPORT
    )


@_njit
def http_start(d, x, n):
    """Return 1 for a request line at ``x``, 2 for a status line, 0 for neither."""
    if n < 8:
        return 0
    word = be32(d, x)
    if word == 0x48545450:  # HTTP/1
        return 2 if d[x + 4] == 0x2F and (d[x + 5] == 0x31 or d[x + 5] == 0x30) else 0
    if not _is_method(word):
        return 0
    for i in range(3, min(n - 1, np.int64(10))):
        if d[x + i] == 0x20:
            first = d[x + i + 1]
            # an absolute path, *, http:, or the authority of CONNECT
            return (
                1
                if first == 0x2F or first == 0x2A or first == 0x68 or first == 0x48 or word == 0x434F4E4E
                else 0
            )
    return 0


@_njit
def looks_like_dns(d, x, n):
    """Tell whether a DNS message with one question of ordinary characters stands at ``x``: strict, for any port."""
    if n < 17:
        return False
    flags = be16(d, x + 2)
    answers = be16(d, x + 6)
    if flags & 0x7840 or (flags & 15) > 5 or be16(d, x + 4) != 1 or answers > 64:
        return False
    if be16(d, x + 8) > 64 or be16(d, x + 10) > 16 or (flags & 0x8000 == 0 and answers > 0):
        return False
    y = x + 12
    end = x + n
    for _ in range(32):
        if y + 5 > end:
            return False
        length = np.int64(d[y])
        if length == 0:
            kind = be16(d, y + 1)
            place = be16(d, y + 3) & 0x7FFF
            return y > x + 12 and kind >= 1 and kind <= 260 and (place == 1 or place == 255)
        if length > 63 or y + 1 + length + 5 > end:
            return False
        for i in range(length):
            letter = d[y + 1 + i]
            if letter < 0x21 or letter > 0x7E:
                return False
        y += 1 + length
    return False


@_njit
def sane_dns(d, x):
    """Tell whether the twelve bytes at ``x`` can be a DNS header, loosely: counts of no more than a message holds."""
    return be16(d, x + 4) <= 16 and be16(d, x + 6) <= 512 and be16(d, x + 8) <= 512 and be16(d, x + 10) <= 512


@_njit
def datagram_kind(d, s, row, t, sender):
    """Return the kind of a UDP payload, ``KIND_NONE`` when nobody wants it."""
    x = s[S_DATA]
    n = s[S_END] - x
    if n < 12:
        return KIND_NONE
    sport = s[S_SPORT]
    dport = s[S_DPORT]
    if sport == 53 or dport == 53:
        return KIND_DNS
    if sport == 5353 or dport == 5353:
        return KIND_MDNS
    if sport == 5355 or dport == 5355:
        return KIND_LLMNR
    if sport == 137 or dport == 137:
        return KIND_NBNS
    if t[row + F_KIND] == KIND_DNS:
        return KIND_DNS
    if t[row + F_PAYLOADS + sender] <= 2 and looks_like_dns(d, x, n):
        return KIND_DNS
    return KIND_NONE


@_njit
def may_begin(byte):
    """Tell whether a signature may begin with this byte: TLS, NetBIOS, SSH, or the capital of an HTTP method."""
    return byte == 0x16 or byte == 0 or (byte >= 0x43 and byte <= 0x55)


@_njit
def stream_kind(d, x, n, s):
    """Return the protocol whose signature stands at ``x``."""
    if n < 4:
        return KIND_NONE
    word = be32(d, x)
    if word == 0x5353482D:  # SSH-
        return KIND_SSH
    if tls_hello(d, x, n):
        return KIND_TLS
    if http_start(d, x, n):
        return KIND_HTTP
    if d[x] == 0 and n >= 8:
        mark = be32(d, x + 4)
        if mark >= 0xFC534D42 and (mark & 0xFFFFFF) == 0x534D42:  # compressed, transformed, SMB2, SMB1
            return KIND_SMB
    if n >= 19 and be16(d, x) >= 17 and be16(d, x) + 2 >= n and looks_like_dns(d, x + 2, n - 2):
        return KIND_DNS_TCP
    if (s[S_SPORT] == 53 or s[S_DPORT] == 53) and n >= 14 and be16(d, x) >= 12:
        return KIND_DNS_TCP
    return KIND_NONE


@_njit
def smb_wanted(d, o, n):
    """Return how many bytes of the SMB message at ``o`` are wanted: of one that carries file data, its front only."""
    if (
        n >= 24
        and d[o] == 0xFE
        and be32(d, o + 20) == 0
        and d[o + 13] == 0
        and (d[o + 12] == 8 or d[o + 12] == 9)
    ):
        return np.int64(SMB_DATA_WANTED)
    if n >= 5 and d[o] == 0xFF and (d[o + 4] == 0x2E or d[o + 4] == 0x2F):
        return np.int64(SMB_DATA_WANTED)
    return np.int64(SMB_WANTED)


@_njit
def _walk_records(d, x, n, a, t, row, sender, kind, budget):
    """Follow record heads of TLS or SMB through the payload at ``x`` (``n`` bytes from position ``a``).

    Returns whether the packet is wanted.
    """
    head = 5 if kind == KIND_TLS else 4
    follow = t[row + F_FOLLOW + sender]
    want = t[row + F_WANT + sender]
    have = t[row + F_HEAD + sender] & 7
    saved = t[row + F_HEAD + sender] >> 3
    take = a < want
    end = a + n
    for _ in range(4096):
        position = follow + have
        if position < a:  # the head was lost or comes later
            lost = kind == KIND_SMB and n >= 8 and d[x] == 0 and (be32(d, x + 4) & 0xFFFFFF) == 0x534D42
            if not lost:
                break
            follow = a
            have = np.int64(0)
            saved = np.int64(0)
            position = a
        if position >= end:
            break
        o = x + position - a
        while have < head and o < x + n:
            saved = (saved << 8) | np.int64(d[o])
            have += 1
            o += 1
        take = True
        if have < head:
            want = max(want, follow + head)
            break
        if kind == KIND_TLS:
            record = saved >> 32
            length = saved & 0xFFFF
            if record < 20 or record > 24 or ((saved >> 24) & 0xFF) != 3 or length > 18_432:
                t[row + F_STATE] |= ST_DONE << sender
                break
            if record == 23:
                want = max(want, follow + head)
                if t[row + F_STATE] & (ST_OPEN << sender):
                    t[row + F_STATE] |= ST_DONE << sender
                    break
                t[row + F_STATE] |= ST_OPEN << sender
            else:
                want = max(want, follow + head + length)
        else:
            record = saved >> 24
            length = saved & 0xFFFFFF
            if record != 0 and record != 0x85 and (record < 0x81 or record > 0x84):
                t[row + F_STATE] |= ST_DONE << sender
                break
            want = max(want, follow + head + min(length, smb_wanted(d, o, x + n - o)))
        follow += head + length
        have = np.int64(0)
        saved = np.int64(0)
    t[row + F_FOLLOW + sender] = follow
    t[row + F_WANT + sender] = want
    t[row + F_HEAD + sender] = (saved << 3) | have
    if kind == KIND_TLS and end - t[row + F_BASE + sender] >= budget:
        t[row + F_STATE] |= ST_DONE << sender
    return take


@_njit
def _head_end(d, x, n):
    """Return the length of an HTTP head that ends in the ``n`` bytes at ``x``, -1 when it does not."""
    for i in range(1, n):
        if d[x + i] == 0x0A and (
            d[x + i - 1] == 0x0A or (i >= 3 and d[x + i - 2] == 0x0A and d[x + i - 1] == 0x0D)
        ):
            return np.int64(i + 1)
    return np.int64(-1)


@_njit
def _walk_http(d, x, n, a, t, row, sender):
    """Choose the heads of HTTP messages and the beginning of their bodies."""
    want = t[row + F_WANT + sender]
    start = http_start(d, x, n)
    looking = t[row + F_STATE] & (ST_OPEN << sender)
    take = a < want or a - t[row + F_BASE + sender] < HTTP_START or start > 0
    if start or (looking and take):
        length = _head_end(d, x, n)
        if length < 0:
            t[row + F_STATE] |= ST_OPEN << sender
            if start:
                want = max(want, a + HTTP_HEAD)
        else:
            t[row + F_STATE] &= ~(ST_OPEN << sender)
            request = start == 1 or (start == 0 and sender == (t[row + F_STATE] & ST_ORIGIN_B))
            want = max(want, a + length + (HTTP_REQUEST_BODY if request else HTTP_RESPONSE_BODY))
            # what follows the head in this direction may be short: the old bound of a long head is given up
            want = min(want, a + length + HTTP_REQUEST_BODY)
        t[row + F_WANT + sender] = want
    return take


@_njit
def _begin(kind, a, t, row, sender):
    """Start selecting: ``sender``'s stream begins at ``a``, the other's with the next byte it sends."""
    other = 1 - sender
    t[row + F_KIND] = kind
    t[row + F_STATE] &= ~((ST_OPEN | ST_DONE) * 3)
    t[row + F_BASE + sender] = a
    t[row + F_BASE + other] = t[row + F_NEXT_SEQ + other]
    for side in range(2):
        t[row + F_FOLLOW + side] = t[row + F_BASE + side]
        t[row + F_WANT + side] = t[row + F_BASE + side]
        t[row + F_HEAD + side] = 0


@_njit
def stream_position(seq, n, t, row, sender):
    """Return the stream position of a TCP sequence number and move the direction's end on by ``n`` bytes."""
    end = t[row + F_NEXT_SEQ + sender]
    if end == 0:
        a = seq + (np.int64(1) << 32)
    else:
        difference = (seq - end) & 0xFFFFFFFF
        if difference >= 0x80000000:
            difference -= np.int64(1) << 32
        a = end + difference
    if a + n > end:
        t[row + F_NEXT_SEQ + sender] = a + n
    return a


@_njit
def select_stream(d, s, t, row, sender, a, budget):
    """Return the kind under which a TCP payload at stream position ``a`` is handed on, ``KIND_NONE`` for not at all."""
    x = s[S_DATA]
    n = s[S_END] - x
    kind = t[row + F_KIND]
    if kind == KIND_NONE or kind == KIND_PENDING:
        if t[row + F_PAYLOADS + sender] > TESTED_PAYLOADS:
            return KIND_NONE
        found = stream_kind(d, x, n, s)
        if found == KIND_NONE:
            if s[S_HOLE] or (may_begin(d[x]) and n < 8 and t[row + F_PAYLOADS + sender] <= 2):
                if kind == KIND_NONE:
                    _begin(
                        KIND_PENDING,
                        t[row + F_ISN + sender] or a,
                        t,
                        row,
                        sender,
                    )
                return KIND_PENDING
            if kind == KIND_PENDING and a - t[row + F_BASE + sender] < 64:
                return KIND_PENDING
            return KIND_NONE
        kind = found
        _begin(found, a, t, row, sender)
    elif kind == KIND_HTTP and tls_hello(d, x, n) and d[x + 5] == 1:
        kind = KIND_TLS  # after CONNECT, or an upgrade
        _begin(kind, a, t, row, sender)
    base = t[row + F_BASE + sender]
    if base == 0:
        base = a
        t[row + F_BASE + sender] = a
        t[row + F_FOLLOW + sender] = a
        t[row + F_WANT + sender] = a
    if t[row + F_STATE] & (ST_DONE << sender) or a + n <= base:
        return KIND_NONE
    take = False
    if kind == KIND_TLS or kind == KIND_SMB:
        take = _walk_records(d, x, n, a, t, row, sender, kind, budget)
    elif kind == KIND_HTTP:
        take = _walk_http(d, x, n, a, t, row, sender)
    elif kind == KIND_SSH:
        take = a - base < SSH_WANTED
    elif kind == KIND_DNS_TCP:
        take = a - base < DNS_WANTED
    return kind if take else KIND_NONE
