"""Turn rows of ended flows into events of the data set ``packets.flow``.

Bytes are IP bytes, headers included, as NetFlow and Zeek's ``orig_ip_bytes`` count them; of a tunnel, those of the
innermost packet. ``@timestamp`` is the first packet's time, so a capture that grows keeps the records it had.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Final

from collectors.packets import layout
from collectors.packets.addressing import instant_text, put_addressing, put_ends, put_macs
from collectors.packets.meter import Names, Row
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event

DATASET: Final = "packets.flow"
# (first record, last record of the flow) → event.type
_TYPES: Final = {
    (True, True): ("connection", "start", "end"),
    (True, False): ("connection", "start"),
    (False, True): ("connection", "end"),
    (False, False): ("connection",),
}
# In the order in which records write them.
_COUNTS: Final[Event] = {
    "source.bytes": 0,
    "destination.bytes": 0,
    "network.bytes": 0,
    "source.packets": 0,
    "destination.packets": 0,
    "network.packets": 0,
}
# What a pattern of events is made of, besides protocol and IP version, and what is a flow's own.
_SHAPE: Final = itemgetter(
    layout.F_STATE, layout.F_FLAGS, layout.F_KIND, layout.F_PART, layout.F_REASON, layout.F_FRAGMENTS, layout.F_ICMP,
    layout.F_VLAN, layout.F_VLAN_INNER, layout.F_FIRST_SIDE,
)  # fmt: skip
_OWN: Final = itemgetter(
    layout.F_FIRST, layout.F_LAST, layout.F_STATE, layout.F_BYTES, layout.F_BYTES + 1, layout.F_PACKETS,
    layout.F_PACKETS + 1, layout.F_PAYLOADS, layout.F_PAYLOADS + 1, layout.F_POSITION,
)  # fmt: skip
_PATTERNS: Final = 4_096


@lru_cache(maxsize=256)
def flags_text(flags: int) -> str:
    """Return TCP flags as letters (RFC 9293, RFC 3168): F S R P A U E C."""
    return "".join(letter for bit, letter in enumerate("FSRPAUEC") if flags >> bit & 1)


def tcp_state(row: Row) -> str:
    """Return what became of a TCP connection, over all its records.

    ``attempt`` a SYN without answer, ``rejected`` a reset instead of an answer, ``established``, ``closed`` by both
    sides, ``reset`` after it stood, ``partial`` when its beginning was not seen.
    """
    state = row[layout.F_STATE]
    if state & layout.ST_SYN_ACK:
        if state & layout.ST_RESET:
            return "reset"
        return "closed" if state & (layout.ST_FIN * 3) == layout.ST_FIN * 3 else "established"
    if state & layout.ST_SYN:
        return "rejected" if state & layout.ST_RESET else "attempt"
    return "partial"


class FlowWriter:
    """Make the flow events of one reading of one source.

    Most of what flows say takes few values: for each combination the event is made once, and what is the flow's own is
    written into copies of it. The names come in one order whichever way, so equal flows make equal text.
    """

    def __init__(self, created: str, place: Event) -> None:
        """Take the time of collection, and unit and zone as fields."""
        self._created = created
        self._place = place
        self._patterns: dict[Row, Event] = {}

    def event(self, row: Row, names: Names) -> Event:
        """Return the event of one flow record."""
        if row[layout.F_TUNNEL]:
            event = self._pattern(row, names)
        else:
            macs = row[layout.F_SMAC] < 0, row[layout.F_DMAC] < 0
            shape = (row[layout.F_KEY] & 0xFFFF, *macs, *_SHAPE(row))
            pattern = self._patterns.get(shape)
            if pattern is None:
                pattern = self._keep(shape, self._pattern(row, names))
            event = pattern.copy()
        begin, end, state, sent, received, sent_packets, received_packets, payloads, answers, place = _OWN(
            row
        )
        if state & layout.ST_ORIGIN_B:
            sent, received, sent_packets, received_packets = received, sent, received_packets, sent_packets
            payloads, answers = answers, payloads
        started = instant_text(begin)
        event[TIMESTAMP] = event["event.start"] = started
        # As make_event_id(started, identity, position, b"flow", part); the kernel has done the digest.
        event[EVENT_ID] = f"{started[:4]}{started[5:7]}{started[8:10]}-{names[0]}"
        event["event.end"] = instant_text(end)
        event["event.duration"] = (end - begin) * 1000
        put_ends(event, row)
        event["network.community_id"] = names[1]
        put_macs(event, row)
        event["source.bytes"] = sent
        event["destination.bytes"] = received
        event["network.bytes"] = sent + received
        event["source.packets"] = sent_packets
        event["destination.packets"] = received_packets
        event["network.packets"] = sent_packets + received_packets
        event["edusoc.flow.payload_packets_source"] = payloads
        event["edusoc.flow.payload_packets_destination"] = answers
        event["edusoc.capture.offset"] = place
        return event

    def _keep(self, shape: Row, pattern: Event) -> Event:
        if len(self._patterns) >= _PATTERNS:
            self._patterns.clear()
        self._patterns[shape] = pattern
        return pattern

    def _pattern(self, row: Row, names: Names) -> Event:
        """Return an event like that of ``row``, all names in order; what is the flow's own is yet to be written."""
        event: Event = {
            TIMESTAMP: "",
            EVENT_ID: "",
            "event.kind": "event",
            "event.category": ["network"],
            "event.type": list(_TYPES[row[layout.F_PART] == 1, row[layout.F_REASON] != layout.END_ACTIVE]),
            "event.module": "packets",
            "event.dataset": DATASET,
            "event.created": self._created,
            "event.start": "",
            "event.end": "",
            "event.duration": 0,
        }
        event.update(self._place)
        put_addressing(event, row, names[1])
        put_macs(event, row)
        event.update(_COUNTS)
        protocol = layout.PROTOCOLS.get(row[layout.F_KIND])
        if protocol is not None:
            event["network.protocol"] = protocol
        self._put_details(event, row)
        return event

    def _put_details(self, event: Event, row: Row) -> None:
        source = row[layout.F_STATE] & layout.ST_ORIGIN_B
        if row[layout.F_KEY] >> 8 & 0xFF == 6:
            flags = row[layout.F_FLAGS]
            event["edusoc.flow.state"] = tcp_state(row)
            for name, side in (("source", source), ("destination", 1 - source)):
                if letters := flags_text(flags >> 8 * side & 0xFF):
                    event[f"edusoc.flow.tcp_flags_{name}"] = letters
        event["edusoc.flow.payload_packets_source"] = event["edusoc.flow.payload_packets_destination"] = 0
        event["edusoc.flow.end_reason"] = layout.REASONS[row[layout.F_REASON]]
        event["edusoc.flow.part"] = row[layout.F_PART]
        if row[layout.F_FRAGMENTS]:
            event["edusoc.flow.fragments"] = row[layout.F_FRAGMENTS]
        event["edusoc.capture.offset"] = 0


def place_fields(organization_id: str, zone: str) -> Event:
    """Return unit and zone as every event of a reading carries them; nothing for ``edusoc read``."""
    return {ORGANIZATION_ID: organization_id, ZONE: zone} if organization_id else {}
