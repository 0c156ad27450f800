"""Make events of syslog messages that were received: parse, compare clocks, give each its identity."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from collectors.auditd_syslog import join
from collectors.base import Batch, ReadContext
from collectors.lines import decode_text
from collectors.live.base import Counters
from collectors.live.clocks import SenderClocks
from collectors.live.listening import Network
from collectors.making import RAW_KEPT, EventMaker, RecordError
from collectors.syslog import SyslogParser
from soc_core.model.event import BadRecord, Event

_LOGGER: Final = logging.getLogger("edusoc.collectors")
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
class Senders:
    """Say what is special about senders: the time zone of their clocks, the device they are (``devices.registry``)."""

    zones: tuple[tuple[Network, tzinfo], ...] = ()
    devices: tuple[tuple[Network, str], ...] = ()
    device: str = ""
    """The device of all other senders; empty where each message tells by itself."""

    def of(self, sender: str) -> tuple[tzinfo | None, str]:
        """Return zone and device of a sender, ``None`` and empty where nothing special is known."""
        return _known(self, sender) if self.zones or self.devices else (None, self.device)


@lru_cache(maxsize=_SENDERS_KEPT)
def _known(senders: Senders, sender: str) -> tuple[tzinfo | None, str]:
    try:
        address = ip_address(sender)
    except ValueError:
        return None, senders.device
    zone = next((zone for network, zone in senders.zones if address in network), None)
    return zone, next((device for network, device in senders.devices if address in network), senders.device)


class RecordMaker:
    """Make batches of received messages. For one thread: clocks and numbers go on from batch to batch."""

    def __init__(
        self,
        name: str,
        source: bytes,
        counters: Counters,
        oldest: timedelta,
        senders: Senders | None = None,
    ) -> None:
        """Take the input's name, what is unique to this run of it (the identity of its records), and the senders."""
        self._name = name
        self._source = source
        self._clocks = SenderClocks(counters, oldest)
        self._senders = senders or Senders()
        self._number = 0

    def make(self, records: Sequence[Received], context: ReadContext) -> Batch:
        """Return the batch of messages that arrived at about ``context.reference``."""
        maker = EventMaker("syslog", "syslog", context)
        maker.seen(self._source)
        self._clocks.arrived(context.reference)
        parsers: dict[tuple[tzinfo | None, str], SyslogParser] = {}
        batch = Batch()
        for record in records:
            self._number += 1
            try:
                batch.events.append(self._event(record, maker, parsers))
            except RecordError as fault:
                batch.bad.append(self._aside(record, str(fault)))
            except (
                Exception
            ) as fault:  # one message that a parser can't bear must not take the others with it
                _LOGGER.exception("input %s: a parser failed", self._name)
                batch.bad.append(self._aside(record, f"parser failed: {type(fault).__name__}"))
        batch.events = join(batch.events)
        batch.counters["records"] = len(records)
        batch.position = self._number
        return batch

    def _aside(self, record: Received, reason: str) -> BadRecord:
        place = f"{self._name}: {record.sender}" if record.sender else self._name
        return BadRecord(place, self._number, 0, reason, bytes(record.raw[:RAW_KEPT]))

    def _event(
        self, record: Received, maker: EventMaker, parsers: dict[tuple[tzinfo | None, str], SyslogParser]
    ) -> Event:
        raw, sender, fault = record
        if fault:
            raise RecordError(fault)
        text = readable_text(raw)
        known = self._senders.of(sender)
        parser = parsers.get(known)
        if parser is None:
            parser = parsers[known] = SyslogParser(_context_of(maker.context, *known))
        event = parser.parse_message(text, sender)
        if sender:
            event["log.source.address"] = sender
        # Behind one address there may be a relay with many hosts, each with a clock of its own.
        self._clocks.judge(event, f"{sender} {event['log.syslog.hostname']}")
        if maker.context.keep_original:
            event["event.original"] = text
        return maker.finish(event, raw, self._number)


def _context_of(context: ReadContext, zone: tzinfo | None, device: str) -> ReadContext:
    """Return the context for senders of a zone and a device: the latter is the option ``device`` of the parser."""
    options = {**context.options, "device": device} if device else context.options
    return replace(context, zone_info=zone or context.zone_info, options=options)


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
