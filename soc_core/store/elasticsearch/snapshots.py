"""Let Elasticsearch keep a snapshot of our indices, and bring one back, under another prefix if wanted.

A snapshot lies in a repository that every node reaches (``path.repo`` for a file system, or S3, HDFS …); it holds what
was searchable when it began. Calls: reference of Elasticsearch 8.19, "Snapshot and restore", tried against 8.19.21.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch

from soc_core.backup.manifest import Snapshot
from soc_core.backup.meter import Meter
from soc_core.errors import StoreError, UsageError
from soc_core.store.elasticsearch.faults import cause_of, in_words

POLL_SECONDS: Final = 0.2
STUCK_POLLS: Final = 3_000
"""Ten minutes without a byte restored."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
Pause = Callable[[float], None]


class Snapshots:
    """Take and restore snapshots of the indices of one prefix."""

    def __init__(
        self, client: Elasticsearch, prefix: str, where: str, meter: Meter, pause: Pause = time.sleep
    ) -> None:
        """Take the client, the prefix of our indices and how errors name the cluster."""
        self._client, self._prefix, self._where = client, prefix, where
        self._meter, self._pause = meter, pause

    def repository(self, wanted: str) -> str:
        """Return the name of a repository: an existing one, or one registered for a path that all nodes share.

        Raises ``UsageError`` when there is none of that name or the nodes can't write to the path.
        """
        if "/" in wanted:
            name = f"{self._prefix}-backup"
            body = {"type": "fs", "settings": {"location": wanted}}
            try:
                with in_words(self._where):
                    self._client.snapshot.create_repository(name=name, repository=body, verify=True)
            except StoreError as error:
                raise UsageError(
                    f"Elasticsearch can't keep snapshots in '{wanted}': {error.what}",
                    where=self._where,
                    todo="name the folder in path.repo of every node; all must reach the same one",
                ) from error
            return name
        with in_words(self._where):
            if wanted not in self._client.snapshot.get_repository(name="*").body:
                raise UsageError(
                    f"Elasticsearch has no snapshot repository '{wanted}'",
                    where=self._where,
                    todo="name an existing one, or a folder with --snapshot-repository",
                )
        return wanted

    def take(self, repository: str, name: str) -> Snapshot:
        """Take a snapshot of all our indices and wait for it; raise ``StoreError`` unless every shard is in it."""
        name = name.lower()
        if not _NAME.fullmatch(name):
            raise UsageError(f"'{name}' is no name of a snapshot")
        with in_words(self._where):
            self._client.indices.refresh(index=self._pattern)
            before = self._documents(self._pattern)
            if not before:
                return Snapshot("", "", self._prefix)
            self._client.snapshot.create(
                repository=repository,
                snapshot=name,
                indices=self._pattern,
                include_global_state=False,
                ignore_unavailable=True,
                wait_for_completion=False,
            )
            found = self._finished(repository, name)
            self._client.indices.refresh(index=self._pattern)
            after = self._documents(self._pattern)
        held = [str(index) for index in found["indices"]]
        least = {index: before.get(index, 0) for index in held}
        most = {index: max(after.get(index, 0), least[index]) for index in held}
        return Snapshot(repository, name, self._prefix, least, most)

    @property
    def _pattern(self) -> str:
        return f"{self._prefix}-*"

    def _documents(self, pattern: str) -> dict[str, int]:
        """Return the number of documents of each index."""
        answer: Any = self._client.indices.stats(index=pattern, metric="docs").body
        return {name: int(index["primaries"]["docs"]["count"]) for name, index in answer["indices"].items()}

    def _finished(self, repository: str, name: str) -> Mapping[str, Any]:
        """Wait until a snapshot is finished and return what the cluster says of it."""
        done = -1
        while True:
            found: Any = self._client.snapshot.get(repository=repository, snapshot=name).body["snapshots"][0]
            if found["state"] != "IN_PROGRESS":
                break
            done = self._show(repository, name, done)
            self._pause(POLL_SECONDS)
        failed = found["shards"]["failed"]
        if found["state"] != "SUCCESS" or failed:
            raise StoreError(
                f"Elasticsearch's snapshot {name} is {found['state']}, {failed} shards failed",
                where=self._where,
                todo="see the logs of its nodes, then make another backup",
            )
        return dict(found)

    def _show(self, repository: str, name: str, done: int) -> int:
        """Show how far a snapshot is, in bytes."""
        answer: Any = self._client.snapshot.status(repository=repository, snapshot=name).body
        counted = answer["snapshots"][0]["stats"]
        if done < 0:
            self._meter.begin("snapshot", int(counted["total"]["size_in_bytes"]))
            done = 0
        now = int(counted.get("processed", {}).get("size_in_bytes", 0))
        self._meter.advance(max(0, now - done))
        return max(now, done)

    def check(self, snapshot: Snapshot) -> str:
        """Return what is wrong with a snapshot as its repository has it, or an empty text."""
        try:
            found: Any = self._client.snapshot.get(
                repository=snapshot.repository, snapshot=snapshot.name
            ).body["snapshots"][0]
        except ApiError as error:
            return cause_of(error.body)[1] or "the snapshot is missing"
        failed = int(found["shards"]["failed"])
        if found["state"] != "SUCCESS" or failed:
            return f"Elasticsearch's snapshot {snapshot.name} is {found['state']}, {failed} shards failed"
        missing = set(snapshot.documents) - set(found["indices"])
        return f"the snapshot lacks the index '{min(missing)}'" if missing else ""

    def restore(self, snapshot: Snapshot) -> int:
        """Bring a snapshot back under our prefix, wait for it and compare it; return how many documents there are.

        What an earlier attempt brought back already is left as it is. Raises ``UsageError`` when there are other
        indices of the prefix, ``StoreError`` when numbers of documents differ.
        """
        if not all(name.startswith(f"{snapshot.prefix}-") for name in snapshot.documents):
            raise StoreError("the manifest is damaged", where=f"{snapshot.repository}/{snapshot.name}")
        wanted = {self._renamed(name, snapshot.prefix): name for name in snapshot.documents}
        with in_words(self._where):
            there = self._documents(self._pattern)
            if not all(name in wanted and self._came_from(name, snapshot.name) for name in there):
                raise UsageError(
                    f"there are indices named {self._pattern} already",
                    where=self._where,
                    todo="set elasticsearch_prefix to a name that is not used yet",
                )
            missing = sorted(old for new, old in wanted.items() if new not in there)
            if missing:
                self._client.snapshot.restore(
                    repository=snapshot.repository,
                    snapshot=snapshot.name,
                    indices=missing,
                    include_global_state=False,
                    include_aliases=snapshot.prefix == self._prefix,
                    rename_pattern=f"^{re.escape(snapshot.prefix)}-(.+)$",
                    rename_replacement=f"{self._prefix}-$1",
                    wait_for_completion=False,
                )
            self._wait_for(sorted(wanted))
            self._client.indices.refresh(index=self._pattern)
            counted = self._documents(self._pattern)
        self._compare(snapshot, wanted, counted)
        return sum(counted.values())

    def _renamed(self, name: str, prefix: str) -> str:
        return self._prefix + name.removeprefix(prefix)

    def _came_from(self, index: str, name: str) -> bool:
        """Tell whether an index was brought back from a snapshot."""
        answer: Any = self._client.indices.recovery(index=index).body
        shards = answer.get(index, {}).get("shards", [])
        return any(shard.get("source", {}).get("snapshot") == name for shard in shards)

    def _wait_for(self, names: list[str]) -> None:
        """Wait until the first copies of all shards are there."""
        begun, done, idle = False, 0, 0
        while idle < STUCK_POLLS:
            answer: Any = self._client.indices.recovery(index=names).body
            shards = [
                shard
                for index in answer.values()
                for shard in index.get("shards", [])
                if shard.get("primary")
            ]
            sizes = [shard.get("index", {}).get("size", {}) for shard in shards]
            if not begun:
                self._meter.begin("snapshot", sum(int(size.get("total_in_bytes", 0)) for size in sizes))
                begun = True
            now = sum(int(size.get("recovered_in_bytes", 0)) for size in sizes)
            self._meter.advance(max(0, now - done))
            idle = 0 if now > done else idle + 1
            done = max(now, done)
            health: Any = self._client.cluster.health(index=names, level="indices").body
            if health["status"] in {"yellow", "green"}:
                return
            self._pause(POLL_SECONDS)
        raise StoreError(
            "Elasticsearch's restore makes no progress",
            where=self._where,
            todo="see the logs of its nodes, then make another backup",
        )

    def _compare(self, snapshot: Snapshot, wanted: Mapping[str, str], counted: Mapping[str, int]) -> None:
        for new, old in sorted(wanted.items()):
            least, most = snapshot.documents[old], snapshot.most.get(old, snapshot.documents[old])
            if not least <= counted.get(new, 0) <= most:
                raise StoreError(
                    f"{counted.get(new, 0)} documents came back in {new}, {least} to {most} were saved",
                    where=self._where,
                    todo="use another backup",
                )
