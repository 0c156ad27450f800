"""Run the meter's kernel over indexed packets and hand out what it wrote: rows of flows, payload and bad packets."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from collectors.packets import layout
from collectors.packets.machine import Kernel, address_of, make_memory

Row: TypeAlias = tuple[int, ...]
Names: TypeAlias = tuple[str, str]
SECOND: Final = 1_000_000
OUT_ROOM: Final = 2_048
ITEM_ROOM: Final = 4_096
BAD_ROOM: Final = 1_024
_OUT_ROW: Final = struct.Struct(f"={layout.COLUMNS}q{(layout.OUT_COLUMNS - layout.COLUMNS) * 8}x")
_ROW: Final = struct.Struct(f"={layout.COLUMNS}q")
_ITEM_ROW: Final = struct.Struct(f"={layout.ITEM_COLUMNS}q")
_BAD_ROW: Final = struct.Struct(f"={layout.BAD_COLUMNS}q")


class Window(Protocol):
    """Give memory with packets and their index: a window of a capture, a block of a ring.

    ``base`` is what turns places in memory into positions in the capture, which never repeat.
    """

    base: int
    index_address: int

    @property
    def address(self) -> int:
        """Return where the memory lies."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound a meter: live flows, timeouts in seconds of the packet clock, bytes of a direction to reassemble.

    The timeouts are those Suricata and Zeek use by and large (unverified beyond their documentation's defaults).
    """

    flows: int = 1 << 17
    idle_tcp: int = 600
    idle: int = 120
    idle_closed: int = 10
    active: int = 1800
    reassembly: int = 16_384


class Meter:
    """Hold the flow table of one reading. ``select`` off meters flows only."""

    def __init__(self, kernel: Kernel, limits: Limits, *, select: bool = True) -> None:
        """Set the table up; memory is touched only as flows come."""
        self._kernel = kernel
        self.columns = layout.COLUMNS
        buckets = 1 << (limits.flows - 1).bit_length()
        self._table = make_memory(limits.flows * layout.COLUMNS * 8)
        self._buckets = make_memory(buckets * 4)
        self._out = make_memory(OUT_ROOM * layout.OUT_COLUMNS * 8)
        self._items = make_memory(ITEM_ROOM * layout.ITEM_COLUMNS * 8)
        self._bad = make_memory(BAD_ROOM * layout.BAD_COLUMNS * 8)
        self._fragments = make_memory(layout.FRAGMENT_SLOTS * layout.FRAGMENT_COLUMNS * 8)
        self._work = make_memory((2 * layout.SCRATCH + 8) * 8)
        self._name = make_memory(32)
        self._control = make_memory(layout.CONTROL * 8)
        self._name_addresses = address_of(self._table), address_of(self._control), address_of(self._name)
        self.table = memoryview(self._table).cast("q")
        self.control = memoryview(self._control).cast("q")
        self._set(limits, buckets, select=select)

    def _set(self, limits: Limits, buckets: int, *, select: bool) -> None:
        control = self.control
        control[layout.C_CAPACITY], control[layout.C_MASK], control[layout.C_FREE] = (
            limits.flows,
            buckets - 1,
            -1,
        )
        control[layout.C_OUT_ROOM], control[layout.C_ITEM_ROOM] = OUT_ROOM, ITEM_ROOM
        control[layout.C_BAD_ROOM], control[layout.C_SELECT] = BAD_ROOM, int(select)
        control[layout.C_IDLE_TCP], control[layout.C_IDLE] = limits.idle_tcp * SECOND, limits.idle * SECOND
        control[layout.C_IDLE_CLOSED], control[layout.C_ACTIVE] = (
            limits.idle_closed * SECOND,
            limits.active * SECOND,
        )
        control[layout.C_BUDGET] = limits.reassembly
        control[layout.C_SEED] = secrets.randbits(62)

    def feed(self, reader: Window, count: int) -> Iterator[None]:
        """Meter the window's indexed packets; pause whenever there is output to be taken."""
        work = address_of(self._work)
        control = self.control
        control[layout.C_BASE] = reader.base
        fixed = (
            address_of(self._table), address_of(self._buckets), address_of(self._control), address_of(self._out),
            address_of(self._items), address_of(self._bad), address_of(self._fragments),
            work, work + layout.SCRATCH * 8, work + 2 * layout.SCRATCH * 8,
        )  # fmt: skip
        done = 0
        while done < count:
            done = self._kernel.call("meter", reader.address, reader.index_address, done, count, *fixed)
            yield
            control[layout.C_OUT] = control[layout.C_ITEMS] = control[layout.C_BAD] = 0

    def tick(self, now: int) -> Iterator[None]:
        """End flows that have been idle too long by ``now`` (microseconds since 1970), though no packet comes."""
        return self._until_done("tick", now)

    def flush(self) -> Iterator[None]:
        """End all flows; pause whenever there is output to be taken."""
        return self._until_done("flush")

    def _until_done(self, entry: str, *first: int) -> Iterator[None]:
        """Call an entry point that ends flows until it is done; pause whenever there is output to be taken."""
        buffers = (self._table, self._buckets, self._control, self._out)
        while True:
            left = self._kernel.call(entry, *first, *map(address_of, buffers))
            yield
            self.control[layout.C_OUT] = 0
            if not left:
                return

    def identify(self, identity: bytes) -> None:
        """Take the 16 bytes of the source's identity, part of every event id."""
        self.control[layout.C_IDENTITY], self.control[layout.C_IDENTITY + 1] = struct.unpack("=qq", identity)

    def ended(self) -> list[Row]:
        """Return the rows (``F_*``) of flow records written since the last pause."""
        return list(_OUT_ROW.iter_unpack(self._out[: self.control[layout.C_OUT] * _OUT_ROW.size]))

    def names(self) -> list[Names]:
        """Return event id (without its day) and Community ID of each of these records."""
        size, found = layout.OUT_COLUMNS * 8, []
        text = self._out[: self.control[layout.C_OUT] * size].decode("latin-1")
        for start in range(0, len(text), size):
            event_id, community = start + layout.O_EVENT_ID * 8, start + layout.O_COMMUNITY * 8
            found.append((text[event_id : event_id + 26], "1:" + text[community : community + 28]))
        return found

    def community_of(self, slot: int) -> str:
        """Return the Community ID of a live flow."""
        table, control, name = self._name_addresses
        self._kernel.call("name_flow", table, slot, control, name)
        return "1:" + self._name[:28].decode("ascii")

    def items(self) -> list[Row]:
        """Return the rows (``IT_*``) of payload selected since the last pause."""
        return list(_ITEM_ROW.iter_unpack(self._items[: self.control[layout.C_ITEMS] * _ITEM_ROW.size]))

    def malformed(self) -> list[Row]:
        """Return [code, position, offset in the window, length] of packets that could not be decoded."""
        return list(_BAD_ROW.iter_unpack(self._bad[: self.control[layout.C_BAD] * _BAD_ROW.size]))

    def live_row(self, slot: int) -> Row:
        """Return the row of a slot of the table as it stands."""
        return _ROW.unpack_from(self._table, slot * _ROW.size)

    def decide(self, slot: int, serial: int, kind: int) -> None:
        """Tell the kernel the protocol of a flow that Python recognised."""
        start = slot * layout.COLUMNS
        if self.table[start + layout.F_SERIAL] == serial and self.table[start + layout.F_LIVE]:
            self.table[start + layout.F_KIND] = kind

    def enough(self, slot: int, serial: int) -> None:
        """Tell the kernel that nothing more of a flow is wanted."""
        start = slot * layout.COLUMNS
        if self.table[start + layout.F_SERIAL] == serial and self.table[start + layout.F_LIVE]:
            self.table[start + layout.F_STATE] |= layout.ST_DONE * 3

    def results(self) -> dict[int, int]:
        """Return packets by decode result since the last call; they add up to all packets."""
        found = {}
        for code in range(layout.BAD_COUNT):
            place = layout.C_RESULTS + code
            if self.control[place]:
                found[code] = self.control[place]
                self.control[place] = 0
        return found

    def take(self, place: int) -> int:
        """Return and reset one counter (``C_PACKETS`` must not be taken: the sweep runs on it)."""
        amount = self.control[place]
        self.control[place] = 0
        return amount
