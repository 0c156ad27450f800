"""Name the columns and codes that the compiled kernel and the Python around it share.

Everything is ``int64``: 128-bit addresses stand as two words (bit patterns, big-endian halves), so that the kernel
never mixes signed and unsigned numbers. Plain constants only: numba bakes them into the machine code.
"""

from __future__ import annotations

from typing import Final

# --- index of packets: one row a packet -------------------------------------------------------------------------
INDEX_COLUMNS: Final = 5
IX_OFFSET: Final = 0  # of the captured bytes in the window
IX_CAPTURED: Final = 1
IX_WIRE: Final = 2
IX_TIME: Final = 3  # microseconds since 1970 UTC
IX_LINK: Final = 4

# --- state of the file walkers ----------------------------------------------------------------------------------
WALK_SIZE: Final = 16
WK_FORMAT: Final = 0  # 1 pcap, 2 pcapng
WK_SWAPPED: Final = 1  # 1 big-endian
WK_NANOS: Final = 2
WK_HEADER: Final = 3  # record header length of pcap: 16, 24 modified, 28 nokia is not a thing seen
WK_LINK: Final = 4
WK_SNAP: Final = 5
WK_POSITION: Final = 6  # in: where to start in the window; out: where the walk stopped
WK_LAST_TIME: Final = 7
WK_INTERFACES: Final = 8
WK_NEED: Final = 9  # bytes the next record needs, when it does not fit the window
WK_IN_SECTION: Final = 10
WK_SKIPPED_BLOCKS: Final = 11

MAX_INTERFACES: Final = 1024
INTERFACE_COLUMNS: Final = 4  # link type, units per second, offset seconds, snap length

# why a walk stopped
WALK_END: Final = 0  # window used up, or too short for the next record (WK_NEED)
WALK_FULL: Final = 1  # index full
WALK_DAMAGED: Final = 2  # nonsense at WK_POSITION

MAX_RECORD: Final = 1 << 20  # no link layer carries more; beyond it a length is damage
MAX_BLOCK: Final = 1 << 24

# --- flow table: one row a live flow ----------------------------------------------------------------------------
COLUMNS: Final = 56
F_KEY: Final = 0  # ports, protocol, version
F_A_HI: Final = 1
F_A_LO: Final = 2
F_B_HI: Final = 3
F_B_LO: Final = 4
F_SPACE: Final = 5  # VLAN and virtual network: the same address in two of them is two hosts
F_NEXT: Final = 6  # chain of the hash bucket, or of the free list
F_LAST: Final = 7
F_FIRST: Final = 8  # of this part
F_PACKETS: Final = 9  # from originator; +1 from responder
F_BYTES: Final = 11
F_FLAGS: Final = 13
F_ORIGIN: Final = 15  # 1 when A is the originator
F_STATE: Final = 16
F_PAYLOADS: Final = 17
F_PAYLOAD_BYTES: Final = 19
F_WIRE: Final = 21
F_SERIAL: Final = 23
F_POSITION: Final = 24
F_HASH: Final = 25
F_PART: Final = 26
F_KIND: Final = 27
F_ISN: Final = 28  # first sequence number of each direction, -1 unknown
F_BASE: Final = 30  # sequence number of the first byte selected, -1 none
F_SMAC: Final = 32  # of the first packet's sender
F_DMAC: Final = 33
F_VLAN: Final = 34
F_VLAN_INNER: Final = 35
F_TUNNEL: Final = 36
F_OUTER: Final = 37  # source hi lo, destination hi lo
F_OUTER_VERSION: Final = 41
F_TUNNEL_ID: Final = 42
F_FRAGMENTS: Final = 43
F_ICMP: Final = 44  # type << 8 | code of the first packet
F_REASON: Final = 45
F_SENT_BY_A: Final = 46  # 1 when the first packet's sender is A
F_LIVE: Final = 47
F_BUCKET: Final = 48
F_BEGAN: Final = 49  # first packet of the whole flow, over all parts
F_FOLLOW: Final = 50  # per direction: sequence number of the next record head, -1 none
F_NEXT_SEQ: Final = 52  # per direction: highest sequence number seen + length
F_SELECTED: Final = 54  # per direction: bytes handed to reassembly after the first budget

