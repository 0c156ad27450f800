"""Open PostgreSQL so that it means what SQLite means: one writer at a time, readers see one snapshot.

Writers take one advisory lock for the length of their transaction. So they see what the writer before them committed,
can't deadlock or fail to serialise, and sequences are handed out in the order of commits, as readers of the outbox
need. The lock is waited for before the transaction sees anything: it runs in READ COMMITTED, where each statement has a
snapshot of its own. Readers run in REPEATABLE READ, READ ONLY.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from soc_core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection
    from psycopg import ConnectionInfo

DRIVER: Final = "postgresql+psycopg"
PARAMETERS: Final = frozenset(
    {
        "host",
        "port",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslcrl",
        "target_session_attrs",
        "connect_timeout",
    }
)
"""What may stand after the ``?`` of an address (libpq's names): several hosts, TLS, which server to write to."""
OLDEST: Final = 130_000
"""PostgreSQL 13."""
WRITERS_LOCK: Final = 0x6564_7573_6F63
"""The advisory lock of writers ("edusoc"); such locks belong to one database of the server."""
IDLE_SECONDS: Final = 120
"""A writer that stands still so long in the middle of a transaction is cut off, or all others would wait for it."""
POOL: Final = 10


def address(text: str, password: str) -> URL:
    """Return the address of the setting ``database_url`` with its password put in and TLS decided.

    Connections to other machines are encrypted unless the address says otherwise; a given root certificate is checked.
    Raises ``UsageError`` for an address that is not understood or holds a password: it would be shown in lists of
    processes, logs and errors.
    """
    try:
        url = make_url(text)
        known = url.get_backend_name() == "postgresql"
    except (ArgumentError, ValueError):
        known = False
    if not known:
        raise UsageError(
            "setting 'database_url' is no address of PostgreSQL", todo="write postgresql://user@host/database"
        )
    if url.password is not None or "password" in url.query:
        raise UsageError(
            "setting 'database_url' must not hold the password",
            todo="put it into the setting 'database_password'",
        )
    unknown = sorted(set(url.query) - PARAMETERS)
    if unknown:
        raise UsageError(
            f"setting 'database_url': unknown parameter '{unknown[0]}'",
            todo=f"known are: {', '.join(sorted(PARAMETERS))}",
        )
    url = url.set(drivername=DRIVER, password=password or None)
    return url.update_query_dict(_tls(url))


def _tls(url: URL) -> Mapping[str, str]:
    if "sslmode" in url.query:
        return {}
    if "sslrootcert" in url.query:
        return {"sslmode": "verify-full"}
    return {} if _is_local(url) else {"sslmode": "require"}


def _is_local(url: URL) -> bool:
    given = url.query.get("host", url.host or "")
    hosts = given.split(",") if isinstance(given, str) else list(given)
    return all(_is_local_host(host) for host in hosts)


def _is_local_host(host: str) -> bool:
    host = host.partition("]")[0].strip("[") if host.startswith("[") else host
    host = host.partition(":")[0] if host.count(":") == 1 else host  # several colons: IPv6
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True  # libpq: a path is the directory of a socket
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def make_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine; what meets a lock waits for it up to ``wait_seconds``.

    Raises ``UsageError`` when the driver is not installed.
    """
    try:
        import_module("psycopg")
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs a driver that is not installed", todo="run: pip install 'edusoc[postgresql]'"
        ) from error
    engine = create_engine(
        url,
        connect_args={
            "connect_timeout": url.query.get("connect_timeout", 10),
            "application_name": "edusoc",
            "client_encoding": "utf8",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,  # a server that vanished is noticed in a minute
            "options": _options(wait_seconds),
        },
        pool_size=POOL,
        max_overflow=2 * POOL,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _options(wait_seconds: float) -> str:
    values = {
        "lock_timeout": round(wait_seconds * 1000),
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
        "tcp_keepalives_idle": 30,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
        "synchronous_commit": "on",
        "plan_cache_mode": "force_custom_plan",  # one unit and a thousand need different plans
        "jit": "off",  # compiling a question takes longer than any of ours
    }
    return " ".join(f"-c {name}={value}" for name, value in values.items())


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("edusoc_writing", False):
        wait = round(options["edusoc_wait"] * 1000)
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout={wait}; SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
        )


def _set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    driver = cast("PsycopgConnection[object]", connection)
    _check(driver.info)
    driver.adapters.register_dumper(str, import_module("soc_core.state.psycopg_text").TextDumper)


def _check(info: ConnectionInfo) -> None:
    """Raise ``StoreError`` for a server that is too old or does not keep text as UTF-8."""
    if info.server_version < OLDEST:
        raise StoreError(
            f"PostgreSQL {info.server_version // 10_000} is too old", todo="use PostgreSQL 13 or newer"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"the database keeps text as {encoding}, which has no room for all names",
            todo="create it with ENCODING 'UTF8'",
        )
