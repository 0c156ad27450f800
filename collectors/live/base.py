"""Define what a live input is: it runs until told to stop and delivers batches of events to an outlet.

An input owns its sockets and files, its memory is bounded whatever it is sent, and it never raises for bad content:
that becomes ``BadRecord`` in the batch. It acknowledges to its peer (Beats, bulk, HTTP, a file's checkpoint) only after
``deliver`` returned. Where the outlet is slow, ``deliver`` blocks: protocols that allow it pass that on to the sender
by not reading; UDP can't, and what the kernel dropped is read from it and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from collectors.base import Batch, ReadContext

FLUSH_SECONDS = 0.2
"""How long a record may wait for others before its batch is delivered."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Say where a batch comes from: the input's configured name and, where known, the sender's address.

    ``waits`` says whether the sender waits when we don't read (TCP, files, HTTP). For what came by UDP it is ``False``:
    while there is little room, ``deliver`` does not block for it but drops bulk first, and counts what it dropped.
    """

    source: str
    sender: str = ""
    waits: bool = True


class Outlet(Protocol):
    """Take batches. Safe to use from several threads at once; they share fsyncs."""

    def deliver(self, batch: Batch, origin: Origin) -> None:
        """Return when the batch's events are durable (and its bad records kept aside and counted).

        Blocks while there is no room. Raises ``StoreError`` when it can't be stored although it waited: then nothing
        of the batch is acknowledged, and the sender, where there is one to tell, is told to come again.
        """
        ...

    def context(self, origin: Origin) -> ReadContext:
        """Return the context for parsing what arrives now: organisation, zone, time zone, reference, created.

        ``reference`` and ``created`` are the time of the call.
        """
        ...


@dataclass(slots=True)
class Counters:
    """Count what an input saw since it was made; names as in ``Batch.counters``.

    Those every input has: ``received`` records, ``received_bytes``, ``delivered`` events, ``bad`` records, ``dropped``
    records lost before us (kernel), ``refused`` connections or requests, ``connections`` open now.
    """

    values: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.values[name] = self.values.get(name, 0) + amount

    def snapshot(self) -> Mapping[str, int]:
        """Return all counters as they are now."""
        with self._lock:
            return dict(self.values)


class LiveInput(Protocol):
    """Run one configured input."""

    name: str
    kind: str
    counters: Counters

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Collect until ``stop`` is set, then deliver what is held and return within a few seconds.

        Raises ``UsageError`` for what only a person can mend (the port is taken, the file is not ours to read); the
        supervisor says it, counts it and tries again with growing pauses, as it does after any other exception.
        """
        ...
