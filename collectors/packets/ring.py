"""Receive packets of an interface through a ring shared with the kernel (AF_PACKET, TPACKET_V3; Linux).

The kernel writes packets into blocks and hands over whole blocks; nothing is copied. Interface ``linux/if_packet.h``,
Documentation/networking/packet_mmap.rst. Needs CAP_NET_RAW. The numbers below are those of the header files.
"""

from __future__ import annotations

import errno
import mmap
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from collectors.packets import layout
from collectors.packets.machine import Kernel, address_of, make_memory
from collectors.packets.reader import INDEX_ROOM
from soc_core.errors import UsageError

assert sys.platform != "win32"  # noqa: S101 - the type checker is told; the registry of inputs says it to people

BLOCK: Final = 1 << 20
FRAME: Final = 2_048
RETIRE_MS: Final = 100
"""After so long a block that is not full is handed over."""
_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_RX_RING: Final = 5
_STATISTICS: Final = 6
_VERSION: Final = 10
_RESERVE: Final = 12
_V3: Final = 2
_PROMISCUOUS: Final = 1
_ALL: Final = 3  # ETH_P_ALL
_STATUS: Final = 8  # of a block, in bytes from its start
_OURS: Final = 1  # TP_STATUS_USER
_SNAP_OF_VLAN: Final = 4
_LINKS: Final = {1: 1, 772: 1, 65_534: 101, 512: 9, 803: 127, 801: 105}
"""ARPHRD_* (linux/if_arp.h) → link types of captures: Ethernet, loopback, none (raw IP), PPP, radiotap, 802.11."""


class Statistics(NamedTuple):
    """Count since the last question: packets the kernel saw for us, those it dropped, times the ring was full."""

    packets: int
    dropped: int
    frozen: int


class PacketRing:
    """Hold the ring of one interface, and stand where ``CaptureReader`` stands for the meter.

    ``buffer`` is the whole ring; ``base`` makes positions that never repeat. Open it, then ask for ``chunks`` again
    and again; what was asked for is valid until the next question.
    """

    def __init__(
        self, interface: str, kernel: Kernel, *, megabytes: int = 64, promiscuous: bool = True
    ) -> None:
        """Open the ring; raise ``UsageError`` where that needs a person: no such interface, no permission."""
        self.interface, self._kernel = interface, kernel
        self._blocks = max(2, megabytes * (1 << 20) // BLOCK)
        self._link = _link_of(interface)
        self._socket = _open(interface)
        try:
            self.buffer = self._map()
            if promiscuous:
                self._listen_to_all()
            self._socket.bind((interface, _ALL))
            self.statistics()
        except OSError as error:
            self._socket.close()
            raise _fault(interface, error) from error
        self.base = 0
        self._next = 0
        self._state = make_memory(layout.WALK_SIZE * 8)
        self._words = memoryview(self._state).cast("q")
        self._words[layout.WK_LINK] = self._link
        self.index = make_memory(INDEX_ROOM * layout.INDEX_COLUMNS * 8)
        self.index_address = address_of(self.index)
        self.damaged = 0
        self._order = threading.Lock()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)

    @property
    def address(self) -> int:
        """Return where the ring lies in memory."""
        return address_of(self.buffer)

    def _map(self) -> mmap.mmap:
        frames = BLOCK // FRAME * self._blocks
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _V3)
        self._socket.setsockopt(_SOL_PACKET, _RESERVE, _SNAP_OF_VLAN)
        request = struct.pack("=7I", BLOCK, self._blocks, FRAME, frames, RETIRE_MS, 0, 0)
        self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
        return mmap.mmap(
            self._socket.fileno(), BLOCK * self._blocks, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        )

    def _listen_to_all(self) -> None:
        """Have the interface deliver packets of others too; the kernel undoes it when the socket closes."""
        number = socket.if_nametoindex(self.interface)
        self._socket.setsockopt(
            _SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", number, _PROMISCUOUS, 0, b"")
        )

    def chunks(self, seconds: float) -> Iterator[int]:
        """Wait for a block and yield how many packets the index holds, until the block is used up and given back.

        Yields nothing when none came within ``seconds``. Raises ``OSError`` when the interface went away.
        """
        start = self._next * BLOCK
        if not self._is_ours(start) and not self._wait(seconds, start):
            return
        words = self._words
        words[layout.WK_POSITION] = 0
        try:
            while True:
                result = self._kernel.call(
                    "walk_block",
                    self.address,
                    start,
                    BLOCK,
                    address_of(self._state),
                    self.index_address,
                    INDEX_ROOM,
                )
                rows, reason = result >> 2, result & 3
                if rows:
                    yield rows
                if reason == layout.WALK_DAMAGED:
                    self.damaged += 1
                if reason != layout.WALK_FULL:
                    return
        finally:
            self._give_back(start)

    def _is_ours(self, start: int) -> bool:
        ours = bool(self.buffer[start + _STATUS] & _OURS)
        if ours:
            self._keep_order()
        return ours

    def _keep_order(self) -> None:
        """Keep what is read and written before this before what comes after it, also on ARM, which reorders both.

        The kernel and we hand blocks over by a word in memory (packet_mmap.rst). Letting go of a lock is a release,
        taking it again an acquire, and ARMv8 keeps a release before a later acquire (Arm ARM, B2.3). Once a block:
        the cost can't be seen.
        """
        for _ in range(2):
            self._order.acquire()
            self._order.release()

    def _wait(self, seconds: float, start: int) -> bool:
        for _, events in self._poll.poll(seconds * 1_000):
            if events & select.POLLERR:
                fault = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if fault:
                    raise OSError(fault, errno.errorcode.get(fault, "error"), self.interface)
        return self._is_ours(start)

    def _give_back(self, start: int) -> None:
        self._keep_order()
        self.buffer[start + _STATUS : start + _STATUS + 4] = b"\0\0\0\0"
        self._next += 1
        if self._next == self._blocks:
            self._next = 0
            self.base += BLOCK * self._blocks

    def statistics(self) -> Statistics:
        """Return what the kernel counted since the last time: reading sets its counters to zero."""
        return Statistics(*struct.unpack("=3I", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)))

    def close(self) -> None:
        """Give ring and interface back."""
        self._socket.close()
        self.buffer.close()


def _open(interface: str) -> socket.socket:
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        raise UsageError("live packets need Linux", todo="read capture files instead: edusoc import FILE")
    try:
        return socket.socket(family, socket.SOCK_RAW, 0)
    except OSError as error:
        raise _fault(interface, error) from error


def _fault(interface: str, error: OSError) -> UsageError:
    todo = "see the interfaces with: ip link"
    if error.errno == errno.EPERM:
        todo = "run it as root, or allow it: AmbientCapabilities=CAP_NET_RAW in the systemd unit"
    elif error.errno == errno.ENOMEM:
        todo = "set a smaller ring_megabytes"
    what = f"can't receive packets of {interface}: {error.strerror or error}"
    return UsageError(what, todo=todo)


def _link_of(interface: str) -> int:
    """Return the link type of an interface, Ethernet where it can't be told."""
    try:
        kind = int(Path(f"/sys/class/net/{interface}/type").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 1
    return _LINKS.get(kind, 1)
