"""Read the audit log of Windows' DHCP server (``DhcpSrvLog-Mon.log``, ``DhcpV6SrvLog-Mon.log``).

Format: Microsoft, "Analyze DHCP Server Log Files": rows by position, as the header is in the server's language; dates
are month/day/two-digit year whatever the language, times local. Written from that document and published samples
(未经实机验证).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from collectors.coerce import extra, put
from collectors.dhcp_common import Lease, put_lease, start_server
from collectors.lines import Line, decode_text
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "windows_dhcp"
_ROW: Final = re.compile(r"(\d{1,5}),(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d),([^,]{0,255}),(.{0,4000})")
_ACTIONS: Final[Mapping[str, str]] = {
    "10": "ack", "11": "renew", "12": "release", "13": "conflict", "14": "deny", "15": "deny", "16": "delete",
    "17": "expire", "18": "expire", "20": "ack", "21": "ack", "23": "delete", "33": "deny", "36": "deny",
    "11000": "solicit", "11001": "advertise", "11002": "request", "11003": "confirm", "11004": "renew",
    "11005": "rebind", "11006": "decline", "11007": "release", "11008": "information_request",
    "11009": "deny", "11016": "delete", "11017": "expire",
}  # fmt: skip
"""What the codes about a client mean; all others are about the server or name updates."""
_NAME_UPDATES: Final = frozenset({"30", "31", "32", "34", "35", "11028", "11029"})
_FOUR: Final = (
    "address", "host", "mac", "user", "transaction", "result", "probation", "correlation", "dhcid", "vendor_hex",
    "vendor", "class_hex", "class", "relay", "dns_error",
)  # fmt: skip
_SIX: Final = ("address", "host", "error", "duid_length", "duid", "user", "dhcid", "prefix")
_KEPT: Final = (
    "user",
    "transaction",
    "result",
    "correlation",
    "dhcid",
    "class",
    "relay",
    "dns_error",
    "error",
    "prefix",
)


def is_windows_dhcp(text: str) -> bool:
    """Tell whether the first lines are those of an audit log: its rows, or the list of codes above them."""
    rows = [line for line in text.split("\n")[:60] if _ROW.match(line.strip())]
    return bool(rows) and ("DHCP" in text or len(rows) > 1)


class AuditRows:
    """Map the rows (see ``collectors.records.LineParser``); what stands above them gives nothing."""

    def __init__(self, zone: tzinfo) -> None:
        """``zone`` is the server's."""
        self._zone = zone

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a row, nothing for the text above the rows."""
        match = _ROW.match(decode_text(line.raw).strip() + ",")
        if match is None:
            return ()
        code, *parts = match.group(1, 2, 3, 4, 5, 6, 7)
        try:
            month, day, year, hour, minute, second = (int(part) for part in parts)
            local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=self._zone)
            event: Event = {TIMESTAMP: format_instant(local.astimezone(UTC))}
        except (ValueError, OverflowError):
            return ()
        names = _SIX if len(code) > 3 else _FOUR
        cells = dict(zip(names, match[9].split(","), strict=False))
        self._fill(event, code, match[8].strip(), {name: text.strip() for name, text in cells.items()})
        return (event,)

    def _fill(self, event: Event, code: str, description: str, cells: Mapping[str, str]) -> None:
        action = _ACTIONS.get(str(int(code)))
        if action is None and not (code in _NAME_UPDATES and cells.get("address")):
            start_server(event, description, module=MODULE)
        else:
            put_lease(
                event,
                action or "name_update",
                MODULE,
                Lease(
                    address=cells.get("address", ""),
                    mac=cells.get("mac", ""),
                    host=cells.get("host", ""),
                    client_id=cells.get("duid", ""),
                ),
            )
            put(event, "message", description)
        event["event.code"] = str(int(code))
        put(event, "edusoc.dhcp.vendor_class", cells.get("vendor"))
        for name in _KEPT:
            if cells.get(name, "") not in ("", "0"):
                extra(event, f"dhcp.{name}", cells[name])
