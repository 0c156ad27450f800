"""Find the IP packet of a frame, whatever its link layer: machine code by numba.

Functions take the window ``d``, positions in it and the scratch row ``s`` (columns ``S_*``). Everything is ``int64``.
They hold no state, never allocate and never read outside ``[position, end)``. Sources: IEEE 802.3, 802.1Q, 802.11,
RFC 1662 (PPP), 2427 (frame relay), 2516 (PPPoE), 3032 and 4448 (MPLS), 8300 (NSH), www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from collectors.packets.layout import *  # noqa: F403 - column names, many of them needed

_njit = njit(nogil=True, error_model="numpy", boundscheck=False)


@_njit
def be16(d, p):
    """Return two bytes, big-endian."""
    return (np.int64(d[p]) << 8) | np.int64(d[p + 1])


@_njit
def be32(d, p):
    """Return four bytes, big-endian."""
    return (
        (np.int64(d[p]) << 24) | (np.int64(d[p + 1]) << 16) | (np.int64(d[p + 2]) << 8) | np.int64(d[p + 3])
    )


@_njit
def be64(d, p):
    """Return eight bytes, big-endian, as a bit pattern."""
    return (be32(d, p) << 32) | be32(d, p + 4)


@_njit
def le16(d, p):
    """Return two bytes, little-endian."""
    return np.int64(d[p]) | (np.int64(d[p + 1]) << 8)


@_njit
def le32(d, p):
    """Return four bytes, little-endian."""
    return (
        np.int64(d[p]) | (np.int64(d[p + 1]) << 8) | (np.int64(d[p + 2]) << 16) | (np.int64(d[p + 3]) << 24)
    )


@_njit
def be48(d, p):
    """Return a MAC address."""
    return (be16(d, p) << 32) | be32(d, p + 2)


@_njit
def _set(s, position, kind):
    s[S_L3] = position
    s[S_TYPE] = kind
    return OK


@_njit
def _by_nibble(d, p, e, s):
    """Take an IP packet whose version only its first nibble tells."""
    if p >= e:
        return NON_IP_EMPTY
    version = np.int64(d[p]) >> 4
    if version == 4:
        return _set(s, p, 0x0800)
    if version == 6:
        return _set(s, p, 0x86DD)
    return NON_IP_OTHER


@_njit
def ether_type(d, x, e, kind, s):
    """Walk LLC, VLAN tags, PPPoE and MPLS from Ethernet type ``kind`` (a length: LLC) with its payload at ``x``."""
    for _ in range(12):
        if kind == 0x0800 or kind == 0x86DD:
            return _set(s, x, kind)
        if kind == 0x8100 or kind == 0x88A8 or kind == 0x9100 or kind == 0x9200:
            if x + 4 > e:
                return BAD_LINK_SHORT
            tag = be16(d, x) & 0xFFF
            if s[S_VLAN] < 0:
                s[S_VLAN] = tag
            elif s[S_VLAN_INNER] < 0:
                s[S_VLAN_INNER] = tag
            kind = be16(d, x + 2)
            x += 4
        elif kind == 0x8864:
            if x + 8 > e:
                return BAD_LINK_SHORT
            kind = _ppp_type(be16(d, x + 6))
            x += 8
        elif kind == 0x8847 or kind == 0x8848:
            while x + 4 <= e and (d[x + 2] & 1) == 0:
                x += 4
            x += 4
            if x + 4 > e:
                return BAD_LINK_SHORT
            if (d[x] >> 4) == 0 and x + 18 <= e:  # pseudo-wire control word, then Ethernet (RFC 4448)
                kind = be16(d, x + 16)
                x += 18
                continue
            return _by_nibble(d, x, e, s)
        elif kind == 0x6558:
            if x + 14 > e:
                return BAD_LINK_SHORT
            kind = be16(d, x + 12)
            x += 14
        elif kind == 0x894F:  # network service header (RFC 8300): length in words, then what comes next
            if x + 8 > e:
                return BAD_LINK_SHORT
            after = np.int64(d[x + 3])
            length = (np.int64(d[x + 1]) & 0x3F) * 4
            if length < 8 or x + length > e:
                return BAD_LINK_SHORT
            x += length
            kind = np.int64(0x88B5)  # an experiment's type: nothing known
            if after == 1:
                kind = np.int64(0x0800)
            elif after == 2:
                kind = np.int64(0x86DD)
            elif after == 3:
                kind = np.int64(0x6558)
        elif kind == 0x8909:  # Cisco metadata
            if x + 8 > e:
                return BAD_LINK_SHORT
            kind = be16(d, x + 6)
            x += 8
        elif kind < 1536 and kind >= 0:  # only SNAP with an Ethernet type carries IP, and SAP 06
            if x + 8 <= e and d[x] == 0xAA and d[x + 1] == 0xAA:
                kind = be16(d, x + 6)
                x += 8
                if kind < 1536:
                    return NON_IP_LLC
            elif x + 3 <= e and d[x] == 0x06 and d[x + 1] == 0x06:
                return _set(s, x + 3, 0x0800)
            else:
                return NON_IP_LLC
        elif kind == 0x0806 or kind == 0x8035:
            return NON_IP_ARP
        else:
            return NON_IP_OTHER
    return NON_IP_OTHER


@_njit
def _ppp_type(protocol):
    """Return the Ethernet type of a PPP protocol number, 1 when it carries no IP."""
    if protocol == 0x21:
        return 0x0800
    if protocol == 0x57:
        return 0x86DD
    if protocol == 0x281:
        return 0x8847
    return -1


@_njit
def ppp(d, p, e, s):
    """Walk a PPP frame (RFC 1662): address and control, and the high byte of the protocol, may be left out."""
    if p + 2 <= e and d[p] == 0xFF and d[p + 1] == 0x03:
        p += 2
    if p >= e:
        return BAD_LINK_SHORT
    if d[p] & 1:
        return ether_type(d, p + 1, e, _ppp_type(np.int64(d[p])), s)
    if p + 2 > e:
        return BAD_LINK_SHORT
    return ether_type(d, p + 2, e, _ppp_type(be16(d, p)), s)


@_njit
def _snap(d, p, e, s):
    """Take an LLC header."""
    return ether_type(d, p, e, np.int64(0), s)


@_njit
def _family(p, family, s):
    """Map an address family of BSD, Linux or Darwin."""
    if family == 2:
        return _set(s, p, 0x0800)
    if family == 10 or family == 24 or family == 28 or family == 30:
        return _set(s, p, 0x86DD)
    return NON_IP_OTHER


@_njit
def _loopback(d, p, e, s):
    if p + 4 > e:
        return BAD_LINK_SHORT
    family = le32(d, p)
    if family > 0xFFFF:
        family = be32(d, p)
    return _family(p + 4, family, s)


@_njit
def _wireless(d, p, e, s):
    """Walk an 802.11 frame: only unencrypted data frames carry LLC."""
    if p + 24 > e:
        return NON_IP_MANAGEMENT
    control = np.int64(d[p])
    if (control >> 2) & 3 != 2 or control & 0x40:
        return NON_IP_MANAGEMENT
    flags = np.int64(d[p + 1])
    if flags & 0x40:
        return NON_IP_ENCRYPTED
    x = p + 24
    direction = flags & 3
    source = p + 10
    target = p + 4
    if direction == 1:
        target = p + 16
    elif direction == 2:
        source = p + 16
    elif direction == 3:
        target = p + 16
        source = p + 24
        x += 6
    if control & 0x80:
        x += 2
        if flags & 0x80:
            x += 4
    if x + 8 > e:
        return NON_IP_MANAGEMENT
    s[S_DMAC] = be48(d, target)
    s[S_SMAC] = be48(d, source)
    return _snap(d, x, e, s)


@_njit
def _radiotap(d, p, e, s):
    if p + 8 > e:
        return BAD_LINK_SHORT
    length = le16(d, p + 2)
    # Some drivers pad the 802.11 header to four bytes; the flags byte (bit 5) says so, after an optional TSFT.
    if length < 8 or p + length > e:
        return BAD_LINK_SHORT
    return _wireless(d, p + length, e, s)


@_njit
def _ppi(d, p, e, s):
    if p + 8 > e:
        return BAD_LINK_SHORT
    length = le16(d, p + 2)
    link = le32(d, p + 4)
    if length < 8 or p + length > e:
        return BAD_LINK_SHORT
    if link == 105:
        return _wireless(d, p + length, e, s)
    if link == 1:
        return _ethernet(d, p + length, e, s)
    return NON_IP_LINK


@_njit
def _nflog(d, p, e, s):
    """Walk the attributes of Linux NFLOG to the payload (type 9)."""
    if p + 4 > e:
        return BAD_LINK_SHORT
    x = p + 4
    while x + 4 <= e:
        length = le16(d, x)
        if length < 4:
            return BAD_LINK_SHORT
        if (le16(d, x + 2) & 0x7FFF) == 9:
            return _by_nibble(d, x + 4, e, s)
        x += (length + 3) & ~3
    return NON_IP_OTHER


@_njit
def _frame_relay(d, p, e, s):
    """Walk Q.922 address octets, then NLPID (RFC 2427) or Cisco's Ethernet type."""
    x = p
    while x < e and (d[x] & 1) == 0:
        x += 1
    x += 1
    if x + 2 > e:
        return BAD_LINK_SHORT
    if d[x] == 0x03:
        x += 1
        if d[x] == 0 and x + 1 < e:
            x += 1
        if d[x] == 0xCC:
            return _set(s, x + 1, 0x0800)
        if d[x] == 0x8E:
            return _set(s, x + 1, 0x86DD)
        if d[x] == 0x80 and x + 6 <= e:
            return ether_type(d, x + 6, e, be16(d, x + 4), s)
        return NON_IP_OTHER
    return ether_type(d, x + 2, e, be16(d, x), s)


