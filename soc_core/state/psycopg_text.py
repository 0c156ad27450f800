"""Write text the way PostgreSQL takes it. Imports psycopg, so it is imported only where that is installed."""

from __future__ import annotations

from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown


class TextDumper(StrDumperUnknown):
    """Write U+FFFD for NUL, which PostgreSQL's text has no place for: what strangers send may hold it."""

    def dump(self, obj: str) -> Buffer | None:
        """Return the text in the connection's encoding."""
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))
