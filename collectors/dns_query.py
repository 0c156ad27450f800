"""Read query logs of name servers from their own files: BIND, Unbound, dnsmasq, the debug log of Windows.

The first three also write to syslog (``collectors.programs``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors import dns_bind, dns_unbound, dns_windows, dnsmasq
from collectors.base import Batch, ByteSource, ReadContext
from collectors.dns_common import DATASET, SERVER_DATASET
from collectors.groups import Gatherer
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import read_group_events, read_line_events
from collectors.syslog_header import HeaderReader
from soc_core.model.event import Event


class DnsQuery:
    """Collect query logs."""

    name: str = "dns_query"
    datasets: tuple[str, ...] = (DATASET, SERVER_DATASET)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 when one of the first lines is one of these servers'."""
        return 85 if _kind(head) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        kind = _kind(source.head)
        if kind == dns_windows.MODULE:
            packets = dns_windows.Packets(context.reference, context.zone_info)
            gatherer = Gatherer(packets.parse, dns_windows.starts_packet)
            return read_group_events(source, context, gatherer, name=self.name, module=kind)
        return read_line_events(source, context, _Lines(kind, context), name=self.name, module=kind or "dns")


def _kind(head: bytes) -> str:
    """Return whose log starts with ``head``, empty if none of these."""
    for raw in text_head(head)[:16_384].split(b"\n")[:60]:
        line = decode_text(raw)
        if dns_unbound.is_unbound(line):
            return dns_unbound.MODULE
        if dnsmasq.is_dnsmasq(line):
            return dnsmasq.MODULE
        if dns_bind.is_bind(line):
            return dns_bind.MODULE
        if dns_windows.is_windows_dns(line):
            return dns_windows.MODULE
    return ""


class _Lines:
    """Map one line to one event."""

    def __init__(self, kind: str, context: ReadContext) -> None:
        self._kind = kind
        self._zone = context.zone_info
        self._headers = HeaderReader(context.reference, context.zone_info)

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a line. Raises ``RecordError`` when it has no time."""
        text = decode_text(line.raw)
        event = self._event(text)
        if event is None:
            raise RecordError("not a line of this name server's log")
        return (event,)

    def _event(self, text: str) -> Event | None:
        if self._kind == dns_unbound.MODULE:
            return dns_unbound.unbound_event(text, self._zone, self._headers)
        if self._kind == dns_bind.MODULE:
            return dns_bind.bind_event(text, self._zone)
        event: Event = {}
        if not dnsmasq.is_dnsmasq(text) or not self._headers.read(event, text, 0):
            return None
        dnsmasq.dnsmasq_event(event)
        return event
