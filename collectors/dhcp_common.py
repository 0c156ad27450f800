"""Write what a DHCP server says of a client's lease the same way for every server: data set ``dhcp.lease``.

What is only asked or offered is ``dhcp.message``: it gives nobody an address.

``client.ip`` and ``client.mac`` are the device's, ``client.domain`` is the name it gave itself, ``event.start`` and
``event.end`` are those of the lease where the source says them: what "who was it" asks by. ``host.name`` is the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collectors.base import ReadContext
from collectors.coerce import epoch_text, ip_text, mac_or_none, put, put_words, unique
from soc_core.clock import parse_instant
from soc_core.model.event import EVENT_ID, TIMESTAMP, Event, make_event_id, make_source_identity

DATASET: Final = "dhcp.lease"
MESSAGE_DATASET: Final = "dhcp.message"
SERVER_DATASET: Final = "dhcp.server"
"""What a DHCP server says about itself."""
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "ack": ("connection", "start"),
    "reply": ("connection", "start"),
    "renew": ("connection", "start"),
    "nak": ("connection", "denied"),
    "decline": ("connection", "error"),
    "release": ("connection", "end"),
    "expire": ("connection", "end"),
    "delete": ("connection", "end"),
    "deny": ("connection", "denied"),
    "conflict": ("connection", "error"),
}


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold what is said of a client's lease, empty where nothing is. Times are seconds since 1970."""

    address: str = ""
    mac: str = ""
    host: str = ""
    start: float | None = None
    end: float | None = None
    client_id: str = ""


def put_lease(event: Event, action: str, module: str, lease: Lease) -> None:
    """Write one message or entry about a lease; ``action`` is the DHCP message (``ack``) or what befell the lease."""
    types = _TYPES.get(action)
    event["event.dataset"] = MESSAGE_DATASET if types is None else DATASET
    event["event.module"] = module
    event["event.category"] = ["network"]
    event["event.type"] = list(types or ("protocol", "info"))
    event["event.action"] = f"dhcp_{action.replace('-', '_')}"
    event["network.protocol"] = "dhcp"
    ip, hardware = ip_text(lease.address), mac_or_none(lease.mac)
    put(event, "client.ip", ip)
    put(event, "client.mac", hardware or lease.mac)
    name = lease.host.strip().rstrip(".")
    put(event, "client.domain", name)
    put(event, "edusoc.dhcp.client_id", lease.client_id)
    start, end = lease.start, lease.end
    if start is not None:
        put(event, "event.start", epoch_text(start))
    if end is not None:
        put(event, "event.end", epoch_text(end))
    if start is not None and end is not None and end >= start:
        put(event, "event.duration", round((end - start) * 1_000_000_000))
    put(event, "related.ip", ip)
    put(event, "related.hosts", unique([name]))


def put_lifetime(event: Event, seconds: float) -> None:
    """Write the end of a lease that begins with the event and is good for ``seconds``."""
    event["event.duration"] = round(seconds * 1_000_000_000)
    event["edusoc.dhcp.lease_seconds"] = round(seconds)


def put_seen_lease(event: Event, address: object, mac: object, host: object, seconds: float | None) -> None:
    """Write who got which address for how long, as a sensor saw it on the wire: the lease begins with the event."""
    put(event, "host.ip", address)
    put(event, "client.ip", address)
    put(event, "client.mac", mac_or_none(mac) if isinstance(mac, str) else None)
    put(event, "client.domain", host)
    if seconds is not None and 0 < seconds < 1 << 32:
        begun = parse_instant(str(event[TIMESTAMP]))
        put(event, "event.start", event[TIMESTAMP])
        put(event, "edusoc.dhcp.lease_seconds", round(seconds))
        put(event, "event.end", epoch_text(begun.timestamp() + seconds))


def name_by_content(event: Event, record: bytes, context: ReadContext, software: str) -> None:
    """Give an entry of a lease file an id by what it says.

    Servers write their lease files anew from time to time: the same entry at another place is the same event.
    """
    timestamp = event.get(TIMESTAMP)
    if isinstance(timestamp, str):
        identity = make_source_identity(context.organization_id, context.zone, f"dhcp.{software}", b"leases")
        event[EVENT_ID] = make_event_id(timestamp, identity, 0, record)


def start_server(event: Event, message: str, *, module: str, level: str = "") -> None:
    """Mark ``event`` as something else that a DHCP server says."""
    put_words(event, SERVER_DATASET, message, module=module, level=level)
