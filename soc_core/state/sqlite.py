"""Open SQLite so that what is committed survives power loss and readers never wait.

WAL mode lets readers in other processes go on beside the writer; ``synchronous=FULL`` makes a commit durable. Write
transactions take the write lock at once (``BEGIN IMMEDIATE``), so two writers wait for each other instead of failing
half way.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from soc_core.errors import StoreError
from soc_core.wal import use_wal


def make_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine; what meets a lock waits for it up to ``wait_seconds``."""
    engine = create_engine(
        url,
        connect_args={"timeout": wait_seconds, "check_same_thread": False},
        hide_parameters=True,  # errors go to logs, and parameters are people's names and password hashes
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def check_references(connection: Connection) -> None:
    """Raise ``StoreError`` when a row refers to one that is not there."""
    wrong = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if wrong is not None:
        raise StoreError(
            f"the operational database is damaged: a row of '{wrong[0]}' refers to none of '{wrong[2]}'"
        )


def _set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not open transactions behind our back
    cursor = connection.cursor()
    use_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("edusoc_writing", False):
        connection.exec_driver_sql("BEGIN")
        return
    references = "ON" if options.get("edusoc_references", True) else "OFF"
    connection.exec_driver_sql(f"PRAGMA foreign_keys={references}")  # means nothing inside a transaction
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(options['edusoc_wait'] * 1000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