@_njit
def _ethernet(d, p, e, s):
    if p + 14 > e:
        return BAD_LINK_SHORT
    s[S_DMAC] = be48(d, p)
    s[S_SMAC] = be48(d, p + 6)
    return ether_type(d, p + 14, e, be16(d, p + 12), s)


@_njit
def _cooked(d, p, e, s, header):
    """Walk Linux cooked captures, version 1 (16 bytes) and 2 (20 bytes)."""
    if p + header > e:
        return BAD_LINK_SHORT
    if header == 16:
        if be16(d, p + 4) == 6:
            s[S_SMAC] = be48(d, p + 6)
        kind = be16(d, p + 14)
    else:
        if d[p + 11] == 6:
            s[S_SMAC] = be48(d, p + 12)
        kind = be16(d, p)
    return ether_type(d, p + header, e, kind, s)


@_njit
def link_layer(d, p, e, link, s):
    """Find the IP packet of a frame: position in ``S_L3``, Ethernet type in ``S_TYPE``. Return a result code."""
    if p >= e:
        return NON_IP_EMPTY
    if link == 1:
        return _ethernet(d, p, e, s)
    if link == 113:
        return _cooked(d, p, e, s, 16)
    if link == 276:
        return _cooked(d, p, e, s, 20)
    if link == 101 or link == 12 or link == 14:
        return _by_nibble(d, p, e, s)
    if link == 228:
        return _set(s, p, 0x0800)
    if link == 229:
        return _set(s, p, 0x86DD)
    if link == 0 or link == 108:
        return _loopback(d, p, e, s)
    if link == 9 or link == 50:
        return ppp(d, p, e, s)
    if link == 127:
        return _radiotap(d, p, e, s)
    if link == 105:
        return _wireless(d, p, e, s)
    if link == 192:
        return _ppi(d, p, e, s)
    if link == 104:
        if p + 4 > e:
            return BAD_LINK_SHORT
        return ether_type(d, p + 4, e, be16(d, p + 2), s)
    if link == 107:
        return _frame_relay(d, p, e, s)
    if link == 239:
        return _nflog(d, p, e, s)
    if link == 10:
        if p + 13 > e:
            return BAD_LINK_SHORT
        s[S_DMAC] = be48(d, p + 1)
        s[S_SMAC] = be48(d, p + 7)
        return _snap(d, p + 13, e, s)
    return NON_IP_LINK
