"""Read W3C extended logs as IIS and HTTP.SYS write them (``u_ex*.log``, ``httperr*.log``).

Format: W3C Working Draft WD-logfile-960323, and Microsoft, "W3C Logging" (times are UTC, blanks in values are "+").
Columns may change in the middle of a file. Written from documents and published samples (未经实机验证).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import extra, instant_or_none, ip_text, long_value, put
from collectors.lines import Line, decode_text, text_head
from collectors.making import RecordError
from collectors.network import put_side, put_url
from collectors.records import read_line_events
from soc_core.clock import format_instant
from soc_core.model.event import TIMESTAMP, Event

DATASET: Final = "iis.access"
_FIELDS: Final = "#Fields:"
_PLAIN: Final[Mapping[str, str]] = {
    "cs-method": "http.request.method",
    "cs(User-Agent)": "user_agent.original",
    "cs(Referer)": "http.request.referrer",
    "cs-username": "user.name",
    "sc-status": "http.response.status_code",
    "sc-bytes": "http.response.bytes",
    "cs-bytes": "http.request.bytes",
    "s-computername": "host.name",
    "s-sitename": "service.name",
    "s-reason": "event.reason",
}
_BLANKS: Final = frozenset({"cs(User-Agent)", "cs(Referer)"})
"""Columns whose blanks IIS writes as "+"."""
_ADDRESSES: Final = frozenset({"x-forwarded-for", "cs(x-forwarded-for)", "cs(x-real-ip)"})
_SECRETS: Final = ("cookie", "authorization")
"""Columns with these words identify a session: kept as ``***``, in the original too."""
HIDDEN: Final = "***"
_DONE: Final = frozenset(
    {"date", "time", "c-ip", "c-port", "s-ip", "s-port", "cs-uri-stem", "cs-uri-query", "cs-uri", "cs-host", "cs(Host)",
     "cs-version", "time-taken"}
)  # fmt: skip
_VERSION: Final = re.compile(r"HTTP/(\d(?:\.\d)?)")


class Iis:
    """Collect W3C extended logs of web servers."""

    name: str = "iis"
    datasets: tuple[str, ...] = (DATASET,)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 95 for the header lines with a column of web requests."""
        for line in text_head(head)[:16_384].split(b"\n")[:20]:
            if line.startswith(_FIELDS.encode()):
                columns = set(decode_text(line).split())
                return (
                    95
                    if "time" in columns and columns & {"cs-method", "cs-uri-stem", "cs-uri", "sc-status"}
                    else 0
                )
        return 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_line_events(source, context, _Parser(context), name=self.name, module="iis")


class _Parser:
    """Follow the header lines and map the rows below them."""

    def __init__(self, context: ReadContext) -> None:
        self._keep = context.keep_original
        self._columns: list[str] = []
        self._date = ""

    def parse(self, line: Line) -> Sequence[Event]:
        """Return the event of a row, nothing for a header line. Raises ``RecordError`` for a broken row."""
        text = decode_text(line.raw).rstrip()
        if text.startswith("#"):
            if text.startswith(_FIELDS):
                self._columns = text[len(_FIELDS) :].split()
            elif text.startswith("#Date:"):
                self._date = text[6:].split()[0] if text[6:].split() else ""
            return ()
        if not self._columns:
            raise RecordError("row before any #Fields line")
        cells = text.split(" ")
        if len(cells) != len(self._columns):
            raise RecordError(f"{len(cells)} columns where the header names {len(self._columns)}")
        cells = [
            HIDDEN if cell != "-" and any(word in name.lower() for word in _SECRETS) else cell
            for name, cell in zip(self._columns, cells, strict=True)
        ]
        row = {name: cell for name, cell in zip(self._columns, cells, strict=True) if cell not in ("-", "")}
        event = self._event(row)
        if self._keep:
            event["event.original"] = " ".join(cells)
        return (event,)

    def _event(self, row: Mapping[str, str]) -> Event:
        stamp = f"{row.get('date', self._date)}T{row.get('time', '')}"
        instant = instant_or_none(stamp, UTC)
        if instant is None:
            raise RecordError(f"unreadable time {stamp[:40]!r}")
        event: Event = {
            TIMESTAMP: format_instant(instant),
            "event.dataset": DATASET,
            "event.category": ["web"],
            "event.type": ["access"],
            "network.protocol": "http",
        }
        put_side(event, "source", row.get("c-ip"), row.get("c-port"))
        put_side(event, "destination", row.get("s-ip"), row.get("s-port"))
        _put_target(event, row)
        for name, text in row.items():
            field = _PLAIN.get(name)
            if field is not None:
                put(event, field, text.replace("+", " ") if name in _BLANKS else text)
            elif name.lower() in _ADDRESSES:
                addresses = [address for part in text.split(",") if (address := ip_text(part.strip("+ ")))]
                put(event, "edusoc.http.forwarded_for", addresses)
            elif name not in _DONE:
                extra(event, f"iis.access.{name}", text)
        _put_result(event, row)
        return event


def _put_target(event: Event, row: Mapping[str, str]) -> None:
    host = row.get("cs-host", row.get("cs(Host)"))
    stem, query = row.get("cs-uri-stem", ""), row.get("cs-uri-query")
    target = row.get("cs-uri") or (f"{stem}?{query}" if query else stem)
    put_url(event, host=host, path=target, port=row.get("s-port"))
    version = _VERSION.fullmatch(row.get("cs-version", ""))
    put(event, "http.version", version[1] if version else None)


def _put_result(event: Event, row: Mapping[str, str]) -> None:
    status = event.get("http.response.status_code")
    if isinstance(status, int):
        event["event.outcome"] = "success" if 0 < status < 400 else "failure"
    taken = long_value(row.get("time-taken", ""))
    if taken is not None:  # milliseconds
        event["event.duration"] = taken * 1_000_000
        event["edusoc.http.request_seconds"] = taken / 1_000
