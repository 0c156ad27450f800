"""Receive datagrams in batches and read from the kernel how many it dropped.

One system call takes up to 256 datagrams (recvmmsg, through ctypes), without letting go of the interpreter's lock: with
one call a datagram a busy interpreter would lose its turn after each. Where there is no recvmmsg, a plain loop does it.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import socket
import sys
from struct import Struct
from typing import Final, NamedTuple

from collectors.live.listening import sender_text

AT_ONCE: Final = 256
_LINUX: Final = sys.platform.startswith("linux")
_NOT_WAITING: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has none, and no recvmmsg
_SLOT: Final = 1 << 16
_NAME: Final = 28
_FORCE: Final = 33  # SO_RCVBUFFORCE of <asm-generic/socket.h>: beyond the limit for everyone, for who may
_MEMORY: Final = (
    55  # SO_MEMINFO, nine numbers since Linux 4.12; the last are drops (sock_diag's SK_MEMINFO_DROPS)
)
_MEMINFO: Final = Struct("=9I")
_SENDERS_KEPT: Final = 1 << 14
_LOGGER: Final = logging.getLogger("edusoc.collectors")


class Datagram(NamedTuple):
    """Hold one datagram and the address it came from, empty for one without (Unix sockets)."""

    raw: bytes
    sender: str


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr of recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vectors_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr of recvmmsg(2)."""

    _fields_ = (("header", _Header), ("received", ctypes.c_uint))


class DatagramSocket:
    """Receive from one bound socket. For one thread."""

    def __init__(self, server: socket.socket, buffer: int) -> None:
        """Take a bound, non-blocking datagram socket and how many bytes the kernel may hold for it."""
        self.socket = server
        _grow(server, buffer)
        self._dropped = 0
        function = _recvmmsg()
        self._kernel = _Kernel(server, function) if function is not None else None

    def receive(self) -> list[Datagram]:
        """Return what waits, at most 256 datagrams; none where nothing does. Raises ``OSError`` as sockets do."""
        if self._kernel is not None:
            return self._kernel.receive()
        found: list[Datagram] = []
        try:
            while len(found) < AT_ONCE:
                raw, place = self.socket.recvfrom(_SLOT)
                found.append(Datagram(raw, sender_text(place)))
        except (BlockingIOError, InterruptedError):
            pass
        return found

    def dropped(self) -> int:
        """Return how many datagrams the kernel has dropped since the last call; 0 where it doesn't say (not Linux)."""
        if not _LINUX:
            return 0
        try:
            told = self.socket.getsockopt(socket.SOL_SOCKET, _MEMORY, _MEMINFO.size)
        except OSError:
            return 0
        if len(told) < _MEMINFO.size:  # older kernels, and emulators of one
            return 0
        drops: int = _MEMINFO.unpack(told)[8]
        new = (drops - self._dropped) & 0xFFFF_FFFF  # a counter of 32 bits
        self._dropped = drops
        return new

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _grow(server: socket.socket, buffer: int) -> None:
    """Give the socket a large receive buffer; say so where the system allows only less."""
    try:
        server.setsockopt(socket.SOL_SOCKET, _FORCE if _LINUX else socket.SO_RCVBUF, buffer)
    except OSError:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    # Linux gives twice what was asked, for its own book-keeping (socket(7)).
    if server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < buffer:
        _LOGGER.warning(
            "receive buffer is small: raise net.core.rmem_max to %d for fewer lost datagrams", buffer
        )


_found: list[ctypes._NamedFuncPointer | None] = []


def _recvmmsg() -> ctypes._NamedFuncPointer | None:
    """Return recvmmsg(2) of the C library, ``None`` where there is none."""
    if not _found:
        function = None
        if _LINUX:
            # PyDLL keeps the interpreter's lock: the call never waits (MSG_DONTWAIT).
            function = getattr(ctypes.PyDLL(None, use_errno=True), "recvmmsg", None)
        if function is not None:
            function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
            function.restype = ctypes.c_int
        _found.append(function)
    return _found[0]


class _Kernel:
    """Hold the memory that recvmmsg writes into: only touched pages take room, 16 MiB at most."""

    def __init__(self, server: socket.socket, function: ctypes._NamedFuncPointer) -> None:
        self._server = server
        self._function = function
        self._data = mmap.mmap(-1, AT_ONCE * _SLOT)
        self._names = ctypes.create_string_buffer(AT_ONCE * _NAME)
        self._vectors = (_Vector * AT_ONCE)()
        self._messages = (_Message * AT_ONCE)()
        data = ctypes.addressof(ctypes.c_char.from_buffer(self._data))
        names, vectors = ctypes.addressof(self._names), ctypes.addressof(self._vectors)
        for place in range(AT_ONCE):
            self._vectors[place] = _Vector(data + place * _SLOT, _SLOT)
            vector = vectors + place * ctypes.sizeof(_Vector)
            self._messages[place] = _Message(_Header(names + place * _NAME, _NAME, vector, 1, None, 0, 0), 0)
        self._fresh = bytes(self._messages)
        size, length = ctypes.sizeof(_Message), _Message.received.offset
        self._lengths = Struct(f"={length}xI{size - length - 4}x")
        self._size = size
        self._senders: dict[bytes, str] = {}

    def receive(self) -> list[Datagram]:
        """Return what waits."""
        count = self._function(self._server.fileno(), self._messages, AT_ONCE, _NOT_WAITING, None)
        if count <= 0:
            error = ctypes.get_errno()
            if count < 0 and error not in _NOTHING:
                raise OSError(error, "recvmmsg failed")
            return []
        used = count * self._size
        lengths = self._lengths.iter_unpack(memoryview(self._messages).cast("B")[:used])
        data, names, senders = self._data, self._names.raw, self._senders
        found: list[Datagram] = []
        for place, (length,) in enumerate(lengths):
            name = names[place * _NAME : (place + 1) * _NAME]
            key = name[:2] + (name[4:8] if name[:2] == _INET else name[8:24])
            sender = senders.get(key)
            if sender is None:
                sender = self._remember(key)
            start = place * _SLOT
            found.append(Datagram(data[start : start + length], sender))
        ctypes.memmove(self._messages, self._fresh, used)
        return found

    def _remember(self, key: bytes) -> str:
        """Return the text of a raw address; a bounded number is remembered."""
        if len(self._senders) >= _SENDERS_KEPT:
            self._senders.clear()
        family, address = key[:2], key[2:]
        if family == _INET:
            sender = socket.inet_ntop(socket.AF_INET, address)
        elif family == _INET6:
            sender = sender_text((socket.inet_ntop(socket.AF_INET6, address),))
        else:
            sender = ""
        self._senders[key] = sender
        return sender


_INET: Final = int(socket.AF_INET).to_bytes(2, sys.byteorder)
_INET6: Final = int(socket.AF_INET6).to_bytes(2, sys.byteorder)
_NOTHING: Final = frozenset({11, 4})  # EAGAIN, EINTR
