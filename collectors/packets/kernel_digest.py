"""Name flows: Community ID and event id of a flow's row, machine code by numba.

Per flow this costs a tenth of what calling ``hashlib`` from Python does. Everything fits one block of either hash. All
numbers are ``int64``: sums wrap as the hashes want it, shifts to the right are masked. Scratch is ``c[C_WORK:]``.
Sources: FIPS 180-4 (SHA-1), RFC 7693 (BLAKE2b), RFC 4648 (base64, base32hex), Community ID 1.0.
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_link import _njit
from collectors.packets.layout import *  # noqa: F403 - column names

M32 = 0xFFFFFFFF
SIGN = -(1 << 63)
BLAKE_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
).view(np.int64)  # fmt: skip
SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
FLOW = 0x776F6C66  # b"flow", little-endian
ID_WORDS = 4  # 26 letters
COMMUNITY_WORDS = 4  # 28 letters


@_njit
def _rol32(x, n):
    return ((x << n) | (x >> (32 - n))) & M32


@_njit
def _sha1(w):
    """Hash the block of 32-bit words at ``C_WORK``, padded by the caller; leave five words 80 further."""
    for i in range(C_WORK + 16, C_WORK + 80):
        w[i] = _rol32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)
    a = np.int64(0x67452301)
    b = np.int64(0xEFCDAB89)
    c = np.int64(0x98BADCFE)
    d = np.int64(0x10325476)
    e = np.int64(0xC3D2E1F0)
    for i in range(80):
        if i < 20:
            f = (b & c) | (~b & M32 & d)
            k = np.int64(0x5A827999)
        elif i < 40:
            f = b ^ c ^ d
            k = np.int64(0x6ED9EBA1)
        elif i < 60:
            f = (b & c) | (b & d) | (c & d)
            k = np.int64(0x8F1BBCDC)
        else:
            f = b ^ c ^ d
            k = np.int64(0xCA62C1D6)
        new = (_rol32(a, 5) + f + e + k + w[C_WORK + i]) & M32
        e, d, c, b, a = d, c, _rol32(b, 30), a, new
    w[C_WORK + 80] = (a + 0x67452301) & M32
    w[C_WORK + 81] = (b + 0xEFCDAB89) & M32
    w[C_WORK + 82] = (c + 0x98BADCFE) & M32
    w[C_WORK + 83] = (d + 0x10325476) & M32
    w[C_WORK + 84] = (e + 0xC3D2E1F0) & M32


@_njit
def _put(c, at, value, size):
    """Append ``size`` bytes, big-endian, to the block of 32-bit words; return the new length."""
    for i in range(size):
        byte = (value >> (8 * (size - 1 - i))) & 0xFF
        c[C_WORK + (at >> 2)] |= byte << (24 - 8 * (at & 3))
        at += 1
    return at


@_njit
def _base64(value):
    """Return the letter of six bits."""
    if value < 26:
        return value + 65
    if value < 52:
        return value + 71
    if value < 62:
        return value - 4
    return np.int64(43) if value == 62 else np.int64(47)


@_njit
def _letter(out, at, i, code):
    """Write letter ``i`` of the text that begins at word ``at``."""
    out[at + (i >> 3)] |= code << (8 * (i & 7))


@_njit
def community(t, row, c, out, at):
    """Write the base64 part of the Community ID (seed 0) of the flow at ``row`` to ``out[at:]``.

    Ends are ordered by address and port as unsigned numbers, except for ICMP types without an answer, which have only
    one direction: there the originator comes first.
    """
    key = t[row + F_KEY]
    proto = (key >> 8) & 0xFF
    swap = t[row + F_STATE] & ST_ORIGIN_B
    if (proto != 1 and proto != 58) or t[row + F_ICMP] & (1 << 16):
        a_hi, b_hi = t[row + F_A_HI] ^ SIGN, t[row + F_B_HI] ^ SIGN  # unsigned order
        a_lo, b_lo = t[row + F_A_LO] ^ SIGN, t[row + F_B_LO] ^ SIGN
        if a_hi != b_hi:
            swap = 1 if a_hi > b_hi else 0
        elif a_lo != b_lo:
            swap = 1 if a_lo > b_lo else 0
        else:
            swap = 1 if (key >> 40) & 0xFFFF > (key >> 24) & 0xFFFF else 0
    for i in range(16):
        c[C_WORK + i] = 0
    n = np.int64(2)
    for end in range(2):
        high = t[row + (F_B_HI if (end ^ swap) else F_A_HI)]
        low = t[row + (F_B_LO if (end ^ swap) else F_A_LO)]
        if key & 0xFF == 6:
            n = _put(c, n, high, 8)
            n = _put(c, n, low, 8)
        else:
            n = _put(c, n, low, 4)
    n = _put(c, n, proto << 8, 2)
    if proto == 6 or proto == 17 or proto == 132 or proto == 1 or proto == 58:
        n = _put(c, n, (key >> (24 if swap else 40)) & 0xFFFF, 2)
        n = _put(c, n, (key >> (40 if swap else 24)) & 0xFFFF, 2)
    c[C_WORK + (n >> 2)] |= np.int64(0x80) << (24 - 8 * (n & 3))
    c[C_WORK + 15] = 8 * n
    _sha1(c)
    for i in range(COMMUNITY_WORDS):
        out[at + i] = 0
    for i in range(27):
        bit = 6 * i
        word = c[C_WORK + 80 + (bit >> 5)]
        after = c[C_WORK + 81 + (bit >> 5)] if bit < 128 else np.int64(0)
        _letter(out, at, i, _base64((((word << 32) | after) >> (58 - (bit & 31))) & 63))
    _letter(out, at, 27, 61)


@_njit
def _swap32(x):
    return ((x >> 24) & 0xFF) | ((x >> 8) & 0xFF00) | ((x << 8) & 0xFF0000) | ((x & 0xFF) << 24)


@_njit
def _swap64(x):
    return (_swap32(x & M32) << 32) | _swap32((x >> 32) & M32)


@_njit
def _rotated(x, n):
    """Rotate 64 bits to the right."""
    return ((x >> n) & ((np.int64(1) << (64 - n)) - 1)) | (x << (64 - n))


@_njit
def _mix(w, i, j, k, m, x, y):
    """Do one half of half a round on the words from ``C_WORK`` on (RFC 7693 section 3.1)."""
    i, j, k, m = C_WORK + i, C_WORK + j, C_WORK + k, C_WORK + m
    w[i] = w[i] + w[j] + x
    w[m] = _rotated(w[m] ^ w[i], 32)
    w[k] = w[k] + w[m]
    w[j] = _rotated(w[j] ^ w[k], 24)
    w[i] = w[i] + w[j] + y
    w[m] = _rotated(w[m] ^ w[i], 16)
    w[k] = w[k] + w[m]
    w[j] = _rotated(w[j] ^ w[k], 63)


@_njit
def event_id(t, row, c, out, at):
    """Write the 26 letters of a flow's event id to ``out[at:]``: ``make_event_id`` of its place, "flow" and part.

    The 32 bytes hashed are the source's identity (``C_IDENTITY``), the position, the part, and the word "flow".
    """
    for i in range(8):
        c[C_WORK + i] = BLAKE_IV[i]
        c[C_WORK + 8 + i] = BLAKE_IV[i]
    c[C_WORK + 0] ^= 0x01010010  # 16 bytes of digest, no key
    first, second = c[C_WORK + 0], c[C_WORK + 1]
    c[C_WORK + 12] ^= 32
    c[C_WORK + 14] = ~c[C_WORK + 14]
    for i in range(16):
        c[C_WORK + 16 + i] = 0
    c[C_WORK + 16] = c[C_IDENTITY]
    c[C_WORK + 17] = c[C_IDENTITY + 1]
    c[C_WORK + 18] = _swap64(t[row + F_POSITION])
    c[C_WORK + 19] = _swap32(t[row + F_PART]) | (np.int64(FLOW) << 32)
    for r in range(12):
        _mix(c, 0, 4, 8, 12, c[C_WORK + 16 + SIGMA[r % 10, 0]], c[C_WORK + 16 + SIGMA[r % 10, 1]])
        _mix(c, 1, 5, 9, 13, c[C_WORK + 16 + SIGMA[r % 10, 2]], c[C_WORK + 16 + SIGMA[r % 10, 3]])
        _mix(c, 2, 6, 10, 14, c[C_WORK + 16 + SIGMA[r % 10, 4]], c[C_WORK + 16 + SIGMA[r % 10, 5]])
        _mix(c, 3, 7, 11, 15, c[C_WORK + 16 + SIGMA[r % 10, 6]], c[C_WORK + 16 + SIGMA[r % 10, 7]])
        _mix(c, 0, 5, 10, 15, c[C_WORK + 16 + SIGMA[r % 10, 8]], c[C_WORK + 16 + SIGMA[r % 10, 9]])
        _mix(c, 1, 6, 11, 12, c[C_WORK + 16 + SIGMA[r % 10, 10]], c[C_WORK + 16 + SIGMA[r % 10, 11]])
        _mix(c, 2, 7, 8, 13, c[C_WORK + 16 + SIGMA[r % 10, 12]], c[C_WORK + 16 + SIGMA[r % 10, 13]])
        _mix(c, 3, 4, 9, 14, c[C_WORK + 16 + SIGMA[r % 10, 14]], c[C_WORK + 16 + SIGMA[r % 10, 15]])
    high = _swap64(first ^ c[C_WORK + 0] ^ c[C_WORK + 8])
    low = _swap64(second ^ c[C_WORK + 1] ^ c[C_WORK + 9])
    for i in range(ID_WORDS):
        out[at + i] = 0
    for i in range(26):
        bit = 5 * i
        if bit <= 59:
            value = (high >> (59 - bit)) & 31
        elif bit < 64:
            value = ((high << (bit - 59)) | ((low >> (123 - bit)) & ((np.int64(1) << (bit - 59)) - 1))) & 31
        elif bit <= 123:
            value = (low >> (123 - bit)) & 31
        else:
            value = (low << (bit - 123)) & 31
        _letter(out, at, i, value + (48 if value < 10 else 87))


@_njit
def name_flow(t, slot, c, out):
    """Write a live flow's Community ID to ``out``; return 0."""
    community(t, slot * COLUMNS, c, out, 0)
    return np.int64(0)
