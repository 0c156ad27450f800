"""Write the operational database's tables as lines of JSON, and read them into a database of any kind.

One file for each table: the first line names table and columns, every further line is one row as a list of values.
Bytes are base64, dates and times ISO 8601; the column's type in the database that is filled says what they were. All
tables are read in one snapshot. A dump of an older schema is loaded into that schema, which is then migrated.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import orjson
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropTableComment, SetTableComment
from sqlalchemy.types import TypeEngine

from soc_core.backup.manifest import FileEntry, StateDump
from soc_core.backup.meter import Meter, metered
from soc_core.backup.package import PackageReader, PackageWriter
from soc_core.errors import StoreError, UsageError
from soc_core.state.database import Database

DIRECTORY: Final = "state"
ROWS_AT_ONCE: Final = 1_000
_LONGEST_LINE: Final = 64 * 1024 * 1024
_VERSION_TABLE: Final = "alembic_version"
Migrate = Callable[[Database, str], object]
"""Bring an empty or older database to a schema revision (``head``: the newest)."""
Scalar = str | int | float | bool | bytes | date | datetime | Decimal | None


def dump_tables(database: Database, package: PackageWriter, meter: Meter) -> StateDump:
    """Add every table as it is at one moment, whatever others write meanwhile; memory holds some rows at a time."""
    with database.read() as connection:
        tables = _tables(connection)
        if not tables:
            return StateDump(connection.dialect.name)
        revision = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608 constant
        rows = {str(table.name): _dump(connection, table, package, meter) for table in tables}
        numbers = dict(_numbers(connection, tables))
        return StateDump(connection.dialect.name, str(revision or ""), rows, numbers)


def _tables(connection: Connection) -> list[Table]:
    """Return the tables that are there, those that others refer to first."""
    known = MetaData()
    known.reflect(connection)
    return [table for table in known.sorted_tables if table.name != _VERSION_TABLE]


def _dump(connection: Connection, table: Table, package: PackageWriter, meter: Meter) -> int:
    counted = [0]
    lines = metered(_lines(connection, table, counted), meter)
    package.add(f"{DIRECTORY}/{table.name}.ndjson", lines)
    return counted[0]


def _lines(connection: Connection, table: Table, counted: list[int]) -> Iterator[bytes]:
    """Yield the file's lines, some rows at a time, by primary key; count the rows."""
    names = [str(column.name) for column in table.columns]
    yield orjson.dumps({"table": str(table.name), "columns": names}) + b"\n"
    question = select(table).order_by(*(table.primary_key.columns or table.columns))
    for rows in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(question).partitions():
        counted[0] += len(rows)
        yield b"".join(orjson.dumps([_plain(value) for value in row]) + b"\n" for row in rows)


def _plain(value: Scalar) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _counted_column(table: Table) -> Column[Any] | None:
    """Return the column whose numbers the database gives out, if there is one."""
    columns = list(table.primary_key.columns)
    if len(columns) == 1 and isinstance(columns[0].type, Integer):
        return columns[0]
    return None


def _numbers(connection: Connection, tables: Sequence[Table]) -> Iterator[tuple[str, int]]:
    """Yield for tables with numbered rows the highest number ever given out: it must not be given again."""
    for table in tables:
        column = _counted_column(table)
        if column is None:
            continue
        highest = connection.scalar(select(func.max(column))) or 0
        yield str(table.name), max(highest, _given_out(connection, table, column))


def _given_out(connection: Connection, table: Table, column: Column[Any]) -> int:
    if connection.dialect.name == "sqlite":
        if not connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'")):
            return 0
        question = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(connection.scalar(question, {"name": table.name}) or 0)
    sequence = _sequence(connection, table, column)
    if sequence is None:
        return 0
    row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608 from the server
    return int(row.last_value) if row.is_called else 0


