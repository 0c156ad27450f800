"""Give PostgreSQL's columns the meaning that SQLite's have.

SQLite compares text by its bytes and does not bound it; PostgreSQL orders by the language its database was made for,
which differs from machine to machine, and refuses what is longer than declared. So every text column becomes
``text COLLATE "C"``: lists, cursors and ranges are the same on both, and no stranger's long name stops the pipeline.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

_OTHERS = text(
    """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = ANY(:tables)
      AND data_type IN ('character varying', 'text')
      AND (data_type <> 'text' OR collation_name IS DISTINCT FROM 'C')
    ORDER BY table_name, ordinal_position
    """
)


def as_sqlite_means(connection: Connection, tables: list[str]) -> None:
    """Change the text columns of ``tables`` that are something else; on SQLite there is nothing to do."""
    if connection.dialect.name != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    changes: dict[str, list[str]] = {}
    for table, column in connection.execute(_OTHERS, {"tables": tables}):
        changes.setdefault(table, []).append(f'ALTER COLUMN {quote(column)} TYPE text COLLATE "C"')
    for table, parts in changes.items():
        connection.exec_driver_sql(f"ALTER TABLE {quote(table)} {', '.join(parts)}")
