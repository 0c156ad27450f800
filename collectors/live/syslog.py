"""Take syslog from the network: UDP, TCP and TLS, any number of addresses, IPv4 and IPv6 (RFC 3164, 5424–5426, 6587).

UDP is read by a thread of its own into a bounded queue: while a batch is made durable, reading goes on. What doesn't
fit any more is left to the kernel, whose drops are counted (``dropped``): received + dropped = sent to us. TCP senders
are made to wait instead. A message's identity is this run of the input and a running number.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors.base import BATCH_EVENTS, MAX_RECORD_BYTES
from collectors.devices.registry import NAMES
from collectors.live.base import FLUSH_SECONDS, Counters, Origin, Outlet
from collectors.live.datagrams import DatagramSocket
from collectors.live.listening import Gate, Limits, Network, listen, read_limits, server_tls
from collectors.live.options import Options
from collectors.live.streams import Service, StreamServer
from collectors.live.syslog_framing import Framer
from collectors.live.syslog_records import Received, RecordMaker, Senders
from soc_core.errors import StoreError, UsageError

_UDP_OLDEST: Final = timedelta(days=7)
_TCP_OLDEST: Final = timedelta(days=400)
_QUEUE_RECORDS: Final = 1 << 16
_QUEUE_BYTES: Final = 32 << 20
_POLL_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 2.0
_ROUNDS: Final = 128
_COUNT_SECONDS: Final = 1.0
_LOGGER: Final = logging.getLogger("edusoc.collectors")


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """Hold what an input of syslog was told."""

    where: str
    udp: Sequence[tuple[str, int]]
    tcp: Sequence[tuple[str, int]]
    tls: Sequence[tuple[str, int]]
    encryption: ssl.SSLContext | None
    allowed: Sequence[Network]
    limits: Limits
    buffer: int
    senders: Senders


def build(name: str, options: Options) -> SyslogInput:
    """Return the input called ``name``. Raises ``UsageError`` for settings that are wrong."""
    tls = options.addresses("tls", port=6514)
    settings = SyslogSettings(
        where=options.where,
        udp=options.addresses("udp", port=514),
        tcp=options.addresses("tcp", port=514),
        tls=tls,
        encryption=server_tls(options, needed=bool(tls)),
        allowed=options.networks("allow"),
        limits=read_limits(options, connections=1_000, each=64, idle=3_600),
        buffer=options.number("receive_buffer_mib", 16, least=1, most=1_024) << 20,
        senders=_read_senders(options),
    )
    options.done()
    if not (settings.udp or settings.tcp or settings.tls):
        raise options.fault("udp", "is missing", 'write udp = ["0.0.0.0:514"], or tcp or tls')
    return SyslogInput(name, settings)


def _read_senders(options: Options) -> Senders:
    """Return what ``zones = ["10.1.0.0/16=UTC"]``, ``devices = ["10.1.2.3=h3c"]`` and ``device`` say of senders."""
    zones = [(network, _zone(options, text)) for network, text in _by_network(options, "zones", "UTC")]
    devices = _by_network(options, "devices", "h3c")
    device = options.text("device", "")
    for setting, names in (
        ("device", [device] if device else []),
        ("devices", [name for _, name in devices]),
    ):
        for name in names:
            if name not in NAMES:
                raise options.fault(setting, f"'{name}' is unknown", f"known are: {', '.join(sorted(NAMES))}")
    return Senders(tuple(zones), tuple(devices), device)


def _by_network(options: Options, name: str, example: str) -> list[tuple[Network, str]]:
    found = []
    for text in options.texts(name):
        network, _, value = text.partition("=")
        try:
            if not value.strip():
                raise ValueError(text)
            found.append((ip_network(network.strip(), strict=False), value.strip()))
        except ValueError:
            raise options.fault(
                name, f"'{text}' is not written as network=value", f'write {name} = ["10.1.0.0/16={example}"]'
            ) from None
    return found


def _zone(options: Options, text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise options.fault(
            "zones", f"'{text}' is no time zone", 'write zones = ["10.1.0.0/16=UTC"]'
        ) from None


class SyslogInput:
    """Run the sockets of one configured input."""

    kind: str = "syslog"

    def __init__(
        self,
        name: str,
        settings: SyslogSettings,
        *,
        epoch: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``epoch`` names this run of the input; a random one is made where none is given."""
        self.name = name
        self.counters = Counters()
        self._settings = settings
        self._epoch = epoch if epoch is not None else os.urandom(16)
        self._runs = 0
        self.clock = clock
        self.udp_addresses: list[tuple[str, int]] = []
        """Where UDP is received, once it is: with port 0 the system has chosen one."""
        self.tcp_addresses: list[tuple[str, int]] = []
        """The same for TCP, then TLS."""

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        """Receive until ``stop``; deliver what is held and return."""
        settings, where = self._settings, self._settings.where
        self._runs += 1
        opened: list[socket.socket] = []
        try:
            datagrams = [listen(address, socket.SOCK_DGRAM, where) for address in settings.udp]
            opened += datagrams
            plain = [listen(address, socket.SOCK_STREAM, where) for address in settings.tcp]
            opened += plain
            secured = [listen(address, socket.SOCK_STREAM, where) for address in settings.tls]
            opened += secured
        except UsageError:
            for server in opened:
                server.close()
            raise
        self.udp_addresses = [server.getsockname()[:2] for server in datagrams]
        self.tcp_addresses = [server.getsockname()[:2] for server in (*plain, *secured)]
        parts: list[Callable[[threading.Event], None]] = []
        if datagrams:
            sockets = [DatagramSocket(server, settings.buffer) for server in datagrams]
            parts.append(_Datagrams(self, sockets, outlet).run)
        if plain or secured:
            listeners = [(server, None) for server in plain] + [
                (server, settings.encryption) for server in secured
            ]
            parts.append(_Streams(self, listeners, outlet).run)
        run_together(parts, stop)

    def maker(self, label: bytes, oldest: timedelta) -> RecordMaker:
        """Return what makes the events of one part of the input, with an identity of its own."""
        # Numbers begin anew with each run: after an error the same input is run again.
        source = label + self._epoch + self._runs.to_bytes(8, "big")
        return RecordMaker(self.name, source, self.counters, oldest, self._settings.senders)

    def gate(self) -> Gate:
        """Return what decides who may send."""
        return Gate(self.counters, self._settings.limits, self._settings.allowed)

    @property
    def limits(self) -> Limits:
        """Return the limits of connections."""
        return self._settings.limits


