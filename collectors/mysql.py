"""Read MySQL, MariaDB and Percona Server: general log, audit logs, error log.

The formats stand in ``mysql_text`` and ``mysql_audit``; which one a file has is seen from its first lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors import mysql_audit, mysql_text
from collectors.base import Batch, ByteSource, ReadContext
from collectors.groups import Gatherer
from collectors.json_records import first_object
from collectors.lines import decode_text, text_head
from collectors.records import read_group_events, read_json_events, read_line_events


class Mysql:
    """Collect logs of MySQL and its relatives."""

    name: str = "mysql"
    datasets: tuple[str, ...] = (mysql_text.GENERAL, mysql_audit.DATASET, mysql_text.ERROR)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 85 when the first lines have one of the formats."""
        return 85 if _kind(head) else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        kind = _kind(source.head)
        name, module = self.name, "mysql"
        if kind == "json":
            return read_json_events(source, context, mysql_audit.Objects(context), name=name, module=module)
        if kind == "mariadb":
            return read_line_events(source, context, mysql_audit.Rows(context), name=name, module=module)
        if kind == "error":
            entries = Gatherer(mysql_text.Errors(context).parse, mysql_text.starts_error)
            return read_group_events(source, context, entries, name=name, module=module)
        if kind == "general":
            blocks = Gatherer(mysql_text.General(context).parse, mysql_text.starts_block)
            return read_group_events(source, context, blocks, name=name, module=module)
        records = Gatherer(mysql_audit.Records(context).parse, mysql_audit.starts_record)
        return read_group_events(source, context, records, name=name, module=module)


def _kind(head: bytes) -> str:
    """Return the format of a file that starts with ``head``, empty if it is none of these."""
    first = first_object(head)
    if first is not None:
        return "json" if mysql_audit.is_object(first) else ""
    lines = [decode_text(line.rstrip(b"\r")) for line in text_head(head)[:16_384].split(b"\n")[:20]]
    for line in lines:
        if mysql_audit.is_row(line):
            return "mariadb"
        if mysql_audit.is_record(line):
            return "percona"
        if mysql_text.is_general(line):
            return "general"
    return "error" if any(mysql_text.is_error(line) for line in lines) else ""
