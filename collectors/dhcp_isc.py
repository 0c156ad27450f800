"""Read ISC dhcpd: its messages in syslog, and its lease file (``dhcpd.leases``).

Format: ``dhcpd(8)``, ``dhcpd.leases(5)`` (times are UTC) and the message texts of ``server/dhcp.c`` and ``dhcpv6.c``;
lines seen from dhcpd 4.4.3, those of DHCPv6 from documents only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import epoch_text, extra, ip_text, long_value, put
from collectors.dhcp_common import Lease, name_by_content, put_lease, put_lifetime
from collectors.lines import decode_text
from collectors.making import RecordError
from soc_core.model.event import TIMESTAMP, Event

MODULE: Final = "dhcpd"
_ADDRESS: Final = r"(?P<address>\d{1,3}(?:\.\d{1,3}){3})"
_CLIENT: Final = r"(?P<mac>[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){0,19})(?: \((?P<host>[^)]{1,255})\))?"
_VIA: Final = r"(?: via (?P<via>[^\s:]{1,64}))?(?P<rest>.{0,255})"
_PATTERNS: Final = (
    re.compile(rf"DHCP(?P<kind>DISCOVER) from {_CLIENT}{_VIA}"),
    re.compile(rf"DHCP(?P<kind>OFFER|ACK|NAK|EXPIRE) on {_ADDRESS} to {_CLIENT}{_VIA}"),
    re.compile(
        rf"DHCP(?P<kind>REQUEST) for {_ADDRESS}(?: \((?P<server>[\d.]{{7,15}})\))? from {_CLIENT}{_VIA}"
    ),
    re.compile(rf"DHCP(?P<kind>ACK) to {_ADDRESS} \((?P<mac>[0-9a-fA-F:]{{2,59}})\){_VIA}"),
    re.compile(rf"DHCP(?P<kind>DECLINE|RELEASE) of {_ADDRESS} from {_CLIENT}{_VIA}"),
    re.compile(rf"DHCP(?P<kind>INFORM) from {_ADDRESS}{_VIA}"),
)
_SIX: Final = re.compile(
    r"(?P<kind>Advertise|Reply) (?:NA|TA): address (?P<address>[0-9a-fA-F:]{2,45}) to client with duid "
    r"(?P<duid>[0-9a-fA-F:]{2,400}) iaid = (?P<iaid>-?\d{1,11}) valid for (?P<seconds>\d{1,10}) seconds"
)
_BLOCK: Final = re.compile(r"\s*lease (\S{2,45}) \{")
_TIMES: Final = re.compile(
    r"\s*(starts|ends|cltt|tstp) (?:never|epoch (\d{1,11})|\d (\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d));"
)
_STATE: Final = re.compile(r"\s*binding state (\w{1,32});")
_HARDWARE: Final = re.compile(r"\s*hardware \S{1,32} ([0-9a-fA-F:]{2,59});")
_TEXT: Final = re.compile(
    r'\s*(?:set )?(client-hostname|uid|vendor-class-identifier|ddns-fwd-name) (?:= )?"(.{0,512})";'
)
_STATES: Final = {
    "active": "ack",
    "free": "expire",
    "expired": "expire",
    "released": "release",
    "abandoned": "conflict",
}


def interpret(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of dhcpd about a client; tell whether it is one."""
    for pattern in _PATTERNS:
        match = pattern.match(message)
        if match is not None:
            _put_message(event, match)
            return True
    match = _SIX.match(message)
    if match is None:
        return False
    put_lease(
        event,
        "reply" if match["kind"] == "Reply" else "advertise",
        MODULE,
        Lease(address=match["address"], client_id=match["duid"]),
    )
    put_lifetime(event, float(match["seconds"]))
    extra(event, "dhcp.iaid", match["iaid"])
    return True


def _put_message(event: Event, match: re.Match[str]) -> None:
    found = {name: value for name, value in match.groupdict().items() if value}
    put_lease(
        event,
        found["kind"].lower(),
        MODULE,
        Lease(address=found.get("address", ""), mac=found.get("mac", ""), host=found.get("host", "")),
    )
    put(event, "server.ip", found.get("server"))
    via = found.get("via", "")
    relay = ip_text(via)
    put(event, "edusoc.dhcp.relay" if relay else "observer.ingress.interface.name", relay or via)
    put(event, "event.reason", found.get("rest", "").lstrip(": ").strip("() "))


def is_lease_file(text: str) -> bool:
    """Tell whether the first lines are those of a lease file of dhcpd."""
    return (
        "dhcpd.leases(5)" in text
        or re.search(r"^lease \d{1,3}(?:\.\d{1,3}){3} \{\s*$", text, re.MULTILINE) is not None
    )


def starts_block(line: bytes, _held: Sequence[bytes]) -> bool:
    """Tell whether a line of a lease file begins something: all others are indented or close a block."""
    return line[:1] not in (b" ", b"\t", b"}")


class LeaseBlocks:
    """Map blocks of a lease file to events."""

    def __init__(self, context: ReadContext) -> None:
        """``context`` names the place that entries belong to."""
        self._context = context

    def parse(self, raw: bytes) -> Sequence[Event]:
        """Return the event of a ``lease`` block, nothing for others. Raises ``RecordError`` for a broken one."""
        text = decode_text(raw)
        block = _BLOCK.match(text)
        if block is None:
            return ()
        if ip_text(block[1]) is None or not text.rstrip().endswith("}"):
            raise RecordError("lease block is not complete")
        times: dict[str, int] = {}
        texts: dict[str, str] = {}
        state = mac = ""
        for line in text.split("\n")[1:]:
            if match := _TIMES.match(line):
                _take_time(times, match)
            elif match := _STATE.match(line):
                state = match[1]
            elif match := _HARDWARE.match(line):
                mac = match[1]
            elif match := _TEXT.match(line):
                texts[match[1]] = match[2]
        return (self._event(raw, block[1], times, texts, (state, mac)),)

    def _event(
        self, raw: bytes, address: str, times: dict[str, int], texts: dict[str, str], about: tuple[str, str]
    ) -> Event:
        state, mac = about
        event: Event = {}
        stamp = times.get("cltt", times.get("starts"))
        if stamp is None:
            raise RecordError("no usable time")
        put(event, TIMESTAMP, epoch_text(stamp))
        put_lease(
            event,
            _STATES.get(state, "info"),
            MODULE,
            Lease(
                address=address,
                mac=mac,
                host=texts.get("client-hostname", texts.get("ddns-fwd-name", "")),
                start=times.get("starts"),
                end=times.get("ends"),
                client_id=texts.get("uid", ""),
            ),
        )
        event["event.action"] = "dhcp_lease" if state in ("active", "") else f"dhcp_lease_{state}"[:64]
        put(event, "edusoc.dhcp.vendor_class", texts.get("vendor-class-identifier"))
        name_by_content(event, raw, self._context, MODULE)
        return event


def _take_time(times: dict[str, int], match: re.Match[str]) -> None:
    name, epoch, *parts = match.groups()
    seconds = long_value(epoch) if epoch else None
    if parts[0]:
        try:
            year, month, day, hour, minute, second = (int(part) for part in parts)
            seconds = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
        except (ValueError, OverflowError):
            return
    if seconds is not None:
        times[name] = seconds
