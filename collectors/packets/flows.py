"""Turn rows of ended flows into events of the data set ``packets.flow``.

Bytes are IP bytes, headers included, as NetFlow and Zeek's ``orig_ip_bytes`` count them; of a tunnel, those of the
innermost packet. ``@timestamp`` is the first packet's time, so a capture that grows keeps the records it had.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from collectors.packets import layout
from collectors.packets.addressing import instant_text, put_addressing, put_macs
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
    """Make the flow events of one reading of one source."""

    def __init__(self, created: str, place: Event) -> None:
        """Take the time of collection, and unit and zone as fields."""
        self._created = created
        self._place = place

    def event(self, row: Row, names: Names, addressing: Event | None = None) -> Event:
        """Return the event of one flow record; ``addressing`` where it was written already."""
        begin, end, part = row[layout.F_FIRST], row[layout.F_LAST], row[layout.F_PART]
        source = row[layout.F_STATE] & layout.ST_ORIGIN_B
        target = 1 - source
        started = instant_text(begin)
        event: Event = {
            TIMESTAMP: started,
            # As make_event_id(started, identity, position, b"flow", part); the kernel has done the digest.
            EVENT_ID: f"{started[:4]}{started[5:7]}{started[8:10]}-{names[0]}",
            "event.kind": "event",
            "event.category": ["network"],
            "event.type": list(_TYPES[part == 1, row[layout.F_REASON] != layout.END_ACTIVE]),
            "event.module": "packets",
            "event.dataset": DATASET,
            "event.created": self._created,
            "event.start": started,
            "event.end": instant_text(end),
            "event.duration": (end - begin) * 1000,
        }
        event.update(self._place)
        if addressing is None:
            put_addressing(event, row, names[1])
        else:
            event.update(addressing)
        put_macs(event, row)
        sent, received = row[layout.F_BYTES + source], row[layout.F_BYTES + target]
        event["source.bytes"], event["destination.bytes"], event["network.bytes"] = (
            sent,
            received,
            sent + received,
        )
        sent, received = row[layout.F_PACKETS + source], row[layout.F_PACKETS + target]
        event["source.packets"], event["destination.packets"] = sent, received
        event["network.packets"] = sent + received
        protocol = layout.PROTOCOLS.get(row[layout.F_KIND])
        if protocol is not None:
            event["network.protocol"] = protocol
        self._put_details(event, row, source, target)
        return event

    def _put_details(self, event: Event, row: Row, source: int, target: int) -> None:
        if row[layout.F_KEY] >> 8 & 0xFF == 6:
            flags = row[layout.F_FLAGS]
            event["edusoc.flow.state"] = tcp_state(row)
            for name, side in (("source", source), ("destination", target)):
                if letters := flags_text(flags >> 8 * side & 0xFF):
                    event[f"edusoc.flow.tcp_flags_{name}"] = letters
        event["edusoc.flow.payload_packets_source"] = row[layout.F_PAYLOADS + source]
        event["edusoc.flow.payload_packets_destination"] = row[layout.F_PAYLOADS + target]
        event["edusoc.flow.end_reason"] = layout.REASONS[row[layout.F_REASON]]
        event["edusoc.flow.part"] = row[layout.F_PART]
        if row[layout.F_FRAGMENTS]:
            event["edusoc.flow.fragments"] = row[layout.F_FRAGMENTS]
        event["edusoc.capture.offset"] = row[layout.F_POSITION]


def place_fields(organization_id: str, zone: str) -> Event:
    """Return unit and zone as every event of a reading carries them; nothing for ``edusoc read``."""
    return {ORGANIZATION_ID: organization_id, ZONE: zone} if organization_id else {}
