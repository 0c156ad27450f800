"""Make events of syslog messages that were received: parse, compare clocks, give each its identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from collectors.base import Batch, ReadContext
from collectors.lines import decode_text
from collectors.live.base import Counters
from collectors.live.clocks import SenderClocks
from collectors.live.listening import Network
from collectors.making import RAW_KEPT, EventMaker, RecordError
from collectors.syslog import SyslogParser
from soc_core.model.event import BadRecord, Event

BINARY: Final = "message is binary, not text"
EMPTY: Final = "message is empty"
_CONTROL: Final = bytes(byte for byte in range(32) if byte not in b"\t\r\n\x1b")
_SENDERS_KEPT: Final = 1 << 14


class Received(NamedTuple):
    """Hold one message and the address it came from; ``fault`` says why it can't be used."""

    raw: bytes
    sender: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SenderZones:
    """Say the time zone of senders whose clocks run in another than the school's."""

    networks: tuple[tuple[Network, tzinfo], ...] = ()

    def of(self, sender: str) -> tzinfo | None:
        """Return the zone of a sender, ``None`` where nothing special is known."""
        return _zone_of(self, sender) if self.networks else None


@lru_cache(maxsize=_SENDERS_KEPT)
def _zone_of(zones: SenderZones, sender: str) -> tzinfo | None:
    try:
        address = ip_address(sender)
    except ValueError:
        return None
    return next((zone for network, zone in zones.networks if address in network), None)


class RecordMaker:
    """Make batches of received messages. For one thread: clocks and numbers go on from batch to batch."""

    def __init__(
        self,
        name: str,
        source: bytes,
        counters: Counters,
        oldest: timedelta,
        zones: SenderZones | None = None,
    ) -> None:
        """Take the input's name, what is unique to this run of it (the identity of its records), and the zones."""
        self._name = name
        self._source = source
        self._clocks = SenderClocks(counters, oldest)
        self._zones = zones or SenderZones()
        self._number = 0

    def make(self, records: Sequence[Received], context: ReadContext) -> Batch:
        """Return the batch of messages that arrived at about ``context.reference``."""
        maker = EventMaker("syslog", "syslog", context)
        maker.seen(self._source)
        self._clocks.arrived(context.reference)
        parsers: dict[tzinfo | None, SyslogParser] = {}
        batch = Batch()
        for record in records:
            self._number += 1
            try:
                batch.events.append(self._event(record, maker, parsers))
            except RecordError as fault:
                place = f"{self._name}: {record.sender}" if record.sender else self._name
                batch.bad.append(BadRecord(place, self._number, 0, str(fault), bytes(record.raw[:RAW_KEPT])))
        batch.counters["records"] = len(records)
        batch.position = self._number
        return batch

    def _event(
        self, record: Received, maker: EventMaker, parsers: dict[tzinfo | None, SyslogParser]
    ) -> Event:
        raw, sender, fault = record
        if fault:
            raise RecordError(fault)
        text = readable_text(raw)
        zone = self._zones.of(sender)
        parser = parsers.get(zone)
        if parser is None:
            context = maker.context if zone is None else replace(maker.context, zone_info=zone)
            parser = parsers[zone] = SyslogParser(context)
        event = parser.parse_message(text, sender)
        if sender:
            event["log.source.address"] = sender
        self._clocks.judge(event, sender)
        if maker.context.keep_original:
            event["event.original"] = text
        return maker.finish(event, raw, self._number)


def readable_text(raw: bytes) -> str:
    """Return the text of a message in UTF-8 or GB18030.

    Raises ``RecordError`` for what is neither, or has so many control characters that no device can have meant it.
    """
    if raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable() and text:
            return text
    controls = len(raw) - len(raw.translate(None, _CONTROL))
    if controls > 8 and controls * 16 > len(raw):
        raise RecordError(BINARY)
    text = decode_text(raw).strip("\0\r\n\ufeff")
    if not text:
        raise RecordError(EMPTY)
    # What neither encoding can read stands there in hexadecimal: a few bytes of it are damage, many are no text.
    if "\\x" in text and text.count("\\x") * 8 > len(raw):
        raise RecordError(BINARY)
    return text
