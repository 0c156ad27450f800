"""Store events: each id once, whatever the batches, the retries and the writers that died.

An append reserves offsets, creates the documents, and then moves the head of the log past them: only then is anything
acknowledged. What is not needed to be right is left out: no read before write but for one case (below).

Three things need care, and all end in the same question, *what does the document that is there say of itself*:

* A request without an answer may have stored documents. When sent again they are there already: by their offset they
  are known to be ours.
* An append that failed, or a writer that died or was taken for dead, may leave documents that no reader of the log will
  see, for the head moves past their offsets without them. These offsets are *abandoned*; a document found there gets a
  new offset when its event is sent again, and when a new writer starts.
* The same id may stand in an index of another data set (a parser was corrected since). Indices do not know of each
  other, so those of the month are asked. One that is missing at the moment (a node is down) is done without: events go
  on coming in, and what it holds could be stored again under another data set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from soc_core.clock import Clock, utc_now
from soc_core.errors import StoreError
from soc_core.model.event import EVENT_ID, BadRecord, Event
from soc_core.store.elasticsearch.bulk import CHUNK_BYTES, CHUNK_DOCUMENTS, MOST_BYTES, Bulk
from soc_core.store.elasticsearch.documents import Document, chunked, open_line
from soc_core.store.elasticsearch.faults import cause_of, in_words, refusal
from soc_core.store.elasticsearch.indices import Indices, indices_of, month_of
from soc_core.store.elasticsearch.lease import LEASE_SECONDS, Lease, make_state_index
from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.templates import EPOCH, OFFSET
from soc_core.store.elasticsearch.visibility import Visibility
from soc_core.store.interface import Ack
from soc_core.store.shape import encode_line, fault_of

_PAGE: Final = 1_000
_ASKED: Final = 5_000
_TRIES: Final = 5
_TOO_LARGE: Final = f"the record is larger than {MOST_BYTES // 2**20} MB"


@dataclass(frozen=True, slots=True)
class Writing:
    """Say how to write: copies that each shard has beside the first, and after how long a silent writer is dead."""

    replicas: int = 1
    clock: Clock = utc_now
    lease_seconds: float = LEASE_SECONDS
    sleep: Callable[[float], object] = time.sleep


class Writer:
    """Be the one writer; safe for threads, which take turns."""

    def __init__(self, place: Place, visibility: Visibility, how: Writing) -> None:
        """Take the lease and mend what the writer before left; raise ``StoreBusyError`` when another writes."""
        self._client, self._where, self._visibility = place.client, place.where, visibility
        self._pattern = place.pattern
        self._lock = threading.RLock()
        self._bulk = Bulk(place, how.sleep)
        self.indices = Indices(place, how.replicas, how.clock)
        self._recent = visibility.recent
        with in_words(place.where):
            make_state_index(place, how.replicas)
            self._lease = Lease(place, seconds=how.lease_seconds, sleep=how.sleep)
            self._next = self._lease.log.reserved
            self._failed: list[tuple[int, int]] = []
            self._stale = False
            try:
                self.indices.install()
                self._mend()
            except BaseException:
                self._lease.close(self._next)
                raise

    @property
    def head(self) -> int:
        """Return the offset after the last acknowledged event."""
        return self._lease.log.head

    def append(self, events: Sequence[Event]) -> Ack:
        """Store events durably, each id once. Raises ``StoreError`` when that can't be: nothing is acknowledged."""
        with self._lock, in_words(self._where):
            self.indices.look_at_clock()
            documents, rejected, sound = _prepare(events, self.indices)
            self.indices.ensure({document.index for document in documents})
            first = self._next
            accepted: list[Document] = []
            refused: list[tuple[Document, str]] = []
            try:
                for run in chunked(self._without_known(documents, accepted), CHUNK_BYTES, CHUNK_DOCUMENTS):
                    self._store(run, accepted, refused)
                self._acknowledge(first, accepted)
            except BaseException:
                self._give_up(first)
                raise
            rejected.extend(_rejected(events[doc.place], doc.place, why) for doc, why in refused)
            rejected.sort(key=lambda record: record.position)
            return Ack(len(accepted), sound - len(accepted) - len(refused), tuple(rejected), self.head)

    def _store(
        self, run: list[Document], accepted: list[Document], refused: list[tuple[Document, str]]
    ) -> None:
        """Store a run of documents that are probably new."""
        for _ in range(_TRIES):
            self._stamp(run)
            outcome = self._bulk.create(run, self._lease.log.epoch)
            accepted.extend(outcome.stored)
            refused.extend(outcome.refused)
            gone = outcome.missing
            if outcome.there and (outcome.unsure or self._abandoned()):
                gone = [*gone, *self._settle(outcome.there, accepted)]
            if not gone:
                return
            # An index was removed just now: its documents are sent again.
            self.indices.forget({document.index for document in outcome.missing})
            self.indices.ensure({document.index for document in gone})
            run = gone
        raise StoreError("indices are removed faster than they are made", where=self._where)

    def _stamp(self, run: Sequence[Document]) -> None:
        """Give documents the next offsets."""
        self._lease.reserve(self._next, len(run))
        for document in run:
            document.offset = self._next
            self._next += 1

    def _abandoned(self) -> tuple[tuple[int, int], ...]:
        return (*self._lease.log.abandoned, *self._failed)

    def _without_known(self, documents: list[Document], accepted: list[Document]) -> list[Document]:
        """Return the documents whose id is not known to stand in an index, of their own data set or another."""
        if self._stale:
            self._visibility.renew()
            self._stale = False
        known = self._known(documents)
        if known and self._abandoned():
            self._settle(
                [replace(doc, index=known[doc.id]) for doc in documents if doc.id in known], accepted
            )
        return [document for document in documents if document.id not in known]

    def _known(self, documents: list[Document]) -> dict[str, str]:
        """Return the indices of documents that surely stand in one; in their own they may stand all the same."""
        known: dict[str, str] = {}
        asked: dict[str, list[str]] = {}
        for document in documents:
            there = self._recent.index_of(document.id, "")
            if there:
                known[document.id] = there
            else:
                asked.setdefault(month_of(document.id), []).append(document.id)
        for month, names in asked.items():
            for start in range(0, len(names) if self.indices.are_many(month) else 0, _ASKED):
                known |= self._find(month, names[start : start + _ASKED])
        return known

    def _find(self, month: str, names: Sequence[str]) -> dict[str, str]:
        answer: Any = self._client.search(
            index=indices_of(self._pattern, month),
            query={"constant_score": {"filter": {"ids": {"values": names}}}},
            source=False,
            size=_ASKED,
            sort=["_doc"],
            track_total_hits=False,
            ignore_unavailable=True,
            allow_partial_search_results=True,
            filter_path="hits.hits._id,hits.hits._index",
        ).body
        return {hit["_id"]: hit["_index"] for hit in answer.get("hits", {}).get("hits", ())}

    def _settle(self, there: Sequence[Document], accepted: list[Document]) -> list[Document]:
        """Look at documents that are there already: our own and those that nobody acknowledged become accepted.

        Returns those that are not there any more.
        """
        gone: list[Document] = []
        for start in range(0, len(there), _PAGE):
            waiting = list(there[start : start + _PAGE])
            for _ in range(_TRIES):
                waiting = self._settle_some(waiting, accepted, gone)
                if not waiting:
                    break
            else:
                raise StoreError("documents change while they are looked at", where=self._where)
        return gone

    def _settle_some(
        self, there: list[Document], accepted: list[Document], gone: list[Document]
    ) -> list[Document]:
        """Settle documents once; return those that were changed by somebody else meanwhile."""
        answer = self._client.mget(docs=[{"_index": doc.index, "_id": doc.id} for doc in there])
        unseen: list[tuple[Document, Mapping[str, Any]]] = []
        for document, found in zip(there, answer["docs"], strict=True):
            if not found.get("found"):
                gone.append(document)
                continue
            source = found["_source"]
            offset, epoch = source.get(OFFSET, -1), source.get(EPOCH, -1)
            if offset == document.offset and epoch == self._lease.log.epoch:
                accepted.append(document)
            elif any(low <= offset < high for low, high in self._abandoned()):
                unseen.append((document, found))
        done = self._stamp_anew([found for _, found in unseen])
        accepted.extend(doc for (doc, _), sure in zip(unseen, done, strict=True) if sure)
        return [doc for (doc, _), sure in zip(unseen, done, strict=True) if not sure]

    def _stamp_anew(self, found: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Give stored documents new offsets, unless they changed since; tell of each whether that was done."""
        if not found:
            return []
        self._lease.reserve(self._next, len(found))
        lines: list[bytes] = []
        for hit in found:
            source = {**hit["_source"], OFFSET: self._next, EPOCH: self._lease.log.epoch}
            self._next += 1
            action = {
                "_index": hit["_index"],
                "_id": hit["_id"],
                "if_seq_no": hit["_seq_no"],
                "if_primary_term": hit["_primary_term"],
            }
            lines.append(orjson.dumps({"index": action}) + b"\n" + orjson.dumps(source) + b"\n")
        return [self._is_done(item["index"]) for item in self._bulk.request(lines)]

    def _is_done(self, item: dict[str, Any]) -> bool:
        """Tell whether a change was made, ``False`` where it came too late; raise what hinders any."""
        status = item["status"]
        if status not in {200, 201, 404, 409}:
            raise refusal(status, *cause_of(item), self._where)
        return status in {200, 201}

    def _acknowledge(self, first: int, accepted: Sequence[Document]) -> None:
        """Move the head past what was stored; where nothing was, the offsets are used again."""
        if not accepted:
            self._next = first
            return
        self._lease.acknowledge(self._next, tuple(self._failed))
        self._failed.clear()
        self._recent.add((document.id, document.index) for document in accepted)
        if self._recent.is_full:
            self._visibility.renew()

    def _give_up(self, first: int) -> None:
        """Remember that documents may stand at offsets that will not be acknowledged."""
        if self._next > first:
            if self._failed and self._failed[-1][1] == first:  # failures in a row, maybe thousands: one range
                first = self._failed.pop()[0]
            self._failed.append((first, self._next))
            self._stale = True

    def _mend(self) -> None:
        """Take over what the writer before stored and did not acknowledge."""
        self._visibility.renew()
        low, high = self._lease.inherited.head, self._lease.inherited.reserved
        top = self._top()
        if top >= high:  # the state of the log was lost or is older than the events: a snapshot was restored
            self._next = top + 1
            self._lease.reserve(self._next, 0)
            self._lease.acknowledge(self._next)
            return
        if low == high:
            return
        idle = 0
        while found := self._unacknowledged(low, high):
            idle = 0 if any(self._stamp_anew(found)) else idle + 1
            if idle >= _TRIES:
                raise StoreError("documents change while they are looked at", where=self._where)
            self._visibility.renew()
        self._lease.acknowledge(self._next, ((low, high),))

    def _top(self) -> int:
        """Return the highest offset there is, -1 for none."""
        answer = self._ask(sort=[{OFFSET: {"order": "desc", "unmapped_type": "long"}}], size=1)
        hits = answer["hits"]["hits"]
        return int(hits[0]["sort"][0]) if hits else -1

    def _unacknowledged(self, low: int, high: int) -> list[Mapping[str, Any]]:
        answer = self._ask(
            query={"range": {OFFSET: {"gte": low, "lt": high}}},
            sort=[{OFFSET: {"order": "asc", "unmapped_type": "long"}}],
            size=_PAGE,
            seq_no_primary_term=True,
        )
        return list(answer["hits"]["hits"])

    def _ask(self, **parts: Any) -> Any:
        return self._client.search(
            index=self._pattern,
            ignore_unavailable=True,
            allow_partial_search_results=True,
            track_total_hits=False,
            **parts,
        )

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let no append begin inside: what is removed must not take with it what arrives at that moment."""
        with self._lock:
            yield

    def close(self) -> None:
        """Let the next writer in."""
        with self._lock:
            self._lease.close(self._next)


def _prepare(events: Sequence[Event], indices: Indices) -> tuple[list[Document], list[BadRecord], int]:
    """Return the documents of events, each id once, the events that can't be stored, and the number of all others."""
    rejected: list[BadRecord] = []
    documents: dict[str, Document] = {}
    sound = 0
    for place, event in enumerate(events):
        fault = fault_of(event)
        line = b""
        if not fault:
            line, dataset = open_line(event)
            fault = "" if len(line) <= MOST_BYTES else _TOO_LARGE
        if fault:
            rejected.append(_rejected(event, place, fault))
            continue
        sound += 1
        name = str(event[EVENT_ID])
        if name not in documents:
            documents[name] = Document(name, indices.name_of(name, dataset), line, place)
    return list(documents.values()), rejected, sound


def _rejected(event: Event, place: int, fault: str) -> BadRecord:
    return BadRecord("append", place, 0, fault, encode_line(event)[:4096])
