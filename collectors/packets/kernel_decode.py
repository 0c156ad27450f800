"""Decode one packet from the link layer to the transport header, through tunnels: machine code by numba.

The rules of ``kernel_link`` hold here too. Sources: RFC 791, 8200, 9293, 768, 2784/2890 (GRE), 7348 (VXLAN), 8926
(Geneve), 4380 (Teredo), 3GPP TS 29.281 (GTP-U), draft-foschiano-erspan-03, draft-ietf-nvo3-vxlan-gpe.
"""

from __future__ import annotations

import numpy as np

from collectors.packets.kernel_link import _njit, be16, be32, be64, ether_type, link_layer, ppp
from collectors.packets.layout import *  # noqa: F403 - some hundred column names, all of them needed


@_njit
def _ipv4(d, x, e, s):
    """Read an IPv4 header at ``x``; the packet ends at ``e`` at the latest."""
    if x + 20 > e:
        return BAD_IP_SHORT
    if (d[x] >> 4) != 4:
        return BAD_IP_VERSION
    header = (np.int64(d[x]) & 15) * 4
    if header < 20:
        return BAD_IP_HEADER
    if x + header > e:
        return BAD_IP_SHORT
    total = be16(d, x + 2)
    room = s[S_WIRE_END] - x
    if total == 0 or total > room:  # 0: segmentation offload; too long: the frame was cut before capture
        total = room
    if total < header:
        return BAD_IP_LENGTH
    fragment = be16(d, x + 6)
    s[S_VERSION] = 4
    s[S_SRC_HI] = 0
    s[S_SRC_LO] = be32(d, x + 12)
    s[S_DST_HI] = 0
    s[S_DST_LO] = be32(d, x + 16)
    s[S_PROTO] = np.int64(d[x + 9])
    s[S_BYTES] = total
    s[S_FRAGMENT] = (fragment & 0x1FFF) << 3
    s[S_MORE] = (fragment >> 13) & 1
    s[S_IP_ID] = be16(d, x + 4)
    s[S_L4] = x + header
    s[S_END] = min(e, x + total)
    s[S_PAYLOAD_WIRE] = x + total
    return OK


@_njit
def _ipv6(d, x, e, s):
    """Read an IPv6 header and its extension headers."""
    if x + 40 > e:
        return BAD_IP_SHORT
    if (d[x] >> 4) != 6:
        return BAD_IP_VERSION
    room = s[S_WIRE_END] - x
    total = be16(d, x + 4) + 40
    if total == 40 or total > room:  # 0: jumbo or offload
        total = room if total > room or d[x + 6] != 59 else total
    s[S_VERSION] = 6
    s[S_SRC_HI] = be64(d, x + 8)
    s[S_SRC_LO] = be64(d, x + 16)
    s[S_DST_HI] = be64(d, x + 24)
    s[S_DST_LO] = be64(d, x + 32)
    s[S_BYTES] = total
    s[S_FRAGMENT] = 0
    s[S_MORE] = 0
    s[S_IP_ID] = 0
    end = min(e, x + total)
    s[S_END] = end
    s[S_PAYLOAD_WIRE] = x + total
    proto = np.int64(d[x + 6])
    y = x + 40
    for _ in range(16):
        if proto == 0 or proto == 43 or proto == 60 or proto == 135 or proto == 139 or proto == 140:
            if y + 8 > end:
                return BAD_EXTENSION
            proto, y = np.int64(d[y]), y + (np.int64(d[y + 1]) + 1) * 8
        elif proto == 44:
            if y + 8 > end:
                return BAD_EXTENSION
            offset = be16(d, y + 2)
            s[S_FRAGMENT] = offset & 0xFFF8
            s[S_MORE] = offset & 1
            s[S_IP_ID] = be32(d, y + 4)
            proto, y = np.int64(d[y]), y + 8
            if s[S_FRAGMENT]:
                break
        elif proto == 51:
            if y + 8 > end:
                return BAD_EXTENSION
            nxt, ny = np.int64(d[y]), y + (np.int64(d[y + 1]) + 2) * 4
            if nxt == 51 or nxt == 50 or nxt == 59:
                break
            proto, y = nxt, ny
        else:
            break
    if y > end:
        return BAD_EXTENSION
    s[S_PROTO] = proto
    s[S_L4] = y
    return OK


