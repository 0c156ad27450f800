"""Turn selected payload into the events of applications: order it, dissect it, add the flow's addressing.

State per flow is small and goes with the flow; conversations are bounded in number and in the bytes that wait.
"""

from __future__ import annotations

from mmap import mmap
from typing import Final

from collectors.packets import layout
from collectors.packets.addressing import instant_text, put_addressing, put_ends
from collectors.packets.datagrams import DatagramReader
from collectors.packets.dissectors.base import Fields, Message, StreamDissector
from collectors.packets.dissectors.registry import DATAGRAM_DATASETS, STREAMS
from collectors.packets.meter import Meter, Row
from collectors.packets.streams import Conversation
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event, make_event_id

MAX_CONVERSATIONS: Final = 10_000
MAX_DATAGRAM_FLOWS: Final = 20_000
MAX_PATTERNS: Final = 1_024
_KINDS: Final = {name: kind for kind, name in layout.PROTOCOLS.items() if kind < layout.KIND_PENDING}
_METHODS: Final = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PATCH ",
    b"HTTP/1.",
)


def stream_protocol(prefix: bytes) -> str | None:
    """Return the protocol whose signature ``prefix`` begins with: the kernel's test, for starts cut into pieces."""
    if prefix.startswith(b"SSH-"):
        return "ssh"
    if prefix.startswith(_METHODS):
        return "http"
    if len(prefix) >= 6 and prefix[0] == 0x16 and prefix[1] == 3 and prefix[2] <= 4 and prefix[5] in (1, 2):
        return "tls"
    if len(prefix) >= 8 and prefix[0] == 0 and prefix[4] >= 0xFC and prefix[5:8] == b"SMB":
        return "smb"
    return None


class FlowContext:
    """Hold what the messages of one flow share."""

    __slots__ = ("conversation", "fixed", "messages", "origin", "over", "position")

    def __init__(self, row: Row, fixed: Event) -> None:
        """Take what the events share as ``fixed``, the rest from the flow's row."""
        self.fixed = fixed
        self.origin = row[layout.F_STATE] & layout.ST_ORIGIN_B
        self.position = row[layout.F_BEGAN_POSITION]
        self.conversation: Conversation | None = None
        self.messages = 0
        self.over = False

    def forget(self) -> None:
        """Follow the flow no longer, and hold nothing but that."""
        self.conversation, self.over = None, True
        self.fixed = {}