# TCP state bits (F_STATE)
ST_SYN: Final = 1
ST_SYN_ACK: Final = 2
ST_FIN_ORIGIN: Final = 4
ST_FIN_RESPONDER: Final = 8
ST_RESET: Final = 16
ST_DATA: Final = 32
ST_DONE_ORIGIN: Final = 64  # nothing more to select from this direction
ST_DONE_RESPONDER: Final = 128

# why a flow record was written (F_REASON)
END_IDLE: Final = 1
END_CLOSED: Final = 2
END_ACTIVE: Final = 3
END_EVICTED: Final = 4
END_FILE: Final = 5
REASONS: Final = {
    END_IDLE: "idle_timeout",
    END_CLOSED: "closed",
    END_ACTIVE: "active_timeout",
    END_EVICTED: "evicted",
    END_FILE: "end_of_input",
}

# --- selected payload: one row a piece --------------------------------------------------------------------------
ITEM_COLUMNS: Final = 10
IT_SERIAL: Final = 0
IT_SIDE: Final = 1  # bit 0: from responder; bit 1: sender is B
IT_OFFSET: Final = 2  # in the window
IT_LENGTH: Final = 3
IT_REL: Final = 4  # offset in the direction's stream; for fragments the byte offset
IT_TIME: Final = 5
IT_KIND: Final = 6
IT_SLOT: Final = 7
IT_PACKET: Final = 8  # packet's row in the index
IT_EXTRA: Final = 9  # fragments: ip id << 1 | more fragments

KIND_NONE: Final = 0
KIND_TLS: Final = 1
KIND_HTTP: Final = 2
KIND_SSH: Final = 3
KIND_SMB: Final = 4
KIND_DNS_TCP: Final = 5
KIND_PENDING: Final = 6
KIND_DNS: Final = 16
KIND_MDNS: Final = 17
KIND_LLMNR: Final = 18
KIND_NBNS: Final = 19
KIND_FRAGMENT: Final = 24
PROTOCOLS: Final = {
    KIND_TLS: "tls",
    KIND_HTTP: "http",
    KIND_SSH: "ssh",
    KIND_SMB: "smb",
    KIND_DNS_TCP: "dns",
    KIND_DNS: "dns",
    KIND_MDNS: "mdns",
    KIND_LLMNR: "llmnr",
    KIND_NBNS: "nbns",
}

# --- decoded packet ---------------------------------------------------------------------------------------------
SCRATCH: Final = 40
S_VERSION: Final = 0
S_SRC_HI: Final = 1
S_SRC_LO: Final = 2
S_DST_HI: Final = 3
S_DST_LO: Final = 4
S_PROTO: Final = 5
S_SPORT: Final = 6
S_DPORT: Final = 7
S_FLAGS: Final = 8
S_DATA: Final = 9
S_END: Final = 10
S_BYTES: Final = 11
S_VLAN: Final = 12
S_VLAN_INNER: Final = 13
S_SMAC: Final = 14
S_DMAC: Final = 15
S_TUNNEL: Final = 16
S_OUTER: Final = 17
S_OUTER_VERSION: Final = 21
S_TUNNEL_ID: Final = 22
S_FRAGMENT: Final = 23  # byte offset of this fragment
S_MORE: Final = 24
S_IP_ID: Final = 25
S_SEQ: Final = 26
S_ICMP: Final = 27
S_L3: Final = 28
S_TYPE: Final = 29
S_PACKET_END: Final = 30
S_WIRE_END: Final = 31
S_SPACE: Final = 32
S_DEPTH: Final = 33
S_L4: Final = 34
S_NEXT_TYPE: Final = 35
S_NEXT: Final = 36
S_PAYLOAD_WIRE: Final = 37
S_NEXT_SPACE: Final = 38
S_NEXT_ID: Final = 39