@_njit
def _icmp_ports(kind, code, six, s):
    """Stand type and code in the ports, answers paired with their questions as Community ID 1.0 does."""
    other = -1
    if six:
        if 128 <= kind <= 129:
            other = kind ^ 1
        elif kind == 133 or kind == 135:
            other = kind + 1
        elif kind == 134 or kind == 136:
            other = kind - 1
        elif kind == 130 or kind == 139 or kind == 144:
            other = kind + 1
        elif kind == 131 or kind == 140 or kind == 145:
            other = kind - 1
    elif kind == 8:
        other = 0
    elif kind == 0:
        other = 8
    elif kind == 13 or kind == 15 or kind == 17 or kind == 9:
        other = kind + 1
    elif kind == 14 or kind == 16 or kind == 18 or kind == 10:
        other = kind - 1
    s[S_SPORT] = kind
    s[S_DPORT] = other if other >= 0 else code
    s[S_ICMP] = (kind << 8) | code | ((1 << 16) if other >= 0 else 0)


@_njit
def _tcp(d, y, s):
    end = s[S_END]
    if y + 20 > end:
        if (s[S_PAYLOAD_WIRE] - y < 20 and s[S_MORE] == 0) or y + 4 > end:
            return BAD_L4_SHORT
        s[S_SPORT] = be16(
            d, y
        )  # cut by the snap length or a tiny first fragment (RFC 1858): the ports are there
        s[S_DPORT] = be16(d, y + 2)
        s[S_FLAGS] = np.int64(d[y + 13]) if y + 14 <= end else 0
        s[S_DATA] = end
        return OK
    header = (np.int64(d[y + 12]) >> 4) * 4
    if header < 20 or y + header > s[S_PAYLOAD_WIRE]:
        return BAD_TCP_HEADER
    s[S_SPORT] = be16(d, y)
    s[S_DPORT] = be16(d, y + 2)
    s[S_SEQ] = be32(d, y + 4)
    s[S_FLAGS] = np.int64(d[y + 13])
    s[S_DATA] = min(y + header, end)
    return OK


@_njit
def transport(d, s):
    """Read the transport header of a whole packet or first fragment."""
    proto = s[S_PROTO]
    y = s[S_L4]
    end = s[S_END]
    s[S_DATA] = end
    if s[S_FRAGMENT] != 0:
        s[S_DATA] = y
        return OK
    if proto == 6:
        return _tcp(d, y, s)
    if proto == 17 or proto == 132 or proto == 136 or proto == 33:
        need = 12 if proto == 132 else 8
        if y + need > end and (y + 4 > end or s[S_PAYLOAD_WIRE] - y < need):
            return BAD_L4_SHORT
        s[S_SPORT] = be16(d, y)
        s[S_DPORT] = be16(d, y + 2)
        s[S_DATA] = min(y + need, end)
        if proto == 17 and y + 8 <= end:
            length = be16(d, y + 4)
            if length != 0 and length < 8:
                return BAD_UDP_LENGTH
            if length >= 8 and s[S_MORE] == 0:
                s[S_END] = min(end, y + length)
        return OK
    if proto == 1 or proto == 58:
        if y + 2 > end:
            return BAD_L4_SHORT
        _icmp_ports(np.int64(d[y]), np.int64(d[y + 1]), proto == 58, s)
        s[S_DATA] = min(y + 8, end)
    return OK


