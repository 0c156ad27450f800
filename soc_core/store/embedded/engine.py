"""Ask DuckDB about segments and tail as if they were one table."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from soc_core.errors import StoreError
from soc_core.fields import FIELDS
from soc_core.store.budget import UNBOUNDED, Budget, too_long
from soc_core.store.embedded.blocks import Block, Blocks, Span
from soc_core.store.embedded.narrowing import Narrowing
from soc_core.store.embedded.schema import SEQUENCE, sql_type
from soc_core.store.embedded.segments import Segment
from soc_core.store.embedded.sql import Parameter, quote
from soc_core.store.embedded.tail import StaleSnapshotError

THREADS: Final = 2


class UnreadableError(StoreError):
    """Report an answer that could not be made, most likely because a segment is damaged."""


@dataclass(frozen=True, slots=True)
class View:
    """Hold one consistent state of the store, or a part of it: segments, the tail's table, and where the tail begins.

    ``blocks`` are of further segments of which no more than these is looked at. Of those whose rows all lie ``within``
    a span, if there is one, the time is not read; of rows that ``narrowing`` rules out, nothing.
    """

    segments: tuple[Segment, ...]
    tail: pa.Table
    sealed: int
    blocks: tuple[Block, ...] = ()
    within: Span | None = None
    narrowing: Narrowing | None = None

    def columns(self) -> set[str]:
        """Return all fields that occur."""
        found = set(self.tail.column_names)
        kinds = {s.columns for s in self.segments} | {block.segment.columns for block in self.blocks}
        return found.union(*kinds)


class Engine:
    """Run SQL in memory with bounded memory; threads may share it."""

    def __init__(self, directory: Path, memory_limit_mb: int, blocks: Blocks) -> None:
        """Take the directory of the segments; larger questions spill to ``spill`` beside it."""
        self._directory, self._blocks = directory, blocks
        self._memory_limit_mb = memory_limit_mb
        self._connection = self._connect()
        self.seconds = UNBOUNDED
        """A statement that takes longer is given up; where people ask, one must not keep all others waiting."""

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            config={
                "memory_limit": f"{self._memory_limit_mb}MB",
                "threads": THREADS,
                "temp_directory": str(self._directory.parent / "spill"),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        connection.execute("SET parquet_metadata_cache = true")
        return connection

    def ask(
        self,
        view: View,
        sql: str,
        columns: Collection[str],
        parameters: Sequence[Parameter],
        budget: Budget | None = None,
    ) -> pa.Table:
        """Return the result of ``sql``, in which ``{source}`` stands for the events with these columns.

        ``budget`` is what is left of the question, by default it begins anew. Raises ``StaleSnapshotError`` when a
        segment was merged into another since the view was taken.
        """
        seconds = self.seconds if budget is None else budget.left()
        with self._asked(view, sql, columns, parameters, seconds) as relation:
            answer: pa.Table = relation.to_arrow_table()
            answer.validate(full=True)  # DuckDB hands on what a damaged page says, texts that are none too
            return answer

    def stream(
        self, view: View, sql: str, columns: Collection[str], parameters: Sequence[Parameter], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the result as ``ask`` returns it, at most ``rows`` at a time."""
        with self._asked(view, sql, columns, parameters, self.seconds) as relation:
            for batch in relation.to_arrow_reader(rows):
                batch.validate(full=True)
                yield batch

    @contextmanager
    def _asked(
        self, view: View, sql: str, columns: Collection[str], parameters: Sequence[Parameter], seconds: float
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        cursor = self._connection.cursor()
        end = threading.Timer(seconds, cursor.interrupt)
        end.daemon = True
        if seconds < UNBOUNDED:
            end.start()
        try:
            cursor.register("tail", view.tail)
            if view.blocks:
                stream = self._blocks.stream(view.blocks, columns, view.within, view.narrowing)
                cursor.register("blocks", stream)
            source = self._source(view, columns)
            yield cursor.sql(sql.replace("{source}", source), params=list(parameters))
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            named = {s.name for s in view.segments} | {block.segment.name for block in view.blocks}
            if not all((self._directory / name).exists() for name in named):
                raise StaleSnapshotError from error
            raise UnreadableError(
                f"a segment can't be read: {error}", todo="run: edusoc store verify"
            ) from error
        except duckdb.InterruptException as error:
            raise too_long() from error
        except duckdb.OutOfMemoryException as error:
            raise StoreError(
                "the question needs more memory than the store may use", todo="ask about a shorter time"
            ) from error
        except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                self._connection = self._connect()  # what DuckDB did not expect leaves it of no more use
            raise UnreadableError(
                f"the question can't be answered: {error}", todo="run: edusoc store verify"
            ) from error
        finally:
            end.cancel()
            cursor.close()

    def _source(self, view: View, columns: Collection[str]) -> str:
        names = [SEQUENCE, *(name for name in FIELDS if name in columns)]
        parts = []
        if view.tail.num_rows or not (view.segments or view.blocks):
            parts.append(f"SELECT {_selected(names, set(view.tail.column_names))} FROM tail")  # noqa: S608 names from the dictionary
        if view.blocks:
            parts.append(f"SELECT {', '.join(map(quote, names))} FROM blocks")  # noqa: S608 names from the dictionary
        if view.segments:
            there = {SEQUENCE}.union(*(segment.columns for segment in view.segments))
            files = ", ".join(_literal(str(self._directory / segment.name)) for segment in view.segments)
            parquet = f"read_parquet([{files}], union_by_name = true)"
            parts.append(f"SELECT {_selected(names, there)} FROM {parquet}")  # noqa: S608 names from the dictionary
        return "(" + " UNION ALL ".join(parts) + ")"

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()


def _selected(names: Sequence[str], there: Collection[str]) -> str:
    parts = [
        quote(name) if name in there else f"CAST(NULL AS {sql_type(name)}) AS {quote(name)}" for name in names
    ]
    return ", ".join(parts)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