def run_together(parts: Sequence[Callable[[threading.Event], None]], stop: threading.Event) -> None:
    """Run parts of an input, each in a thread, until ``stop``; where one fails, end the others and raise its error."""
    if len(parts) == 1:
        parts[0](stop)
        return
    failed: list[BaseException] = []
    ended = threading.Event()

    def run(part: Callable[[threading.Event], None]) -> None:
        try:
            part(ended)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that runs the input, and raised there
            failed.append(error)
        finally:
            ended.set()

    threads = [threading.Thread(target=run, args=(part,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    while not stop.wait(_POLL_SECONDS) and not ended.is_set():
        pass
    ended.set()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


class _Delivery:
    """Make and deliver batches of one part of the input; what can't be stored now is tried again until the end."""

    def __init__(self, owner: SyslogInput, outlet: Outlet, maker: RecordMaker, *, waits: bool) -> None:
        self._owner = owner
        self._outlet = outlet
        self._maker = maker
        self._waits = waits

    def take(self, records: Sequence[Received], stop: threading.Event) -> None:
        """Deliver records and count what became of them; those that the end cuts off are counted as dropped."""
        senders = {record.sender for record in records}
        origin = Origin(self._owner.name, senders.pop() if len(senders) == 1 else "", self._waits)
        batch = self._maker.make(records, self._outlet.context(origin))
        counters = self._owner.counters
        while True:
            try:
                self._outlet.deliver(batch, origin)
                break
            except StoreError as error:
                _LOGGER.warning("input %s can't deliver: %s", self._owner.name, error)
                if stop.wait(_AGAIN_SECONDS):
                    counters.add("dropped", len(batch.events))
                    return
        counters.add("delivered", len(batch.events))
        if batch.bad:
            counters.add("bad", len(batch.bad))


class _Datagrams:
    """Receive UDP in one thread, make and deliver batches in another."""

    def __init__(self, owner: SyslogInput, sockets: Sequence[DatagramSocket], outlet: Outlet) -> None:
        self._owner = owner
        self._sockets = sockets
        self._delivery = _Delivery(owner, outlet, owner.maker(b"udp\0", _UDP_OLDEST), waits=False)
        self._gate = owner.gate()
        self._queue = RecordQueue(_QUEUE_RECORDS, _QUEUE_BYTES)

    def run(self, stop: threading.Event) -> None:
        run_together((self._receive, self._deliver), stop)

    def _receive(self, stop: threading.Event) -> None:
        selector = selectors.DefaultSelector()
        for server in self._sockets:
            selector.register(server.socket, selectors.EVENT_READ, server)
        counted = 0.0
        try:
            while not stop.is_set():
                for key, _ in selector.select(_POLL_SECONDS):
                    self._take(key.data, stop)
                if self._owner.clock() - counted >= _COUNT_SECONDS:
                    counted = self._owner.clock()
                    self._count_drops()
            for server in self._sockets:
                self._take(server, stop)
            self._count_drops()
        finally:
            selector.close()
            for server in self._sockets:
                server.close()
            self._queue.end()

    def _take(self, server: DatagramSocket, stop: threading.Event) -> None:
        """Move what waits in the kernel to the queue; where that is full, leave it there, but take it all at the end.

        A bounded number, so that no flood keeps the other sockets or the end waiting.
        """
        counters, allows = self._owner.counters, self._gate.allows
        for _ in range(_ROUNDS):
            if not self._queue.wait_for_room(_POLL_SECONDS) and not stop.is_set():
                return
            found = server.receive()
            if not found:
                return
            counters.add("received", len(found))
            counters.add("received_bytes", sum(len(datagram.raw) for datagram in found))
            records = [Received(raw, sender) for raw, sender in found if allows(sender)]
            if len(records) < len(found):
                counters.add("refused", len(found) - len(records))
            self._queue.put(records)

    def _count_drops(self) -> None:
        for server in self._sockets:
            if dropped := server.dropped():
                self._owner.counters.add("dropped", dropped)

    def _deliver(self, stop: threading.Event) -> None:
        """Deliver until the receiver has ended and the queue is empty."""
        while (records := self._queue.get(BATCH_EVENTS, FLUSH_SECONDS)) is not None:
            if records:
                self._delivery.take(records, stop)


class RecordQueue:
    """Hold received records between two threads, bounded in number and bytes."""

    def __init__(self, records: int, size: int) -> None:
        """Take the most records and bytes; one put may go beyond both."""
        self._most, self._most_bytes = records, size
        self._held: deque[Received] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = threading.Condition()

    def wait_for_room(self, seconds: float) -> bool:
        """Tell whether there is room, waiting for it a while."""
        with self._changed:
            return self._changed.wait_for(self._has_room, seconds)

    def _has_room(self) -> bool:
        return len(self._held) < self._most and self._bytes < self._most_bytes

    def put(self, records: Sequence[Received]) -> None:
        """Add records."""
        with self._changed:
            self._held.extend(records)
            self._bytes += sum(len(record.raw) for record in records)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def get(self, most: int, seconds: float) -> list[Received] | None:
        """Return up to ``most`` records, having waited a while for so many; ``None`` when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._held) >= most, seconds)
            if not self._held and self._ended:
                return None
            found = [self._held.popleft() for _ in range(min(most, len(self._held)))]
            self._bytes -= sum(len(record.raw) for record in found)
            self._changed.notify_all()
            return found


class _Streams:
    """Receive TCP and TLS; batches are delivered by the thread that reads."""

    def __init__(
        self,
        owner: SyslogInput,
        listeners: Sequence[tuple[socket.socket, ssl.SSLContext | None]],
        outlet: Outlet,
    ) -> None:
        self._owner = owner
        self._delivery = _Delivery(owner, outlet, owner.maker(b"tcp\0", _TCP_OLDEST), waits=True)
        self._waiting: list[Received] = []
        self._waiting_bytes = 0
        self._flush_at = 0.0
        self._stop = threading.Event()
        service = Service(lambda sender: _Reader(self, sender), owner.limits, owner.gate())
        self._server = StreamServer(listeners, service, owner.counters, owner.clock)

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        try:
            while not stop.is_set():
                self._server.poll(FLUSH_SECONDS / 2 if self._waiting else _POLL_SECONDS)
                if self._waiting and self._owner.clock() >= self._flush_at:
                    self._flush()
        finally:
            self._server.close()
        self._flush()

    def take(self, records: Sequence[Received]) -> None:
        """Hold records until there are enough of them, or the first has waited long enough."""
        if not self._waiting:
            self._flush_at = self._owner.clock() + FLUSH_SECONDS
        self._owner.counters.add("received", len(records))
        self._waiting.extend(records)
        self._waiting_bytes += sum(len(record.raw) for record in records)
        if len(self._waiting) >= BATCH_EVENTS or self._waiting_bytes >= 4 * MAX_RECORD_BYTES:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for start in range(0, len(waiting), BATCH_EVENTS):
            self._delivery.take(waiting[start : start + BATCH_EVENTS], self._stop)


class _Reader:
    """Cut what one connection sends into records."""

    def __init__(self, streams: _Streams, sender: str) -> None:
        self._streams = streams
        self._sender = sender
        self._framer = Framer()

    def feed(self, data: bytes) -> int:
        self._take(self._framer.feed(data))
        return self._framer.waiting

    def close(self) -> None:
        self._take(self._framer.close())

    def _take(self, frames: Sequence[tuple[bytes, str]]) -> None:
        if frames:
            self._streams.take([Received(raw, self._sender, fault) for raw, fault in frames])
