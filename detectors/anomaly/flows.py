"""Read flow events of any sensor into one small record.

Sensors say in different words whether the other side answered: Zeek has a connection state, our own meter has TCP
flags, Suricata has packet counts. Detectors ask ``FlowRecord.outcome`` and need not know who measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain, groupby
from math import isfinite
from typing import Final

from soc_core.clock import epoch_us, parse_instant
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event
from soc_core.query.tree import OneOf, Query

FLOW_DATASETS: Final = ("packets.flow", "suricata.flow", "zeek.conn")
FLOW_QUERY: Final[Query] = OneOf(DATASET, FLOW_DATASETS)
FLOW_FIELDS: Final = (
    TIMESTAMP,
    EVENT_ID,
    DATASET,
    "source.ip",
    "source.port",
    "source.bytes",
    "source.packets",
    "destination.ip",
    "destination.port",
    "destination.bytes",
    "destination.packets",
    "network.transport",
    "network.community_id",
    "event.duration",
    "edusoc.flow.part",
    "edusoc.flow.state",
    "edusoc.flow.tcp_flags_source",
    "edusoc.flow.tcp_flags_destination",
    "zeek.conn.state",
)
MAX_NUMBER: Final = 1 << 60
"""More bytes than any connection carries: a mistake of a sensor must not overflow a column."""
MAX_REMEMBERED: Final = 200_000
"""Community ids remembered to recognise a second sensor's record of the same flow: about 40 MB at most."""


UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 — compared with, never bound to


class Outcome(Enum):
    """Say how the other side reacted: ``SILENT`` not at all, ``REFUSED`` with a reset or an ICMP error, ``OPENED``."""

    SILENT = "silent"
    REFUSED = "refused"
    OPENED = "opened"


# Zeek's conn_state (docs.zeek.org, base/protocols/conn): what the responder never accepted.
_ZEEK: Final = {
    "s0": Outcome.SILENT,
    "sh": Outcome.SILENT,
    "rstos0": Outcome.SILENT,
    "rej": Outcome.REFUSED,
    "rstrh": Outcome.REFUSED,
}

DHCP: Final = frozenset({(67, 68), (547, 546)})
"""A server answers a client's broadcast by unicast (RFC 2131 §4.1, RFC 8415 §7.2): a flow of its own."""


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """Hold one flow as detectors see it: bytes are IP bytes, ``duration`` seconds, ``time_us`` µs since 1970.

    ``transport`` is ``tcp``, ``udp``, ``icmp`` … in lower case. ``part`` is above 1 for the further records of one
    long connection: they add bytes, not connections. ``midstream`` TCP begins with an acknowledgement instead of a SYN:
    a probe by ACK, or what is left of a connection that was there before we looked.
    """

    event_id: str
    timestamp: str
    time_us: int
    source: str
    source_port: int
    destination: str
    port: int
    transport: str
    sent: int
    received: int
    packets_sent: int
    packets_received: int
    duration: float
    outcome: Outcome
    part: int = 1
    midstream: bool = False

    @property
    def failed(self) -> bool:
        """Tell whether the destination did not take the connection."""
        return self.outcome is not Outcome.OPENED


class SensorFilter:
    """Keep of a flow that several sensors saw (same community id) only the records of the sensor heard first.

    Past ``MAX_REMEMBERED`` flows new ones are no longer remembered, so a second sensor's record then counts again.
    """

    def __init__(self) -> None:
        """Start without any flow seen."""
        self._sensors: dict[str, str] = {}

    def admits(self, event: Event) -> bool:
        """Tell whether ``event`` is not another sensor's record of a flow already seen."""
        community_id = event.get("network.community_id")
        if not isinstance(community_id, str):
            return True
        dataset = str(event.get(DATASET, ""))
        known = self._sensors.get(community_id)
        if known is None and len(self._sensors) < MAX_REMEMBERED:
            self._sensors[community_id] = dataset
        return known is None or known == dataset


def in_order(batches: Iterable[Sequence[Event]]) -> Iterator[Event]:
    """Yield events by time, equal times by id: neither batch cuts nor the order of ties change what detectors see."""
    for _, ties in groupby(chain.from_iterable(batches), key=_time_of):
        yield from sorted(ties, key=_id_of)


def read_flows(batches: Iterable[Sequence[Event]]) -> Iterator[FlowRecord]:
    """Yield the flows in order; of a flow that several sensors saw (same community id) only the first sensor's records.

    Events without addresses are left out: they are not flows. So are multicast and broadcast destinations, which
    no detector here asks about.
    """
    sensors = SensorFilter()
    read = batches.read if isinstance(batches, SharedEvents) else read_flow
    for event in in_order(batches):
        record = read(event) if sensors.admits(event) else None
        if record is not None and not is_group_address(record.destination):
            yield record