# decode results: 0 = an IP packet stands in the scratch row
OK: Final = 0
NON_IP_LINK: Final = 1
NON_IP_ARP: Final = 2
NON_IP_OTHER: Final = 3
NON_IP_ENCRYPTED: Final = 4
NON_IP_LLC: Final = 5
NON_IP_EMPTY: Final = 6
NON_IP_MANAGEMENT: Final = 7
NON_IP_COUNT: Final = 16
BAD_LINK_SHORT: Final = 16
BAD_IP_SHORT: Final = 17
BAD_IP_VERSION: Final = 18
BAD_IP_HEADER: Final = 19
BAD_IP_LENGTH: Final = 20
BAD_L4_SHORT: Final = 21
BAD_TCP_HEADER: Final = 22
BAD_UDP_LENGTH: Final = 23
BAD_EXTENSION: Final = 24
BAD_COUNT: Final = 32
NON_IP_NAMES: Final = {
    NON_IP_LINK: "link_unsupported",
    NON_IP_ARP: "arp",
    NON_IP_OTHER: "other",
    NON_IP_ENCRYPTED: "wireless_encrypted",
    NON_IP_LLC: "llc",
    NON_IP_EMPTY: "empty",
    NON_IP_MANAGEMENT: "wireless_management",
}
BAD_NAMES: Final = {
    BAD_LINK_SHORT: "link header is cut short",
    BAD_IP_SHORT: "IP header is cut short",
    BAD_IP_VERSION: "IP version does not fit the link type",
    BAD_IP_HEADER: "IP header length is impossible",
    BAD_IP_LENGTH: "IP total length is shorter than its header",
    BAD_L4_SHORT: "transport header is cut short",
    BAD_TCP_HEADER: "TCP header length is impossible",
    BAD_UDP_LENGTH: "UDP length is impossible",
    BAD_EXTENSION: "IPv6 extension headers do not end",
}

# tunnel codes (S_TUNNEL, F_TUNNEL)
TUNNELS: Final = {
    1: "gre", 2: "vxlan", 3: "geneve", 4: "gtp-u", 5: "ipip", 6: "6in4", 7: "teredo", 8: "erspan", 9: "4in6",
    10: "6in6",
}  # fmt: skip
MAX_DEPTH: Final = 4

# --- control words of the meter ---------------------------------------------------------------------------------
CONTROL: Final = 96
C_CAPACITY: Final = 0
C_MASK: Final = 1
C_FREE: Final = 2  # head of the free list, -1 none
C_SERIAL: Final = 3
C_OUT: Final = 4
C_OUT_ROOM: Final = 5
C_ITEMS: Final = 6
C_ITEM_ROOM: Final = 7
C_BAD: Final = 8
C_BAD_ROOM: Final = 9
C_PACKETS: Final = 10
C_LIVE: Final = 11
C_SELECT: Final = 12  # 0 flows only
C_BASE: Final = 13  # decompressed offset of the window
C_IDLE_TCP: Final = 14
C_IDLE: Final = 15
C_IDLE_CLOSED: Final = 16
C_ACTIVE: Final = 17
C_WIRE_BYTES: Final = 18
C_IN_FLOWS: Final = 19
C_FRAGMENTS: Final = 20
C_TUNNELLED: Final = 21
C_LAST_TIME: Final = 22
C_CURSOR: Final = 23
C_BUDGET: Final = 24  # bytes of a direction handed to reassembly
C_RESULTS: Final = 32  # + decode result: packets
FRAGMENT_SLOTS: Final = 4096
FRAGMENT_COLUMNS: Final = 8
BAD_COLUMNS: Final = 4  # row in the index, code, offset in window, length

# why the meter stopped
METER_DONE: Final = -1
