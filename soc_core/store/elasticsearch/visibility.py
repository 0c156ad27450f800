"""Make sure that a question sees what was acknowledged before it was asked.

Elasticsearch finds documents only after a *refresh*, which costs. So one is asked for only when the head of the log
has moved since the last: as often as there is something new and somebody asks, and not otherwise.
"""

from __future__ import annotations

import threading

from elasticsearch import ApiError, AuthorizationException

from soc_core.store.elasticsearch.place import Place
from soc_core.store.elasticsearch.recent import Recent


class Visibility:
    """Remember up to which offset everything can be found; safe for threads."""

    def __init__(self, place: Place) -> None:
        """Take the cluster."""
        self._client, self._pattern = place.client, place.pattern
        self._lock = threading.Lock()
        self._seen = -1
        self.recent = Recent()

    def reach(self, head: int) -> None:
        """Return when all that is below ``head`` can be found."""
        if head <= self._seen:
            return
        with self._lock:
            if head > self._seen:
                self._refresh(head)

    def renew(self) -> None:
        """Make all that is stored at this moment findable."""
        with self._lock:
            self._refresh(self._seen)

    def _refresh(self, head: int) -> None:
        self.recent.refresh_begins()
        absent = self._absent()
        names = ",".join([self._pattern, *(f"-{name}" for name in absent)])
        try:
            answer = self._client.indices.refresh(index=names, ignore_unavailable=True, allow_no_indices=True)
        except AuthorizationException:
            # Who may only read (no privilege ``maintenance``) sees events as late as ``refresh_interval`` has it.
            if head < 0:
                raise
        else:
            if answer["_shards"]["failed"]:
                return  # asked for again by the next question
        if absent:
            return  # they may hold some of it: asked for again while they are away
        self._seen = head
        self.recent.refresh_is_done()

    def _absent(self) -> list[str]:
        """Return the indices that lack a shard: a refresh would wait for them, and answers are partial anyway."""
        try:
            health = self._client.cluster.health(
                index=self._pattern,
                level="indices",
                local=True,
                filter_path="indices.*.status",
            ).body
        except ApiError:
            return []
        return sorted(name for name, index in health.get("indices", {}).items() if index["status"] == "red")