@_njit
def _gre(d, y, end, s):
    """Find what a GRE header carries; return the tunnel code or 0."""
    if y + 4 > end:
        return 0
    flags = be16(d, y)
    kind = be16(d, y + 2)
    x = y + 4
    if flags & 0x8000 or flags & 0x4000:
        x += 4
    if flags & 0x2000:
        if x + 4 <= end:
            s[S_NEXT_ID] = be32(d, x)
        x += 4
    if flags & 0x1000:
        x += 4
    if (flags & 7) == 1:
        if flags & 0x0080:
            x += 4
        if kind != 0x880B or x >= end:
            return 0
    if flags & 0x4000:  # source routes: address family, offset, length until a zero one
        for _ in range(16):
            if x + 4 > end:
                return 0
            length = np.int64(d[x + 3])
            x += 4 + length
            if length == 0:
                break
    code = 1
    if kind == 0x88BE:
        if flags & 0x1000:
            if x + 8 > end:
                return 0
            s[S_NEXT_ID] = be16(d, x + 2) & 0x3FF
            x += 8
        kind = 0x6558
        code = 8
    elif kind == 0x22EB:
        if x + 12 > end:
            return 0
        s[S_NEXT_ID] = be16(d, x + 2) & 0x3FF
        x += 20 if d[x + 11] & 1 else 12
        kind = 0x6558
        code = 8
    s[S_NEXT] = x
    s[S_NEXT_TYPE] = kind
    return code if x < end else 0


@_njit
def _geneve(d, x, end, s):
    if x + 8 > end or (d[x] >> 6) != 0:
        return 0
    s[S_NEXT_ID] = be32(d, x + 4) >> 8
    s[S_NEXT_SPACE] = s[S_NEXT_ID] + 1
    s[S_NEXT_TYPE] = be16(d, x + 2)
    s[S_NEXT] = x + 8 + (np.int64(d[x]) & 63) * 4
    return 3 if s[S_NEXT] < end else 0


@_njit
def _gtp(d, x, end, s):
    """Walk GTP version 1 user data (G-PDU) with its extension headers."""
    if x + 8 > end or (d[x] >> 4) != 3 or d[x + 1] != 255:
        return 0
    s[S_NEXT_ID] = be32(d, x + 4)
    y = x + 8
    if d[x] & 7:
        if y + 4 > end:
            return 0
        nxt = np.int64(d[y + 3]) if d[x] & 4 else 0
        y += 4
        for _ in range(8):
            if nxt == 0:
                break
            if y >= end or d[y] == 0:
                return 0
            y += np.int64(d[y]) * 4
            if y > end:
                return 0
            nxt = np.int64(d[y - 1])
    if y >= end:
        return 0
    s[S_NEXT] = y
    version = d[y] >> 4
    s[S_NEXT_TYPE] = 0x0800 if version == 4 else (0x86DD if version == 6 else 0)
    return 4 if s[S_NEXT_TYPE] else 0


@_njit
def _teredo(d, x, end, s):
    if x + 4 <= end and d[x] == 0 and d[x + 1] == 1:
        x += 13 + np.int64(d[x + 2]) + np.int64(d[x + 3])
    if x + 8 <= end and d[x] == 0 and d[x + 1] == 0:
        x += 8
    if x + 40 > end or (d[x] >> 4) != 6 or be16(d, x + 4) + 40 > s[S_PAYLOAD_WIRE] - x:
        return 0
    s[S_NEXT] = x
    s[S_NEXT_TYPE] = 0x86DD
    return 7


@_njit
def _vxlan_gpe(d, x, s):
    """Take a VXLAN-GPE header (draft-ietf-nvo3-vxlan-gpe), which names what it carries; 0 is plain VXLAN."""
    s[S_NEXT_ID] = be32(d, x + 4) >> 8
    s[S_NEXT_SPACE] = s[S_NEXT_ID] + 1
    s[S_NEXT] = x + 8
    kind = np.int64(d[x + 3])
    if kind == 1:
        s[S_NEXT_TYPE] = 0x0800
    elif kind == 2:
        s[S_NEXT_TYPE] = 0x86DD
    elif kind == 3 or kind == 0:
        s[S_NEXT_TYPE] = 0x6558
    elif kind == 4:
        s[S_NEXT_TYPE] = 0x894F
    else:
        return 0
    return 2


@_njit
def _udp_tunnel(d, s):
    sport = s[S_SPORT]
    dport = s[S_DPORT]
    x = s[S_DATA]
    end = s[S_END]
    if (dport == 4789 or dport == 8472) and x + 22 <= end and (d[x] & 0xF7) == 0 and d[x] & 8:
        s[S_NEXT_ID] = be32(d, x + 4) >> 8
        s[S_NEXT_SPACE] = s[S_NEXT_ID] + 1
        s[S_NEXT] = x + 8
        s[S_NEXT_TYPE] = 0x6558
        return 2
    if dport == 4790 and x + 8 < end and (d[x] & 0xF0) == 0 and d[x] & 8:
        return _vxlan_gpe(d, x, s)
    if dport == 6081:
        return _geneve(d, x, end, s)
    if dport == 2152 or sport == 2152:
        return _gtp(d, x, end, s)
    if dport == 3544 or sport == 3544:
        return _teredo(d, x, end, s)
    return 0


