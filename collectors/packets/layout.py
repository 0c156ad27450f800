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
IX_LINK: Final = 4  # -1 unknown

# --- state of the file walkers ----------------------------------------------------------------------------------
WALK_SIZE: Final = 16
WK_SWAPPED: Final = 0  # 1 big-endian
WK_UNITS: Final = 1  # pcap: fractions of a second that one unit of time is
WK_HEADER: Final = 2  # pcap: length of a record's header, 16 or (modified) 24
WK_LINK: Final = 3
WK_SNAP: Final = 4
WK_POSITION: Final = 5  # in: where to start in the window; out: where the walk stopped
WK_LAST_TIME: Final = 6
WK_INTERFACES: Final = 7
WK_NEED: Final = 8  # bytes from WK_POSITION on that the next record needs
WK_OLD: Final = 9  # pcap before version 2.3 has the two lengths swapped; 2.3 may
WK_MAGIC: Final = 10
WK_LAST: Final = 11  # 1: no bytes follow this window

MAX_INTERFACES: Final = 1024
INTERFACE_COLUMNS: Final = 4
IF_LINK: Final = 0
IF_RESOLUTION: Final = 1  # as if_tsresol: power of ten, or of two with bit 7
IF_OFFSET: Final = 2  # seconds
IF_SNAP: Final = 3

# why a walk stopped
WALK_END: Final = 0  # the window is used up, or the next record needs WK_NEED bytes
WALK_FULL: Final = 1  # index full
WALK_DAMAGED: Final = 2  # nonsense at WK_POSITION

MAX_RECORD: Final = 1 << 20  # no link layer carries more; beyond it a length is damage
MAX_BLOCK: Final = 1 << 24
MAX_TIME: Final = 253_402_300_799_000_000  # the end of year 9999, in microseconds

# --- flow table: one row a live flow. A and B are the ends in canonical order; pairs are [sent by A, sent by B] ---
# The first 24 words are touched by every packet: three cache lines.
COLUMNS: Final = 56
F_KEY: Final = 0  # port of A << 40 | port of B << 24 | protocol << 8 | IP version
F_A_HI: Final = 1
F_A_LO: Final = 2
F_B_HI: Final = 3
F_B_LO: Final = 4
F_SPACE: Final = 5  # virtual network of a tunnel + 1: the same address in two of them is two hosts
F_NEXT: Final = 6  # next slot + 1 in the hash bucket, 0 none; of a free slot, the next free one, -1 none
F_LAST: Final = 7
F_FIRST: Final = 8  # time of the first packet of this record
F_PACKETS: Final = 9
F_BYTES: Final = 11  # IP bytes
F_FLAGS: Final = 13  # TCP flags seen, of B's packets << 8
F_STATE: Final = 14
F_KIND: Final = 15
F_PAYLOADS: Final = 16
F_WIRE: Final = 18  # frame bytes
F_NEXT_SEQ: Final = 20  # stream position after the highest byte seen, 0 unknown; positions never wrap
F_SERIAL: Final = 22
F_LIVE: Final = 23
F_BASE: Final = 24  # stream position of the first selected byte, 0 none
F_FOLLOW: Final = 26  # stream position of the next record's head
F_WANT: Final = 28  # bytes before this stream position are wanted
F_HEAD: Final = 30  # bytes of a split record head << 3 | how many
F_BEGAN: Final = 32  # time of the first packet of the flow, over all records
F_BEGAN_POSITION: Final = 33  # and where it stands in the capture
F_POSITION: Final = 34  # where the first packet of this record stands in the capture
F_PART: Final = 35
F_BUCKET: Final = 36
F_REASON: Final = 37
F_FRAGMENTS: Final = 38
F_ICMP: Final = 39  # of the first packet: type << 8 | code, bit 16 when the type has an answer
F_SMAC: Final = 40  # of the first packet
F_DMAC: Final = 41
F_VLAN: Final = 42  # of the first tagged packet
F_VLAN_INNER: Final = 43
F_TUNNEL: Final = 44
F_TUNNEL_ID: Final = 45
F_OUTER_VERSION: Final = 46
F_FIRST_SIDE: Final = 47  # who sent the first packet
F_OUTER: Final = 48  # of the first packet: source hi lo, destination hi lo
F_ISN: Final = 52  # stream position after the SYN, 0 none seen