class Applications:
    """Make application events of one reading of one source."""

    def __init__(self, meter: Meter, identity: bytes, fixed: Event, limit: int) -> None:
        """Take the fields all events share as ``fixed``; ``limit`` bounds what waits in one direction, in bytes."""
        self._meter = meter
        self._identity = identity
        self._fixed = fixed
        self._limit = limit
        self._flows: dict[int, FlowContext] = {}
        self._talking: dict[int, Conversation] = {}
        self._datagrams: dict[int, None] = {}
        self._read = DatagramReader()
        self._patterns: dict[tuple[int, int, int], Event] = {}
        self._ended: dict[int, tuple[Row, str]] = {}
        self._ended_of: list[Row] = []
        self.given_up = 0

    def take(self, items: list[Row], window: mmap, ended: list[Row]) -> list[Event]:
        """Return the events that the payload of ``items`` completes, in their order."""
        events: list[Event] = []
        flows = self._flows
        for item in items:
            serial, _, start, length, _, time_us, kind, _, position, _ = item
            context = flows.get(serial)
            if context is None:
                context = flows[serial] = self._context(*self._row_of(item, ended))
                if kind >= layout.KIND_DATAGRAM:
                    self._remember_datagrams(serial)
            elif context.over:
                continue
            data = window[start : start + length]
            if kind >= layout.KIND_DATAGRAM:
                protocol = layout.PROTOCOLS[kind]
                fields = self._read(protocol, data)
                if fields is not None:
                    record = (time_us, position, data)
                    events.append(self._datagram(context, protocol, fields, record))
                continue
            for message in self._stream(context, item, data):
                events.append(self._finish(context, message))  # noqa: PERF401 - mostly there is none
            if context.over:
                context.forget()
        return events

    def _context(self, row: Row, community: str) -> FlowContext:
        """Return the context of a flow. Flows share much: addressing is written into copies of a pattern."""
        if row[layout.F_TUNNEL]:
            fixed = self._pattern(row, community)
        else:
            shape = (row[layout.F_KEY] & 0xFFFF, row[layout.F_VLAN], row[layout.F_VLAN_INNER])
            pattern = self._patterns.get(shape)
            if pattern is None:
                if len(self._patterns) >= MAX_PATTERNS:
                    self._patterns.clear()
                pattern = self._patterns[shape] = self._pattern(row, community)
            fixed = pattern.copy()
            put_ends(fixed, row)
            fixed["network.community_id"] = community
        fixed["event.start"] = instant_text(row[layout.F_BEGAN])
        return FlowContext(row, fixed)

    def _pattern(self, row: Row, community: str) -> Event:
        event = self._fixed.copy()
        put_addressing(event, row, community)
        event["event.start"] = ""
        return event

    def _remember_datagrams(self, serial: int) -> None:
        """Keep what flows of datagrams share for a bounded number of them; it can be made again from the table."""
        self._datagrams[serial] = None
        if len(self._datagrams) > MAX_DATAGRAM_FLOWS:
            oldest = next(iter(self._datagrams))
            del self._datagrams[oldest]
            self._flows.pop(oldest, None)

    def _row_of(self, item: Row, ended: list[Row]) -> tuple[Row, str]:
        """Return row and Community ID: of the table, or of flows that ended since (their slot may be taken again)."""
        slot, serial = item[layout.IT_SLOT], item[layout.IT_SERIAL]
        row = self._meter.live_row(slot)
        if row[layout.F_SERIAL] == serial and row[layout.F_LIVE]:
            return row, self._meter.community_of(slot)
        if self._ended_of is not ended:
            names = (name for _, name in self._meter.names())
            self._ended = {row[layout.F_SERIAL]: (row, name) for row, name in zip(ended, names, strict=True)}
            self._ended_of = ended
        return self._ended[serial]

    def end(self, serial: int) -> list[Event]:
        """Return what was left of a flow that ended."""
        context = self._flows.pop(serial, None)
        if context is None:
            return []
        self._datagrams.pop(serial, None)
        self._talking.pop(serial, None)
        conversation, context.conversation = context.conversation, None
        if conversation is None:
            return []
        return [self._finish(context, message) for message in conversation.close()]

    def _datagram(
        self, context: FlowContext, protocol: str, fields: Fields, record: tuple[int, int, bytes]
    ) -> Event:
        """Return the event of a datagram: its time, its place in the capture, its bytes are the ``record``."""
        time_us, position, data = record
        timestamp = instant_text(time_us)
        event_id = make_event_id(timestamp, self._identity, position, data)
        return self._event(context, fields, DATAGRAM_DATASETS[protocol], timestamp, event_id)

    def _stream(self, context: FlowContext, item: Row, data: bytes) -> list[Message]:
        kind = item[layout.IT_KIND]
        conversation = context.conversation
        if conversation is not None and conversation.kind == kind and conversation.dissector is not None:
            found = conversation.add(item, data, self._limit)  # nearly always
            return self._through(context, conversation, item, found) if conversation.dissector.done else found
        return self._begin(context, item, data)

    def _begin(self, context: FlowContext, item: Row, data: bytes) -> list[Message]:
        """Take payload of a conversation whose protocol is new, or not known yet."""
        kind = item[layout.IT_KIND]
        conversation = context.conversation
        found: list[Message] = []
        if conversation is not None and kind == layout.KIND_PENDING:
            kind = conversation.kind  # recognised here; the kernel had run ahead
        if conversation is not None and conversation.kind not in (kind, layout.KIND_PENDING):
            found = conversation.close()
            conversation = None
        if conversation is None:
            conversation = self._open(context, item)
            if conversation is None:
                return found
        elif conversation.kind != kind:
            dissector = _dissector(kind)
            if dissector is None:
                return found
            found += conversation.start(kind, dissector, item[layout.IT_SENDER] & 1, item[layout.IT_BASE])
        found += conversation.add(item, data, self._limit)
        if kind == layout.KIND_PENDING:
            found += self._recognise(conversation, item)
        if conversation.dissector is not None and conversation.dissector.done:
            found = self._through(context, conversation, item, found)
        return found

    def _through(
        self, context: FlowContext, conversation: Conversation, item: Row, found: list[Message]
    ) -> list[Message]:
        """End a conversation that has no more to say; return ``found`` and its last messages."""
        found = found + conversation.close()
        context.conversation, context.over = None, True
        self._talking.pop(item[layout.IT_SERIAL], None)
        self._meter.enough(item[layout.IT_SLOT], item[layout.IT_SERIAL])
        return found

    def _open(self, context: FlowContext, item: Row) -> Conversation | None:
        """Start a conversation; one too many ends the oldest, whose flow is then no longer followed."""
        kind, serial = item[layout.IT_KIND], item[layout.IT_SERIAL]
        dissector = _dissector(kind)
        if dissector is None and kind != layout.KIND_PENDING:
            context.over = True
            return None
        if len(self._talking) >= MAX_CONVERSATIONS:
            oldest = next(iter(self._talking))
            self._talking.pop(oldest)
            self._flows[oldest].forget()
            self.given_up += 1
        row = self._meter.live_row(item[layout.IT_SLOT])
        if row[layout.F_SERIAL] == serial:  # else the flow has ended within this window
            context.origin = row[layout.F_STATE] & layout.ST_ORIGIN_B
        conversation = context.conversation = Conversation(kind, context.origin, dissector)
        self._talking[serial] = conversation
        return conversation

    def _recognise(self, conversation: Conversation, item: Row) -> list[Message]:
        """Decide the protocol of a start that came in pieces."""
        sender = item[layout.IT_SENDER] & 1
        protocol = stream_protocol(conversation.prefix(sender, 64))
        dissector = _dissector(_KINDS.get(protocol or "", 0))
        if protocol is None or dissector is None:
            return []
        self._meter.decide(item[layout.IT_SLOT], item[layout.IT_SERIAL], _KINDS[protocol])
        return conversation.start(_KINDS[protocol], dissector, sender, item[layout.IT_BASE])

    def _finish(self, context: FlowContext, message: Message) -> Event:
        timestamp = instant_text(message.time_us)
        name = f"{message.dataset}/{message.side}/{message.offset}".encode()
        event_id = make_event_id(timestamp, self._identity, context.position, name, context.messages)
        context.messages += 1
        return self._event(context, message.fields, message.dataset, timestamp, event_id)

    def _event(
        self, context: FlowContext, fields: Fields, dataset: str, timestamp: str, event_id: str
    ) -> Event:
        return {**context.fixed, **fields, TIMESTAMP: timestamp, EVENT_ID: event_id, "event.dataset": dataset}


def _dissector(kind: int) -> StreamDissector | None:
    """Return a new dissector for streams of ``kind``, ``None`` where there is none."""
    make = STREAMS.get(layout.PROTOCOLS.get(kind, ""))
    return make() if make is not None else None
