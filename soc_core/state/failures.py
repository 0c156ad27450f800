"""Say in words what the operational database refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from soc_core.errors import StoreBusyError, StoreError

TODO_SQLITE: Final = "check the permissions of the state directory and the room on its disk"
TODO_POSTGRESQL: Final = "check that PostgreSQL runs, and the settings 'database_url' and 'database_password'"
TODO_ROOM: Final = "free room on the disk of the operational database"
TODO_AGAIN: Final = "try again in a moment"
LOCK: Final = "55P03"
"""PostgreSQL: lock_not_available, when ``lock_timeout`` is over."""
FULL: Final = ("53100", "disk is full")
"""PostgreSQL's disk_full; what SQLite says."""
READ_ONLY: Final = "25006"
"""PostgreSQL: read_only_sql_transaction, from a server that only follows another."""


@contextmanager
def said(where: str) -> Iterator[None]:
    """Turn what a database says of itself into ``StoreError``; errors of single statements pass.

    ``where`` names the database without a password.
    """
    try:
        yield
    except PoolTimeout as error:
        raise _busy(where) from error
    except (OperationalError, InternalError) as error:
        raise store_error(error, where) from error


def store_error(error: DBAPIError, where: str) -> StoreError:
    """Return our own error for one of the database."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    what = _first_line(error)
    if state == LOCK or what == "database is locked":
        return _busy(where)
    if state in FULL or what.endswith(FULL):
        return StoreError("the operational database has no room left", where=where, todo=TODO_ROOM)
    if state == READ_ONLY:
        return StoreError(
            "PostgreSQL only follows another server and takes no changes",
            where=where,
            todo="name the leading server, or all with target_session_attrs=read-write",
        )
    if error.connection_invalidated:
        return StoreError(
            "the connection to the operational database was lost; what was under way may not be kept",
            where=where,
            todo=TODO_AGAIN,
        )
    todo = TODO_SQLITE if type(error.orig).__module__.startswith("sqlite3") else TODO_POSTGRESQL
    return StoreError(f"the operational database can't be used: {what}", where=where, todo=todo)


def is_gone(error: DBAPIError) -> bool:
    """Tell whether PostgreSQL could not be reached or ended the connection: a restart may be under way."""
    state = getattr(error.orig, "sqlstate", "")
    return state is None or error.connection_invalidated


def _busy(where: str) -> StoreBusyError:
    return StoreBusyError("others are writing into the operational database", where=where, todo=TODO_AGAIN)


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0].strip() if lines else type(error.orig).__name__
