"""Read the debug log of Windows' DNS server: packets received and sent, the details below each left in the original.

Format: the "Message logging key" at the head of every such file and Microsoft, "DNS Logging and Diagnostics". Written
from published samples of several languages (未经实机验证). Dates are in the server's language: see ``_date``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from collectors.coerce import put
from collectors.dns_common import put_client, put_code, put_question, start_question, start_server
from collectors.lines import decode_text
from collectors.network import put_side, put_transport
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "windows_dns"
_HEAD: Final = re.compile(
    r"(\d{1,4})([/.\-])(\d{1,2})\2(\d{1,4}) (?:(AM|PM|上午|下午) ?)?(\d{1,2}):(\d\d):(\d\d)(?: ?(AM|PM))? "
    r"([0-9A-Fa-f]{3,8}) ([A-Z]{3,10}) +"
)
_PACKET: Final = re.compile(
    r"[0-9A-Fa-f]{8,17} (UDP|TCP) (Rcv|Snd) ([0-9a-fA-F.:%]{2,64}) +([0-9a-fA-F]{4}) ([R ]) ([QNU?]) "
    r"\[([0-9a-fA-F]{4}) ?([ATDR ]{0,8}?) +([A-Z]{2,16})\] (\S{1,32}) +((?:\(\d{1,2}\)[^()]{0,255}){1,128})"
)
_LABEL: Final = re.compile(r"\(\d{1,2}\)([^()]{0,255})")
_FLAGS: Final = {"A": "AA", "T": "TC", "D": "RD", "R": "RA"}
_OPERATIONS: Final = {"Q": "QUERY", "N": "NOTIFY", "U": "UPDATE"}


def is_windows_dns(text: str) -> bool:
    """Tell whether a line begins as those of the debug log do."""
    match = _HEAD.match(text)
    return match is not None and match[11] in (
        "PACKET",
        "EVENT",
        "RECURSE",
        "NOTE",
        "CONTEXT",
        "REMOTE",
        "DSPOLL",
    )


def starts_packet(line: bytes, _held: Sequence[bytes]) -> bool:
    """Tell whether a line begins a record: details of packets have no date."""
    return line[:1].isdigit() and _HEAD.match(decode_text(line[:64])) is not None


class Packets:
    """Map the records of a debug log to events."""

    def __init__(self, reference: datetime, zone: tzinfo) -> None:
        """``zone`` is the server's; ``reference`` helps to tell day from month."""
        self._reference = reference
        self._zone = zone

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of a record, nothing for the text at the head of the file."""
        text = decode_text(raw.partition(b"\n")[0])
        head = _HEAD.match(text)
        instant = self._date(head) if head is not None else None
        if head is None or instant is None:
            return ()
        event: Event = {TIMESTAMP: format_instant(instant)}
        packet = _PACKET.match(text, head.end()) if head[11] == "PACKET" else None
        if packet is None:
            start_server(event, text[head.end() :].strip(), module=MODULE)
        else:
            _put_packet(event, packet)
        return (event,)

    def _date(self, match: re.Match[str]) -> datetime | None:
        """Return the instant of a date in the server's language.

        Year first, or day first with dots; with a slash month first where the clock has AM and PM (English, United
        States), else whichever lies nearest before the reference.
        """
        first, mark, second, third = match.group(1, 2, 3, 4)
        half = match[5] or match[9]
        hour = int(match[6])
        if half:
            hour = hour % 12 + (12 if half in ("PM", "下午") else 0)
        if len(first) == 4:
            orders = [(first, second, third)]
        elif mark in ".-":
            orders = [(third, second, first)]
        elif half in ("AM", "PM"):
            orders = [(third, first, second)]
        else:
            orders = [(third, first, second), (third, second, first)]
        found = [
            instant
            for order in orders
            if (instant := self._instant(order, (hour, int(match[7]), int(match[8])))) is not None
        ]
        past = [instant for instant in found if instant <= self._reference + timedelta(days=1)]
        return max(past) if past else min(found, default=None)

    def _instant(self, date: tuple[str, str, str], clock: tuple[int, int, int]) -> datetime | None:
        year, month, day = (int(part) for part in date)
        try:
            local = datetime(year + 2000 if year < 100 else year, month, day, *clock, tzinfo=self._zone)
            return local.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def _put_packet(event: Event, match: re.Match[str]) -> None:
    transport, way, address, number, response, operation, _, flags, code, kind, name = match.groups()
    answer, received = response == "R", way == "Rcv"
    start_question(event, module=MODULE, answer=answer)
    put_question(event, ".".join(label for label in _LABEL.findall(name) if label) or ".", kind)
    put(event, "dns.id", str(int(number, 16)))
    put(event, "dns.op_code", _OPERATIONS.get(operation))
    put(event, "dns.header_flags", [_FLAGS[flag] for flag in flags if flag in _FLAGS])
    if answer:
        put_code(event, code)
    # Questions come from clients and answers go to them; the other way round the far side is another server.
    if received != answer:
        put_client(event, address, transport=transport.lower())
    else:
        event["event.action"] = "dns_forwarded" if not answer else "dns_forwarded_answer"
        put_side(event, "destination", address)
        put_transport(event, transport.lower())
