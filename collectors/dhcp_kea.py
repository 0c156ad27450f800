"""Read ISC Kea: its log (own file, or syslog) and its lease files (``kea-leases4.csv``, ``kea-leases6.csv``).

Format: Kea Administrator Reference Manual, "Logging" and "Memfile - Basic Storage for Leases", and Kea's message
reference; lines seen from Kea 2.2 (DHCPv4), those of DHCPv6 from documents only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import epoch_text, extra, long_value, put
from collectors.delimited import cells_of
from collectors.dhcp_common import Lease, name_by_content, put_lease, put_lifetime, start_server
from collectors.lines import Line, decode_text
from collectors.making import RecordError
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "kea"
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) ")
_HEAD: Final = re.compile(
    r"(FATAL|ERROR|WARN|INFO|DEBUG) +\[(kea-[\w.\-]{1,64})/?[^\]]{0,64}\] ([A-Z][A-Z0-9_]{2,64}) "
)
_CLIENT: Final = re.compile(
    r"(?:\[hwtype=\d{1,5} ([0-9a-fA-F:]{0,59})\]|duid=\[([0-9a-fA-F:]{2,400})\])?[^:]{0,16}?"
    r"(?:, cid=\[([0-9a-fA-F:]{2,400}|no info)\])?(?:, \[hwtype=\d{1,5} ([0-9a-fA-F:]{0,59})\])?"
    r"(?:, cid=\[([0-9a-fA-F:]{2,400}|no info)\])?, tid=(0x[0-9a-f]{1,8}): "
)
_ADDRESS: Final = re.compile(
    r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{1,4}:[0-9a-fA-F:]{2,43})(?![\w:])"
)
_SECONDS: Final = re.compile(r"for (\d{1,10}) seconds")
_CODES: Final = {
    "LEASE_ALLOC": "ack",
    "LEASE_REUSE": "ack",
    "LEASE_OFFER": "offer",
    "LEASE_ADVERT": "offer",
    "RELEASE": "release",
    "RELEASE_NA": "release",
    "RELEASE_EXPIRED": "release",
    "RELEASE_NA_EXPIRED": "release",
    "DECLINE_LEASE": "decline",
    "INIT_REBOOT": "request",
    "PACKET_NAK_0001": "nak",
    "PACKET_NAK_0002": "nak",
    "PACKET_NAK_0003": "nak",
    "PACKET_NAK_0004": "nak",
}
_STATES: Final = {"0": "ack", "1": "decline", "2": "expire", "3": "release"}
_COMMA: Final = re.compile(r"&#x([0-9a-fA-F]{2})")


def is_kea(text: str) -> bool:
    """Tell whether a line of a file is one of Kea's log."""
    stamp = _STAMP.match(text)
    return stamp is not None and _HEAD.match(text, stamp.end()) is not None


def kea_event(text: str, zone: tzinfo) -> Event | None:
    """Return the event of a line of Kea's own log (local time), ``None`` if it is none."""
    stamp = _STAMP.match(text)
    if stamp is None:
        return None
    try:
        local = datetime.fromisoformat(stamp[1]).replace(tzinfo=zone)
        event: Event = {TIMESTAMP: format_instant(local.astimezone(UTC))}
    except (ValueError, OverflowError):
        return None
    message = text[stamp.end() :]
    head = _HEAD.match(message)
    event["process.name"] = head[2].partition(".")[0] if head else "kea"
    if not interpret(event, message):
        start_server(
            event, message[head.end() if head else 0 :], module=MODULE, level=head[1] if head else ""
        )
        put(event, "event.code", head[3] if head else None)
    return event


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Kea about a client's lease; tell whether it is one."""
    head = _HEAD.match(message)
    if head is None or not head[3].startswith(("DHCP4_", "DHCP6_")):
        return False
    action = _CODES.get(head[3][6:])
    client = _CLIENT.match(message, head.end())
    if action is None or client is None:
        return False
    mac4, duid, cid, mac6, cid6, transaction = client.groups()
    address = _ADDRESS.search(message, client.end())
    identifier = next((part for part in (duid, cid, cid6) if part and part != "no info"), "")
    put_lease(
        event,
        action,
        MODULE,
        Lease(address=address[1] if address else "", mac=mac4 or mac6 or "", client_id=identifier),
    )
    put(event, "event.code", head[3])
    put(event, "log.level", head[1])
    seconds = _SECONDS.search(message, client.end())
    if seconds is not None:
        put_lifetime(event, float(seconds[1]))
    extra(event, "dhcp.transaction", transaction)
    return True


def is_lease_header(text: str) -> bool:
    """Tell whether a line names the columns of a lease file of Kea."""
    return text.startswith(("address,hwaddr,client_id,", "address,duid,valid_lifetime,"))


class LeaseRows:
    """Map the rows of a lease file (see ``collectors.records.LineParser``)."""

    def __init__(self, context: ReadContext) -> None:
        """``context`` names the place that entries belong to."""
        self._context = context
        self._columns: list[str] = []

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a row, nothing for the header. Raises ``RecordError`` for a broken row."""
        text = decode_text(line.raw).strip()
        if is_lease_header(text):
            self._columns = text.split(",")
            return ()
        if not self._columns:
            raise RecordError("row before any header line")
        cells = cells_of(text)
        # user_context is JSON with escaped commas; versions add columns at the end.
        if len(cells) < len(self._columns) - 2:
            raise RecordError(f"{len(cells)} columns where the header names {len(self._columns)}")
        row = dict(zip(self._columns, cells, strict=False))
        end, lifetime = long_value(row.get("expire", "")), long_value(row.get("valid_lifetime", ""))
        if end is None or lifetime is None:
            raise RecordError("no usable time")
        return (self._event(line.raw, row, end, lifetime),)

    def _event(self, raw: bytes, row: dict[str, str], end: int, lifetime: int) -> Event:
        event: Event = {}
        forever = lifetime >= 0xFFFFFFFF
        start = end - lifetime if end >= lifetime else end
        put(event, TIMESTAMP, epoch_text(start))
        put_lease(
            event,
            _STATES.get(row.get("state", "0"), "info"),
            MODULE,
            Lease(
                address=row.get("address", ""),
                mac=row.get("hwaddr", ""),
                host=_COMMA.sub(lambda match: chr(int(match[1], 16)), row.get("hostname", "")),
                start=start,
                end=None if forever else end,
                client_id=row.get("client_id", row.get("duid", "")),
            ),
        )
        state = _STATES.get(row.get("state", "0"), "info")
        event["event.action"] = "dhcp_lease" if state == "ack" else f"dhcp_lease_{state}"
        extra(event, "dhcp.subnet_id", row.get("subnet_id", ""))
        name_by_content(event, raw, self._context, MODULE)
        return event
