"""Read what DHCP servers leave in files: Kea's log and leases, leases of ISC dhcpd and dnsmasq, Windows' audit log.

dhcpd, dnsmasq and Kea also write to syslog (``collectors.programs``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors import dhcp_isc, dhcp_kea, dhcp_windows, dnsmasq
from collectors.base import Batch, ByteSource, ReadContext
from collectors.dhcp_common import DATASET, MESSAGE_DATASET, SERVER_DATASET, name_by_content
from collectors.groups import Gatherer
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import LineParser, read_group_events, read_line_events
from soc_core.clock import format_instant
from soc_core.model.event import Event


class Dhcp:
    """Collect files of DHCP servers."""

    name: str = "dhcp"
    datasets: tuple[str, ...] = (DATASET, MESSAGE_DATASET, SERVER_DATASET)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 when the first lines are those of one of the servers."""
        return 85 if _kind(head) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        kind = _kind(source.head)
        if kind == dhcp_isc.MODULE:
            blocks = Gatherer(dhcp_isc.LeaseBlocks(context).parse, dhcp_isc.starts_block)
            return read_group_events(source, context, blocks, name=self.name, module=kind)
        return read_line_events(
            source, context, _parser(kind, context), name=self.name, module=kind or "dhcp"
        )


def _kind(head: bytes) -> str:
    """Return whose file starts with ``head``, empty if none of these."""
    start = text_head(head)[:16_384]
    # The last line may be cut off.
    text = decode_text(start.rpartition(b"\n")[0] if b"\n" in start else start)
    lines = [line.strip("\r") for line in text.split("\n")[:20] if line.strip()]
    if any(dhcp_kea.is_lease_header(line) for line in lines[:2]):
        return "kea_leases"
    if any(dhcp_kea.is_kea(line) for line in lines):
        return dhcp_kea.MODULE
    if dhcp_isc.is_lease_file(text):
        return dhcp_isc.MODULE
    if dhcp_windows.is_windows_dhcp(text):
        return dhcp_windows.MODULE
    if lines and all(dnsmasq.is_lease(line) for line in lines[:5] if not line.startswith("duid ")):
        return dnsmasq.MODULE if not lines[0].startswith("duid ") or len(lines) > 1 else ""
    return ""


def _parser(kind: str, context: ReadContext) -> LineParser:
    if kind == "kea_leases":
        return dhcp_kea.LeaseRows(context)
    if kind == dhcp_windows.MODULE:
        return dhcp_windows.AuditRows(context.zone_info)
    return _DnsmasqLeases(context) if kind == dnsmasq.MODULE else _KeaLog(context)


class _KeaLog:
    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone_info

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has no time."""
        event = dhcp_kea.kea_event(decode_text(line.raw), self._zone)
        if event is None:
            raise RecordError("not a line of Kea's log")
        return (event,)


class _DnsmasqLeases:
    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._reference = format_instant(context.reference)

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a lease, nothing for the server's own identifier."""
        text = decode_text(line.raw)
        if text.startswith("duid "):
            return ()
        event = dnsmasq.lease_event(text, self._reference)
        if event is None:
            raise RecordError("not an entry of a lease file")
        name_by_content(event, line.raw, self._context, dnsmasq.MODULE)
        return (event,)