def _sequence(connection: Connection, table: Table, column: Column[Any]) -> str | None:
    question = text("SELECT pg_get_serial_sequence(:table, :column)")
    quoted = connection.dialect.identifier_preparer.format_table(table)
    found = connection.scalar(question, {"table": quoted, "column": column.name})
    return str(found) if found else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Count rows loaded, and texts in which a NUL (which PostgreSQL can't hold) became U+2400."""

    rows: int
    replaced: int


def load_tables(database: Database, package: PackageReader, migrate: Migrate, meter: Meter) -> Loaded:
    """Fill an empty database with a backup's tables in one transaction, then bring its schema up to date.

    Repeated after it was killed, it ends the same. Raises ``UsageError`` when the database holds something else, and
    ``StoreError`` when the dump is damaged or of a newer program.
    """
    state, mark = package.manifest.state, f"restored from {package.manifest.id}"
    if not state.revision:
        migrate(database, "head")
        return Loaded(0, 0)
    _make_room(database, mark)
    if _mark_of(database) != mark:
        migrate(database, state.revision)
        try:
            loaded = _load(database, package, mark, meter)
        except DBAPIError as error:
            raise StoreError(
                f"the operational database refuses a row: {str(error.orig).splitlines()[0][:300]}",
                where=database.name,
            ) from error
    else:  # an earlier attempt was killed after its transaction
        loaded = Loaded(sum(state.rows.values()), 0)
    migrate(database, "head")
    return loaded


def _make_room(database: Database, mark: str) -> None:
    """Remove tables that hold nothing; raise ``UsageError`` when one holds rows and we didn't restore them."""
    with database.write() as connection:
        tables = _tables(connection)
        if _comment(connection) == mark:
            return
        full = [
            table.name for table in tables if connection.execute(select(table).limit(1)).first() is not None
        ]
        if full:
            raise UsageError(
                "the operational database is not empty",
                where=database.name,
                todo="make an empty database and name it in database_url",
            )
        metadata = MetaData()
        metadata.reflect(connection)
        metadata.drop_all(connection)


def _mark_of(database: Database) -> str:
    with database.read() as connection:
        return _comment(connection)


def _comment(connection: Connection) -> str:
    """Return what a restore wrote beside the schema's version, where the database keeps comments."""
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table(_VERSION_TABLE):
        return ""
    return str(connection.scalar(text(f"SELECT obj_description('{_VERSION_TABLE}'::regclass)")) or "")


def forget_restore(database: Database) -> None:
    """Forget from which backup a database was filled, once all of it is back: what it holds from now on is its own."""
    if database.is_postgresql:
        with database.write() as connection:
            if _comment(connection):
                connection.execute(DropTableComment(Table(_VERSION_TABLE, MetaData())))


def _load(database: Database, package: PackageReader, mark: str, meter: Meter) -> Loaded:
    entries, state = package.manifest.named(), package.manifest.state
    rows = replaced = 0
    with database.write() as connection:
        tables = _tables(connection)
        for table in reversed(tables):
            connection.execute(table.delete())  # what migrations put there is in the dump too
        for table in tables:
            entry = entries.get(f"{DIRECTORY}/{table.name}.ndjson")
            if entry is None:
                raise StoreError(f"the backup lacks the table '{table.name}'", where=str(package.path))
            filler = _Filler(connection, table)
            filler.fill(package, entry, meter)
            if filler.rows != state.rows.get(table.name):
                raise StoreError("the number of rows differs from the manifest's", where=entry.path)
            rows, replaced = rows + filler.rows, replaced + filler.replaced
            _go_on_counting(connection, table, state.numbers.get(table.name, 0))
        if connection.dialect.name == "postgresql":
            connection.execute(SetTableComment(Table(_VERSION_TABLE, MetaData(), comment=mark)))
    return Loaded(rows, replaced)


class _Filler:
    """Put the rows of a dump into one table."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection, self._table = connection, table
        self._without_nul = connection.dialect.name == "postgresql"
        self.rows = self.replaced = 0

    def fill(self, package: PackageReader, entry: FileEntry, meter: Meter) -> None:
        """Insert all rows; raise ``StoreError`` naming the line that doesn't fit."""
        lines = _split(metered(package.blocks(entry), meter), entry.path)
        head = next(lines, b"")
        columns = self._columns(head, entry.path)
        batch: list[dict[str, Scalar]] = []
        for number, line in enumerate(lines, 2):
            batch.append(self._row(line, columns, f"{entry.path}:{number}"))
            if len(batch) >= ROWS_AT_ONCE:
                self._insert(batch)
                batch = []
        self._insert(batch)

    def _columns(self, head: bytes, where: str) -> list[Column[Any]]:
        try:
            found = orjson.loads(head)
            return [self._table.columns[name] for name in found["columns"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError("the dump's columns are not those of the table", where=where) from error

    def _row(self, line: bytes, columns: Sequence[Column[Any]], where: str) -> dict[str, Scalar]:
        try:
            values = orjson.loads(line)
            pairs = zip(columns, values, strict=True)
            return {column.name: self._value(column.type, value) for column, value in pairs}
        except (ValueError, TypeError, binascii.Error) as error:
            raise StoreError("the row is damaged", where=where) from error

    def _value(self, kind: TypeEngine[Any], value: Scalar) -> Scalar:
        """Return a value as the column takes it."""
        if isinstance(value, str):
            if isinstance(kind, LargeBinary):
                return base64.b64decode(value, validate=True)
            if isinstance(kind, DateTime):
                return datetime.fromisoformat(value)
            if isinstance(kind, Date):
                return date.fromisoformat(value)
            if isinstance(kind, Numeric):
                return Decimal(value)
            if self._without_nul and "\0" in value:
                self.replaced += 1
                return value.replace("\0", "\u2400")
        return bool(value) if isinstance(kind, Boolean) and value is not None else value

    def _insert(self, batch: list[dict[str, Scalar]]) -> None:
        if batch:
            self._connection.execute(insert(self._table), batch)
            self.rows += len(batch)


def _split(blocks: Iterator[bytes], where: str) -> Iterator[bytes]:
    """Yield lines of a stream of blocks."""
    held = b""
    for block in blocks:
        *lines, held = (held + block).split(b"\n")
        yield from lines
        if len(held) > _LONGEST_LINE:
            raise StoreError("the row is damaged", where=where)
    if held:
        yield held


def _go_on_counting(connection: Connection, table: Table, highest: int) -> None:
    """Let the database give out numbers above the highest one ever given out."""
    column = _counted_column(table)
    if column is None or not highest:
        return
    if connection.dialect.name == "postgresql":
        sequence = _sequence(connection, table, column)
        if sequence is not None:
            connection.execute(text("SELECT setval(:name, :value)"), {"name": sequence, "value": highest})
    elif connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'")):
        moved = text("UPDATE sqlite_sequence SET seq = max(seq, :value) WHERE name = :name")
        values = {"name": table.name, "value": highest}
        if not connection.execute(moved, values).rowcount and _is_counting(connection, table):
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :value)"), values)


def _is_counting(connection: Connection, table: Table) -> bool:
    question = text("SELECT sql FROM sqlite_master WHERE name = :name")
    return "AUTOINCREMENT" in str(connection.scalar(question, {"name": table.name})).upper()