class SharedEvents:
    """Give events that several windows and detectors read, and make the record of each flow just once.

    Whoever makes one keeps the events as long as ``records``, which knows them by identity, and changes none.
    """

    __slots__ = ("_batches", "_records")

    def __init__(self, batches: Sequence[Sequence[Event]], records: dict[int, FlowRecord | None]) -> None:
        """Take the events in order of time, and the records that are shared."""
        self._batches = batches
        self._records = records

    def __iter__(self) -> Iterator[Sequence[Event]]:
        """Yield the batches."""
        return iter(self._batches)

    def read(self, event: Event) -> FlowRecord | None:
        """Return the record of one of the events, like ``read_flow``."""
        key = id(event)
        try:
            return self._records[key]
        except KeyError:
            record = self._records[key] = read_flow(event)
            return record


def read_flow(event: Event) -> FlowRecord | None:
    """Return the record of one flow event, or ``None`` where it names no two addresses."""
    source, destination = event.get("source.ip"), event.get("destination.ip")
    if not isinstance(source, str) or not isinstance(destination, str):
        return None
    timestamp = str(event[TIMESTAMP])
    return FlowRecord(
        event_id=str(event[EVENT_ID]),
        timestamp=timestamp,
        time_us=time_us(timestamp),
        source=source,
        source_port=number(event, "source.port"),
        destination=destination,
        port=number(event, "destination.port"),
        transport=_transport(event),
        sent=number(event, "source.bytes"),
        received=number(event, "destination.bytes"),
        packets_sent=number(event, "source.packets"),
        packets_received=number(event, "destination.packets"),
        duration=number(event, "event.duration") / 1e9,
        outcome=_outcome(event),
        part=max(1, number(event, "edusoc.flow.part")),
        midstream=_is_midstream(event),
    )


def number(event: Event, field: str) -> int:
    """Return a whole number of ``field`` from 0 to ``MAX_NUMBER``, 0 when absent or of another type."""
    value = event.get(field, 0)
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return value
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return int(min(max(0, value), MAX_NUMBER))
    return 0


def time_us(timestamp: str) -> int:
    """Return µs since 1970 of canonical text; the minutes of a window come again and again, so they are kept."""
    return _minute_us(timestamp[:16]) + int(timestamp[17:19]) * 1_000_000 + int(timestamp[20:26])


@lru_cache(maxsize=4_096)
def _minute_us(minute: str) -> int:
    return epoch_us(parse_instant(f"{minute}:00Z"))


@lru_cache(maxsize=65_536)
def is_group_address(address: str) -> bool:
    """Tell whether ``address`` is multicast, broadcast or unspecified: one packet reaches many, so nobody scans by it.

    The network's mask is not known here, so an IPv4 address that ends in .255 counts as a directed broadcast.
    """
    if address.endswith(".255") or address.startswith("ff") or address in UNSPECIFIED:
        return True
    if ":" in address:
        return False
    try:
        return ip_address(address).is_multicast
    except ValueError:
        return False


def is_backscatter(flow: FlowRecord) -> bool:
    """Tell whether the record is more likely an answer than a request: from a service port to an ephemeral one.

    Sensors that start in the middle of a connection, or miss the question, name the server as the originator.
    Without this a DNS server looks like a port scanner of its clients. 32768 is where Linux' ephemeral ports start,
    and 49152 Windows' (RFC 6335); scanners that fake source port 53 still reach the ports below.
    """
    if (flow.source_port, flow.port) in DHCP:
        return True
    return 0 < flow.source_port < 1024 and flow.port >= 32_768


def _transport(event: Event) -> str:
    transport = str(event.get("network.transport", "")).lower()
    return "icmp" if transport in {"icmp6", "ipv6-icmp"} else transport


def _outcome(event: Event) -> Outcome:
    state = event.get("zeek.conn.state")
    if isinstance(state, str):
        return _ZEEK.get(state.lower(), Outcome.OPENED)
    answer = _flags(event, "destination")
    if number(event, "destination.packets") == 0:
        return Outcome.OPENED if _half_seen(event) else Outcome.SILENT
    return Outcome.REFUSED if "R" in answer and "S" not in answer else Outcome.OPENED


def _half_seen(event: Event) -> bool:
    """Tell whether the answers only took another way than past the sensor: who acknowledges has been answered.

    Without it every browser looks like a scanner where routes are asymmetric. A scan that sends bare ACKs sends just
    one or two to a port.
    """
    asked = _flags(event, "source")
    return "A" in asked and ("S" in asked or number(event, "source.packets") > 2)


_FLAG_BITS: Final = ((0x02, "S"), (0x04, "R"), (0x10, "A"))


def _flags(event: Event, side: str) -> str:
    """Return the TCP flags of a side as letters; Suricata writes them as a hexadecimal number (RFC 9293 bit order)."""
    text = str(event.get(f"edusoc.flow.tcp_flags_{side}", "")).upper()
    if event.get(DATASET) != "suricata.flow":
        return text
    try:
        bits = int(text, 16) if text else 0
    except ValueError:
        return ""
    return "".join(letter for bit, letter in _FLAG_BITS if bits & bit)


def _is_midstream(event: Event) -> bool:
    asked = _flags(event, "source")
    return "A" in asked and "S" not in asked


def _time_of(event: Event) -> str:
    return str(event[TIMESTAMP])


def _id_of(event: Event) -> str:
    return str(event[EVENT_ID])