@_njit
def tunnel(d, s):
    """Return the code of the tunnel this packet is, 0 for none; what it carries in ``S_NEXT``, ``S_NEXT_TYPE``."""
    if s[S_FRAGMENT] != 0 or s[S_MORE] != 0:
        return 0
    s[S_NEXT_ID] = -1
    s[S_NEXT_SPACE] = 0
    proto = s[S_PROTO]
    if proto == 17:
        return _udp_tunnel(d, s)
    if proto == 47:
        return _gre(d, s[S_L4], s[S_END], s)
    if proto == 4 or proto == 41:
        s[S_NEXT] = s[S_L4]
        s[S_NEXT_TYPE] = 0x0800 if proto == 4 else 0x86DD
        if s[S_VERSION] == 4:
            return 5 if proto == 4 else 6
        return 9 if proto == 4 else 10
    return 0


@_njit
def _ip(d, s):
    """Read network and transport headers at ``S_L3``."""
    s[S_SPORT] = 0
    s[S_DPORT] = 0
    s[S_FLAGS] = 0
    s[S_SEQ] = -1
    s[S_ICMP] = -1
    if s[S_TYPE] == 0x0800:
        result = _ipv4(d, s[S_L3], s[S_PACKET_END], s)
    else:
        result = _ipv6(d, s[S_L3], s[S_PACKET_END], s)
    if result != OK:
        return result
    return transport(d, s)


@_njit
def _enter(d, s, spare, code):
    """Try to decode what the tunnel carries; keep the outer packet in ``spare`` and restore it when that fails."""
    for j in range(SCRATCH):
        spare[j] = s[j]
    s[S_WIRE_END] = s[S_PAYLOAD_WIRE]
    s[S_PACKET_END] = s[S_END]
    next_type = s[S_NEXT_TYPE]
    if next_type == 0x880B:
        result = ppp(d, s[S_NEXT], s[S_END], s)
    else:
        result = ether_type(d, s[S_NEXT], s[S_END], next_type, s)
    if result == OK:
        result = _ip(d, s)
    if result != OK:
        for j in range(SCRATCH):
            s[j] = spare[j]
        return False
    s[S_SPACE] = spare[S_NEXT_SPACE]
    s[S_TUNNEL] |= code << (8 * spare[S_DEPTH])
    s[S_DEPTH] = spare[S_DEPTH] + 1
    if spare[S_DEPTH] == 0:  # the outermost addresses are those a firewall sees
        for j in range(4):
            s[S_OUTER + j] = spare[S_SRC_HI + j]
        s[S_OUTER_VERSION] = spare[S_VERSION]
        s[S_TUNNEL_ID] = spare[S_NEXT_ID]
    elif s[S_TUNNEL_ID] < 0:
        s[S_TUNNEL_ID] = spare[S_NEXT_ID]
    return True


@_njit
def decode(d, p, captured, wire, link, s, spare):
    """Decode the packet at ``p`` to its innermost IP packet. Return ``OK``, a ``NON_IP_*`` or a ``BAD_*`` code."""
    s[S_VLAN] = -1
    s[S_VLAN_INNER] = -1
    s[S_SMAC] = -1
    s[S_DMAC] = -1
    s[S_TUNNEL] = 0
    s[S_TUNNEL_ID] = -1
    s[S_SPACE] = 0
    s[S_DEPTH] = 0
    end = p + captured
    s[S_PACKET_END] = end
    s[S_WIRE_END] = max(end, p + wire)
    result = link_layer(d, p, end, link, s)
    if result != OK:
        return result
    result = _ip(d, s)
    if result != OK:
        return result
    for _ in range(MAX_DEPTH):
        code = tunnel(d, s)
        if code == 0 or not _enter(d, s, spare, code):
            break
    return OK
