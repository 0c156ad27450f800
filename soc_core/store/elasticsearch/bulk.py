"""Send documents in bulk: each is stored once, refused with a reason, or not known to be either.

Elasticsearch answers for each document by itself. What it had no room for at the moment is sent again after a growing,
jittered pause; so is a whole request that got no answer, after which a document that is there already may be our own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from elastic_transport import TransportError
from elasticsearch import ApiError

from soc_core.errors import EdusocError, StoreError
from soc_core.store.elasticsearch.documents import Document
from soc_core.store.elasticsearch.faults import cause_of, fault_of, refusal
from soc_core.store.elasticsearch.place import Place

CHUNK_BYTES: Final = 6 * 1024 * 1024
CHUNK_DOCUMENTS: Final = 5_000
MOST_BYTES: Final = 40 * 1024 * 1024
"""A larger document is refused here: Elasticsearch takes requests of 100 MB, and memory is worth more than that."""
TRIES: Final = 8
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 8.0
ANSWER_SECONDS: Final = 120.0
"""A busy cluster that is asked again before it answers becomes busier."""
SHARD_TIMEOUT: Final = "10s"
"""How long a document waits for a shard that is missing, each time it is sent."""
BUSY: Final = frozenset({429, 502, 503, 504})
"""What servers and proxies answer that may do better later."""
_FILTER: Final = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"
_HEADERS: Final = {
    "accept": "application/vnd.elasticsearch+json; compatible-with=8",
    "content-type": "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
}
Sleep = Callable[[float], object]


@dataclass(slots=True)
class Outcome:
    """Hold what became of documents. ``unsure`` says that some of ``there`` may have been stored by this very call."""

    stored: list[Document] = field(default_factory=list)
    there: list[Document] = field(default_factory=list)
    refused: list[tuple[Document, str]] = field(default_factory=list)
    missing: list[Document] = field(default_factory=list)
    unsure: bool = False


class Bulk:
    """Send documents; bounded in size, number, tries and time."""

    def __init__(self, place: Place, sleep: Sleep = time.sleep) -> None:
        """Take the cluster."""
        # Sent again by us alone: whoever sends again must know that it did.
        self._client = place.client.options(
            max_retries=0, retry_on_timeout=False, retry_on_status=(), request_timeout=ANSWER_SECONDS
        )
        self._where, self._sleep = place.where, sleep

    def create(self, documents: Sequence[Document], epoch: int) -> Outcome:
        """Store documents whose id is not there yet; raise ``StoreError`` when some can't be stored for now.

        ``missing`` are those whose index is gone.
        """
        outcome = Outcome()
        waiting = list(documents)
        for attempt in range(TRIES):
            fault, waiting = self._send(waiting, epoch, outcome)
            if not waiting:
                return outcome
            if attempt < TRIES - 1:
                self._sleep(pause(attempt))
        raise fault or StoreError("Elasticsearch has more work than it can take", where=self._where)

    def _send(
        self, documents: list[Document], epoch: int, outcome: Outcome
    ) -> tuple[EdusocError | None, list[Document]]:
        """Send once; return what hindered some documents, and these."""
        try:
            items = self.request(_lines(documents, epoch))
        except (TransportError, ApiError) as error:
            status = error.meta.status if isinstance(error, ApiError) else 503
            if status not in BUSY:
                raise fault_of(error, self._where) from error
            outcome.unsure = True
            return fault_of(error, self._where), documents
        waiting: list[Document] = []
        fault: EdusocError | None = None
        for document, item in zip(documents, items, strict=True):
            status = item["create"]["status"]
            if status == 201:
                outcome.stored.append(document)
            elif status == 409:
                outcome.there.append(document)
            else:
                again = self._judge(document, item["create"], outcome)
                if again is not None:
                    fault = again
                    waiting.append(document)
        return fault, waiting

    def _judge(self, document: Document, item: dict[str, Any], outcome: Outcome) -> EdusocError | None:
        """Put a document that was not stored where it belongs; return what hinders it when it should be sent again."""
        status = item["status"]
        kind, reason = cause_of(item)
        if status == 404 and kind == "index_not_found_exception":
            outcome.missing.append(document)
            return None
        fault = refusal(status, kind, reason, self._where)
        if kind == "cluster_block_exception" or status in {401, 403}:
            raise fault
        if status in BUSY or status >= 500:
            # A time-out here means that the document may be stored all the same.
            outcome.unsure = outcome.unsure or status != 429
            return fault
        outcome.refused.append((document, refused(kind, item)))
        return None

    def request(self, lines: Iterable[bytes]) -> list[dict[str, Any]]:
        """Send one request of whole lines; return its items. Raises what the client raises."""
        answer: Any = self._client.perform_request(
            "POST",
            "/_bulk",
            params={"filter_path": _FILTER, "timeout": SHARD_TIMEOUT},
            headers=_HEADERS,
            body=b"".join(lines),
        )
        items: list[dict[str, Any]] = answer.body["items"]
        return items


def refused(kind: str, item: dict[str, Any]) -> str:
    """Return why Elasticsearch does not take a document, with the innermost reason."""
    error: Any = item.get("error")
    reason = ""
    for _ in range(10):
        if not isinstance(error, dict):
            break
        reason = str(error.get("reason") or reason)
        error = error.get("caused_by")
    return f"Elasticsearch does not take it: {(reason or kind)[:300]}"


def pause(attempt: int) -> float:
    """Return the seconds to wait after a try: twice as long each time, and not all senders at once."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 no secret


def _lines(documents: Iterable[Document], epoch: int) -> Iterable[bytes]:
    for document in documents:
        yield b'{"create":{"_index":"%b","_id":"%b"}}\n%b\n' % (
            document.index.encode(),
            document.id.encode(),
            document.line(epoch),
        )
