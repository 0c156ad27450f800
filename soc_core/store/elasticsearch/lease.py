"""Keep one writer at a time, and the offsets of the log: one document that is only ever changed by compare-and-set.

The document names the writer (its *epoch*), the offsets it has *reserved*, and the *head*: offsets below it are
acknowledged. A writer uses only offsets that it reserved before, and a successor only those above; so nobody's late
writing can take an offset of somebody else. What was reserved and never acknowledged is *abandoned*: an event found
there is one that readers of the log have not seen.

Whether another writer lives is judged by whether the document changes while we look, not by anybody's clock: machines'
clocks differ. One on this machine whose process is gone is known to be dead at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from elastic_transport import TransportError
from elasticsearch import ApiError, ConflictError, Elasticsearch, NotFoundError

from soc_core.errors import StoreBusyError
from soc_core.store.elasticsearch.bulk import BUSY, pause
from soc_core.store.elasticsearch.faults import cause_of
from soc_core.store.elasticsearch.place import Place

DOCUMENT: Final = "log"
LEASE_SECONDS: Final = 10.0
RESERVED_AT_ONCE: Final = 65_536
MOST_ABANDONED: Final = 1_000
"""Ranges kept; older ones are of writers that can't be writing still."""
_LOOKS: Final = 20
TRIES: Final = 5
END_IT: Final = "wait for it to end, or stop it"


@dataclass(frozen=True, slots=True)
class Log:
    """Hold the state of the log, as the document has it. ``abandoned`` holds pairs: from, up to (exclusive)."""

    epoch: int = 0
    holder: str = ""
    machine: str = ""
    process: str = ""
    token: str = ""
    beat: int = 0
    reserved: int = 0
    head: int = 0
    abandoned: tuple[tuple[int, int], ...] = ()

    def is_abandoned(self, offset: int) -> bool:
        """Tell whether an event at the offset was never acknowledged by its writer."""
        return any(low <= offset < high for low, high in self.abandoned)


@dataclass(frozen=True, slots=True)
class _Version:
    number: int
    term: int


def make_state_index(place: Place, replicas: int) -> None:
    """Make the index of the document where it is missing."""
    settings = {"index": {"number_of_shards": 1, "number_of_replicas": replicas}}
    try:
        place.client.indices.create(
            index=place.state,
            settings=settings,
            mappings={"dynamic": False},
            wait_for_active_shards=1,
        )
    except ApiError as error:
        if cause_of(error.body)[0] != "resource_already_exists_exception":
            raise


def read_log(place: Place) -> Log:
    """Return the state of the log as it is now; that of an empty one where there is none."""
    return _read(place.client, place.state)[0]


def _read(client: Elasticsearch, index: str) -> tuple[Log, _Version | None]:
    try:
        answer = client.get(index=index, id=DOCUMENT)
    except NotFoundError:
        return Log(), None
    source = dict(answer["_source"])
    source["abandoned"] = tuple((low, high) for low, high in source["abandoned"])
    return Log(**source), _Version(answer["_seq_no"], answer["_primary_term"])


