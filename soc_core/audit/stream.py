"""Read one stream of the operational database's journal as a chain that can be verified."""

from __future__ import annotations

from collections.abc import Iterator

from soc_core.audit.chain import Head, Link
from soc_core.audit.journal import head_of, read_links
from soc_core.state.database import Database


class JournalStream:
    """Be the chain of one stream; each question sees the database as it is then."""

    def __init__(self, database: Database, stream: str) -> None:
        """Take the opened database and the stream's name."""
        self._database, self._stream = database, stream

    def head(self) -> Head:
        """Return the newest link's head."""
        with self._database.read() as connection:
            return head_of(connection, self._stream)

    def links(self) -> Iterator[Link]:
        """Yield the links, first to last, of one snapshot."""
        with self._database.read() as connection:
            yield from read_links(connection, self._stream)
