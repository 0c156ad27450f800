"""Read web access logs of Apache, Nginx and others: text (``web_access_text``) or JSON (``web_access_json``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors.base import Batch, ByteSource, ReadContext
from collectors.json_records import first_object
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.records import read_json_events, read_line_events
from collectors.web_access_json import AccessObjects, is_access_object
from collectors.web_access_text import access_event, is_access
from soc_core.model.event import Event


class WebAccess:
    """Collect web access logs."""

    name: str = "web_access"
    datasets: tuple[str, ...] = ("web.access",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 80 when one of the first lines has the format, 75 for JSON with the names of Nginx's variables."""
        first = first_object(head)
        if first is not None:
            return 75 if is_access_object(first) else 0
        lines = text_head(head)[:16_384].split(b"\n")[:10]
        return 80 if any(is_access(decode_text(line.rstrip(b"\r"))) for line in lines if line.strip()) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        if first_object(source.head) is not None:
            return read_json_events(source, context, AccessObjects(context), name=self.name, module="web")
        return read_line_events(source, context, _Parser(), name=self.name, module="web")


class _Parser:
    """Map one line to one event."""

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event. Raises ``RecordError`` when the line has another format."""
        event = access_event(decode_text(line.raw))
        if event is None:
            raise RecordError("not an access log line")
        return (event,)
