"""Be the event store on Elasticsearch: one writer, any number of readers, on any number of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soc_core.config import Settings
from soc_core.errors import StoreAccessError, StoreError, UsageError
from soc_core.model.event import Event
from soc_core.store.elasticsearch.client import connect, place_of, read_version
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.reader import Reader
from soc_core.store.elasticsearch.removing import remove_indices
from soc_core.store.elasticsearch.writer import Writer, Writing
from soc_core.store.interface import Ack, Removal


class ElasticsearchStore(Reader):
    """Store and read events in a cluster."""

    def __init__(self, place: Place, *, writer: bool, how: Writing | None = None) -> None:
        """Open; raise ``StoreBusyError`` when another process writes and ``StoreError`` when the cluster refuses."""
        super().__init__(place)
        self._writer = Writer(place, self._visibility, how or Writing()) if writer else None

    @classmethod
    def at(cls, settings: Settings, *, writer: bool) -> ElasticsearchStore:
        """Open the store that is configured; raise ``UsageError`` when the cluster is of a version we don't speak.

        A reader may be opened while the cluster is away: then its questions say so.
        """
        place = Place(connect(settings), settings.elasticsearch_prefix, place_of(settings))
        try:
            read_version(place.client, place.where)
        except StoreAccessError:
            raise
        except StoreError:
            if writer:
                raise
        return cls(place, writer=writer, how=Writing(replicas=settings.elasticsearch_replicas))

    def _need_writer(self) -> Writer:
        if self._writer is None:
            raise UsageError("this store was opened for reading", where=self.place.where)
        return self._writer

    def append(self, events: Sequence[Event]) -> Ack:
        """Store events durably; each id once, whatever the batches.

        Raises ``StoreError`` when they can't be stored; nothing is then acknowledged, and a retry is harmless.
        """
        return self._need_writer().append(events)

    def end_offset(self) -> int:
        """Return the log offset after the last acknowledged event."""
        return super().end_offset() if self._writer is None else self._writer.head

    def seal(self) -> int:
        """Return 0: Elasticsearch moves events from its log into segments by itself."""
        self._need_writer()
        return 0

    def remove(self, cuts: Mapping[str, str]) -> Removal:
        """Remove the indices of months that lie wholly before their data set's cut; name those that stay."""
        writer = self._need_writer()
        with writer.standing_still():
            self._see_all()
            removal, gone = remove_indices(self.place, cuts)
            writer.indices.forget(gone)
        return removal

    def close(self) -> None:
        """Let the next writer in and close the connections; acknowledged events need no close to be safe."""
        if self._writer is not None:
            self._writer.close()
        super().close()
