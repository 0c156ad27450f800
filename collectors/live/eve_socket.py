"""Take Suricata's EVE records from a Unix socket, stream or datagram (``filetype: unix_stream`` or ``unix_dgram``).

We make the socket, Suricata connects to it. It waits for us where we are slow (a stream), or drops and counts itself
(``eve-log`` with datagrams). The socket's file says who may write: its owner and group only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.base import BATCH_EVENTS, MAX_RECORD_BYTES
from collectors.live.base import FLUSH_SECONDS, Counters, Outlet
from collectors.live.documents import Document, DocumentReader
from collectors.live.listening import Gate, Limits, read_limits
from collectors.live.options import Options
from collectors.live.pushing import Delivery, too_long
from collectors.live.streams import Service, StreamServer
from collectors.making import RAW_KEPT
from soc_core.errors import StoreError, UsageError

_UNIX: Final[int] = getattr(socket, "AF_UNIX", 0)  # Windows has none
_POLL_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 2.0
_HELD_BYTES: Final = 4 * MAX_RECORD_BYTES
_ROUNDS: Final = 4_096


@dataclass(frozen=True, slots=True)
class EveSettings:
    """Hold what an input of EVE was told."""

    where: str
    path: Path
    kind: socket.SocketKind
    mode: int
    limits: Limits


def build(name: str, options: Options) -> EveInput:
    """Return the input called ``name``. Raises ``UsageError`` for settings that are wrong."""
    if not _UNIX:
        raise UsageError(
            "there are no Unix sockets on this system",
            where=options.where,
            todo="read eve.json as a file instead",
        )
    settings = EveSettings(
        where=options.where,
        path=options.path("path"),
        kind=socket.SOCK_STREAM
        if options.choice("type", ("stream", "datagram"), "stream") == "stream"
        else socket.SOCK_DGRAM,
        mode=0o666 if options.flag("everyone", False) else 0o660,
        limits=read_limits(options, connections=16, each=16, idle=86_400),
    )
    options.done()
    return EveInput(name, settings)


class EveInput:
    """Run the socket of one configured input."""

    kind: str = "eve_socket"

    def __init__(
        self,
        name: str,
        settings: EveSettings,
        epoch: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``epoch`` names this run of the input; a random one is made where none is given."""
        self.name = name
        self.counters = Counters()
        self._settings = settings
        self._clock = clock
        self._reader = DocumentReader(name, epoch or os.urandom(16), self.counters, answers=False)

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Receive until ``stop``; deliver what is held, remove the socket and return."""
        settings = self._settings
        server = _listen(settings)
        gathering = _Gathering(Delivery(self.name, self._reader, outlet, self.counters), self._clock, stop)
        try:
            if settings.kind == socket.SOCK_STREAM:
                self._run_stream(server, gathering, stop)
            else:
                self._run_datagrams(server, gathering, stop)
            gathering.flush()
        finally:
            server.close()
            with contextlib.suppress(OSError):
                settings.path.unlink()

    def _run_stream(self, server: socket.socket, gathering: _Gathering, stop: threading.Event) -> None:
        gate = Gate(self.counters, self._settings.limits)
        service = Service(lambda _sender: _Lines(gathering), self._settings.limits, gate)
        streams = StreamServer([(server, None)], service, self.counters, self._clock)
        try:
            while not stop.is_set():
                streams.poll(FLUSH_SECONDS / 2 if gathering.waiting else _POLL_SECONDS)
                gathering.flush_if_due()
        finally:
            streams.close()

    def _run_datagrams(self, server: socket.socket, gathering: _Gathering, stop: threading.Event) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            while not stop.is_set():
                selector.select(FLUSH_SECONDS / 2 if gathering.waiting else _POLL_SECONDS)
                for _ in range(_ROUNDS):
                    try:
                        raw = server.recv(MAX_RECORD_BYTES + 1)
                    except (BlockingIOError, InterruptedError):
                        break
                    self.counters.add("received_bytes", len(raw))
                    gathering.take(raw.splitlines())
                gathering.flush_if_due()


def _listen(settings: EveSettings) -> socket.socket:
    """Return the socket; one that a dead predecessor left is replaced, nothing else is. Raises ``UsageError``."""
    path = settings.path
    server = socket.socket(_UNIX, settings.kind)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise UsageError(
                    "there is another file where the socket should be",
                    where=str(path),
                    todo="remove it or choose another path",
                )
            path.unlink()
        server.bind(str(path))
        path.chmod(settings.mode)
        if settings.kind == socket.SOCK_STREAM:
            server.listen(16)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise UsageError(
            f"can't listen on {path}: {error.strerror or error}",
            where=settings.where,
            todo="make the folder and give it to the account of the agent",
        ) from error
    except UsageError:
        server.close()
        raise
    return server


class _Gathering:
    """Hold records until there are enough of them or the first has waited long enough, then deliver them."""

    def __init__(self, delivery: Delivery, clock: Callable[[], float], stop: threading.Event) -> None:
        self._delivery = delivery
        self._clock = clock
        self._stop = stop
        self.waiting: list[Document] = []
        self._bytes = 0
        self._due = 0.0

    def take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            if not line.strip():
                continue
            if not self.waiting:
                self._due = self._clock() + FLUSH_SECONDS
            fault = too_long(line)
            self.waiting.append(Document(line[:RAW_KEPT] if fault else line, fault=fault))
            self._bytes += len(line)
            if len(self.waiting) >= BATCH_EVENTS or self._bytes >= _HELD_BYTES:
                self.flush()

    def flush_if_due(self) -> None:
        if self.waiting and self._clock() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Deliver; what can't be stored now is tried again, and counted as dropped where the end cuts it off."""
        waiting, self.waiting, self._bytes = self.waiting, [], 0
        if waiting:
            batch, _ = self._delivery.make(waiting, "")
            while True:
                try:
                    self._delivery.hand_over(batch, "")
                    return
                except StoreError:
                    if self._stop.wait(_AGAIN_SECONDS):
                        self._delivery.counters.add("dropped", len(batch.events))
                        return


class _Lines:
    """Cut what one connection sends into lines of bounded length."""

    def __init__(self, gathering: _Gathering) -> None:
        self._gathering = gathering
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> int:
        """Take bytes; hold what has no end yet, and give up a line that is too long."""
        if self._skipping:
            end = data.find(b"\n")
            if end < 0:
                return 0
            data, self._skipping = data[end + 1 :], False
        if b"\n" not in data:
            self._rest += data
        else:
            lines = (bytes(self._rest) + data).split(b"\n")
            self._rest = bytearray(lines.pop())
            self._gathering.take(lines)
        if len(self._rest) > MAX_RECORD_BYTES:
            self._gathering.take([bytes(self._rest)])
            self._rest.clear()
            self._skipping = True
        return len(self._rest)

    def close(self) -> None:
        """Take the line that has no end as it is: a broken one is kept aside."""
        self._gathering.take([bytes(self._rest)])
        self._rest.clear()