class Lease:
    """Be the one writer of a log until another takes over; safe for threads.

    Every method raises ``StoreBusyError`` naming the other writer once there is one.
    """

    def __init__(
        self,
        place: Place,
        *,
        seconds: float = LEASE_SECONDS,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the lease, or raise ``StoreBusyError`` when another writer lives; that takes at most ``seconds``."""
        # A change that was sent twice would conflict with itself, so each is sent once and looked at again.
        self._client = place.client.options(max_retries=0, retry_on_timeout=False)
        self._index = place.state
        self._seconds, self._sleep = seconds, sleep
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._token = uuid.uuid4().hex
        self.log, self._version = self._wait_for_end_of_other()
        self.inherited = self.log
        """The state as the writer before left it."""
        try:
            self._change(
                replace(
                    self.log,
                    epoch=self.log.epoch + 1,
                    holder=f"{os.getpid()} ({socket.gethostname()})",
                    machine=machine(),
                    process=process(os.getpid()),
                    token=self._token,
                )
            )
        except StoreBusyError:
            self._ended.set()
            raise
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    def _wait_for_end_of_other(self) -> tuple[Log, _Version | None]:
        """Return the state when nobody writes; raise ``StoreBusyError`` as soon as somebody is seen to."""
        log, version = _read(self._client, self._index)
        if not log.token or _is_dead(log):
            return log, version
        for _ in range(_LOOKS):
            self._sleep(self._seconds / _LOOKS)
            now, changed = _read(self._client, self._index)
            if changed != version and now.token:
                raise _busy(now)
            if not now.token:
                return now, changed
        return log, version

    def _change(self, log: Log) -> None:
        """Write the state if nobody else did; what we wrote ourselves may have arrived although we heard nothing."""
        with self._lock:
            log = replace(log, beat=self.log.beat + 1)
            for attempt in range(TRIES):
                try:
                    self._write(log)
                except ConflictError as error:
                    found, self._version = _read(self._client, self._index)
                    if found.token != self._token:
                        self._ended.set()
                        raise _busy(found) from error
                    log = replace(
                        log,
                        beat=found.beat + 1,
                        head=max(log.head, found.head),
                        reserved=max(log.reserved, found.reserved),
                    )
                except (TransportError, ApiError) as error:
                    if attempt == TRIES - 1 or getattr(error, "status_code", 503) not in BUSY:
                        raise
                    self._sleep(pause(attempt))
                else:
                    return
            raise _busy(log)

    def _write(self, log: Log) -> None:
        expected: dict[str, Any] = {"op_type": "create"}
        if self._version is not None:
            expected = {"if_seq_no": self._version.number, "if_primary_term": self._version.term}
        answer = self._client.index(index=self._index, id=DOCUMENT, document=asdict(log), **expected)
        self._version = _Version(answer["_seq_no"], answer["_primary_term"])
        self.log = log

    def _changed(self, **parts: Any) -> None:
        if self._ended.is_set():
            raise _busy(_read(self._client, self._index)[0])
        self._change(replace(self.log, **parts))

    def reserve(self, start: int, count: int) -> None:
        """Make sure that ``count`` offsets from ``start`` on are ours to use."""
        with self._lock:
            if start + count > self.log.reserved:
                self._changed(reserved=start + count + RESERVED_AT_ONCE)

    def acknowledge(self, head: int, abandoned: tuple[tuple[int, int], ...] = ()) -> None:
        """Say that everything below ``head`` is stored, but for what stands in ``abandoned`` (added to those known)."""
        with self._lock:
            kept = (*self.log.abandoned, *abandoned)[-MOST_ABANDONED:]
            self._changed(head=head, abandoned=kept)

    def _beat(self) -> None:
        """Show that we live, while nothing else does."""
        last = self.log.beat
        while not self._ended.wait(self._seconds / 4):
            with self._lock:
                if self.log.beat == last:
                    try:
                        self._changed()
                    except StoreBusyError:
                        return
                    except Exception:  # noqa: BLE001,S112 the next append says what is wrong, the next beat may succeed
                        continue
                last = self.log.beat

    def close(self, used: int) -> None:
        """Let go, so that the next writer need not wait; offsets up to ``used`` (exclusive) may have been used."""
        with self._lock:
            if not self._ended.is_set():
                with contextlib.suppress(Exception):  # then the next writer waits
                    self._changed(token="", reserved=max(used, self.log.head))
            self._ended.set()
        self._beating.join(self._seconds)


def _busy(log: Log) -> StoreBusyError:
    return StoreBusyError(f"process {log.holder} writes here already", todo=END_IT)


def _is_dead(log: Log) -> bool:
    """Tell whether the writer ran on this machine and is gone."""
    if not log.machine or log.machine != machine():
        return False
    return process(int(log.process.split(":")[0])) != log.process


def machine() -> str:
    """Return what tells this running machine (and container) from others; empty where that can't be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 a name that resolves to no path
    except OSError:
        return ""


def process(pid: int) -> str:
    """Return what tells a process from others that had or will have its number; empty when it is gone."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else f"{pid}:{fields[19]}"