# a row of the output: the flow's, then 26 letters of its event id and 28 of its Community ID as bytes
OUT_COLUMNS: Final = 64
O_EVENT_ID: Final = 56
O_COMMUNITY: Final = 60

# F_STATE; pairs of bits are shifted by the sender
ST_ORIGIN_B: Final = 1
ST_SYN: Final = 2
ST_SYN_ACK: Final = 4
ST_RESET: Final = 8
ST_FIN: Final = 16  # and 32
ST_DONE: Final = 64  # and 128: nothing more to select from this direction
ST_OPEN: Final = 256  # and 512: TLS application data seen; HTTP: the end of the head is still to come

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
IT_SENDER: Final = 1  # 0 A, 1 B; bit 1: bytes before have not come
IT_OFFSET: Final = 2  # in the window
IT_LENGTH: Final = 3
IT_STREAM: Final = 4  # stream position of the first byte; positions of a direction never wrap
IT_TIME: Final = 5
IT_KIND: Final = 6
IT_SLOT: Final = 7
IT_POSITION: Final = 8  # where the packet stands in the capture
IT_BASE: Final = 9  # stream position where the direction's selection began

KIND_NONE: Final = 0
KIND_TLS: Final = 1
KIND_HTTP: Final = 2
KIND_SSH: Final = 3
KIND_SMB: Final = 4
KIND_DNS_TCP: Final = 5
KIND_PENDING: Final = 6  # undecided: early bytes are missing or too few for a signature
KIND_DATAGRAM: Final = 16  # kinds from here on are datagrams
KIND_DNS: Final = 16
KIND_MDNS: Final = 17
KIND_LLMNR: Final = 18
KIND_NBNS: Final = 19
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
SCRATCH: Final = 41
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
S_HOLE: Final = 40  # 1: bytes of the stream before this payload have not come

# decode results: 0 = an IP packet stands in the scratch row
OK: Final = 0
NON_IP_LINK: Final = 1
NON_IP_ARP: Final = 2
NON_IP_OTHER: Final = 3
NON_IP_ENCRYPTED: Final = 4
NON_IP_LLC: Final = 5
NON_IP_EMPTY: Final = 6
NON_IP_MANAGEMENT: Final = 7
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
CONTROL: Final = 192
C_CAPACITY: Final = 0
C_MASK: Final = 1  # of the hash buckets
C_FREE: Final = 2  # head of the free list, -1 none
C_SERIAL: Final = 3
C_OUT: Final = 4  # rows written
C_OUT_ROOM: Final = 5
C_ITEMS: Final = 6
C_ITEM_ROOM: Final = 7
C_BAD: Final = 8
C_BAD_ROOM: Final = 9
C_PACKETS: Final = 10
C_LIVE: Final = 11
C_SELECT: Final = 12  # 0 flows only
C_BASE: Final = 13  # decompressed offset of the window
C_IDLE_TCP: Final = 14  # microseconds
C_IDLE: Final = 15
C_IDLE_CLOSED: Final = 16
C_ACTIVE: Final = 17
C_EVICTED: Final = 18
C_FRAGMENTS: Final = 19
C_TUNNELLED: Final = 20
C_CLOCK: Final = 21  # packet clock
C_CLOCK_DOUBT: Final = 22  # a time far from the clock, believed when the next packet agrees
C_CURSOR: Final = 23  # where the sweep for idle flows stands
C_HIGH: Final = 24  # slots ever used
C_BUDGET: Final = 25  # bytes of a direction handed to reassembly
C_SEED: Final = 26
C_ITEM_BYTES: Final = 27
C_IDENTITY: Final = 28  # of the source: 16 bytes in two words
C_RESULTS: Final = 32  # + decode result: packets
C_WORK: Final = 96  # scratch of the digests: 86 words
FRAGMENT_SLOTS: Final = 4096
FRAGMENT_COLUMNS: Final = 8
BAD_COLUMNS: Final = 4  # code, position in the capture, offset in the window, length
OUT_RESERVE: Final = 40  # rows that one packet and the sweep after it may write at most
SWEEP: Final = 16  # slots looked at after every 16 packets
