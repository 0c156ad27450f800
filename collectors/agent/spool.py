"""Keep events until the centre has them: two durable logs, one of what is urgent and one of the rest.

A record is a zstd frame: a line of JSON with its source and priority, then a line of JSON an event. Two logs, since
offsets of a log only rise: so security logs overtake bulk on a thin link and outside the hours of sending.

While room gets scarce (our bound, or the disk) less and less is taken: first bulk is not, then only urgent logs are.
Who can wait is kept waiting; of what can't (UDP) the events are dropped, counted, and told to the centre: by a jump of
the log's offsets and by an event (data set ``edusoc.gap``). A full disk is waited for in the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import zstandard

from collectors.agent.gaps import Gaps
from collectors.agent.priorities import BULK, OWN, URGENT, USUAL, priority_of
from collectors.live.base import Origin
from soc_core.clock import Clock, format_instant
from soc_core.errors import StoreError
from soc_core.log import Cursor, LogReader, LogWriter, Record
from soc_core.model.event import Event, values_of
from soc_core.system import free_bytes

NEEDED_SHARE: Final = {BULK: 0.20, USUAL: 0.08, URGENT: 0.0, OWN: 0.0}
"""The share of the spool that must be free for events of a priority to be taken."""
OWN_SLACK: Final = 1 << 20
"""Bytes above the bound that the agent's own words may take: that something was dropped must be told."""
WAIT_SECONDS: Final = 0.5
LANES: Final = ("urgent", "rest")
MOST_EVENT_BYTES: Final = 4 << 20
SHORTENED: Final = "shortened"
_TEXT_KEPT: Final = 32_768
_ITEM_KEPT: Final = 1_024
_ITEMS_KEPT: Final = 64
_FIELDS_KEPT: Final = 20
MOST_RECORD_BYTES: Final = 8 << 20
_LEAST_FILE: Final = 256 * 1024
_MOST_FILE: Final = 16 << 20
_MOST_PLAIN: Final = 1 << 30
_LEVEL: Final = 1
_HEAD_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound the spool: its bytes, and the bytes of the disk that stay free."""

    size: int = 2 << 30
    reserve: int = 256 << 20


class Lane:
    """Hold one log and how far the centre has it."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        """Open the log; raise ``StoreBusyError`` when another agent writes there."""
        self.name, self.log_directory = directory.name, directory
        self.log = LogWriter(directory, max_file=_file_size(directory, limits), reserve=limits.reserve)
        self.reader = LogReader(directory)
        self.cursor = Cursor(directory, self.reader.start_offset(), self.log.end_offset)
        self.sent = self.log.end_offset
        """The offset below which the centre may have everything: what was here at the start or was sent since."""

    @property
    def pending(self) -> int:
        """Return how many offsets the centre has not acknowledged."""
        return self.log.end_offset - self.cursor.acknowledged

    def begin_epoch(self) -> None:
        """Begin a new epoch: everything still kept is sent again under its name."""
        self.cursor.begin(self.reader.start_offset())

    def acknowledge(self, offset: int) -> int:
        """Note that the centre has everything below ``offset``; return how many files could go.

        A centre that lost some says a lower offset than before: what is still kept is sent again.
        """
        self.cursor.move(min(max(offset, self.reader.start_offset()), self.log.end_offset))
        return self.log.drop_below(self.cursor.acknowledged)

    def close(self) -> None:
        """Close the log."""
        self.cursor.close()
        self.log.close()


def _file_size(directory: Path, limits: Limits) -> int:
    """Return how large a file of a lane may get: the newest one stays, so a sixteenth of what the spool may take."""
    directory.mkdir(parents=True, exist_ok=True)
    free = max(free_bytes(directory) - limits.reserve, 0)
    # On a disk that is full when we start, files must not be tiny for ever.
    least = min(limits.size // 16, _LEAST_FILE)
    return min(max(min(limits.size, free) // 16, least), _MOST_FILE)


class Spool:
    """Store events durably in their lanes. Threads may store at the same time; they share fsyncs.

    ``changed`` is set whenever something was stored, ``waiting`` counts threads that wait for room, ``trouble`` says
    why the disk took nothing the last time (empty: it did).
    """

    def __init__(self, directory: Path, limits: Limits, clock: Clock) -> None:
        """Open both lanes below ``directory``."""
        self.directory, self.limits, self._clock = directory, limits, clock
        self.gaps = Gaps(clock)
        self.changed = threading.Event()
        self._moved, self._closing = threading.Condition(), False
        self._packing = threading.local()
        self.waiting = 0
        self.trouble = ""
        self.urgent = Lane(directory / LANES[0], limits)
        try:
            self.rest = Lane(directory / LANES[1], limits)
        except BaseException:
            self.urgent.close()
            raise

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        """Return the lanes, the urgent one first."""
        return self.urgent, self.rest

    @property
    def size(self) -> int:
        """Return the bytes of both logs."""
        return self.urgent.log.size + self.rest.log.size

    def free_share(self) -> float:
        """Return which share of what the spool may take is free, 0 to 1: the bound or the disk, whichever is less."""
        size, capacity = self.size, self.capacity()
        return max(capacity - size, 0) / capacity if capacity > 0 else 0.0

    def capacity(self) -> int:
        """Return how many bytes the spool could take in all."""
        disk = self.size + free_bytes(self.directory) - self.limits.reserve
        return min(self.limits.size, disk)

    def store(self, events: Sequence[Event], origin: Origin) -> int:
        """Store events durably and return how many were; those dropped for want of room are in ``gaps``.

        Raises ``StoreError`` when the agent stops while there is no room: then some may not be stored.
        """
        urgent, rest, least = list[Event](), list[Event](), USUAL
        for event in events:
            priority = priority_of(event)
            if priority >= URGENT:
                urgent.append(event)
            else:
                rest.append(event)
                least = min(least, priority)
        stored = self._put(self.urgent, urgent, origin, URGENT) if urgent else 0
        if rest and not origin.waits and least == BULK:
            # Of one datagram's batch the bulk may have to go while the rest still fits.
            bulk = [event for event in rest if priority_of(event) == BULK]
            stored += self._put(self.rest, bulk, origin, BULK)
            rest = [event for event in rest if priority_of(event) != BULK]
        if rest:
            stored += self._put(self.rest, rest, origin, self._highest(rest))
        return stored

    @staticmethod
    def _highest(events: Sequence[Event]) -> int:
        return USUAL if any(priority_of(event) != BULK for event in events) else BULK

    def store_own(self, events: Sequence[Event]) -> bool:
        """Store what the agent says of itself, without waiting; tell whether it could."""
        try:
            self._append(self.urgent, events, "edusoc", OWN)
        except StoreError as error:
            self.trouble = str(error)
            return False
        return True

    def _put(self, lane: Lane, events: Sequence[Event], origin: Origin, priority: int) -> int:
        while True:
            if self.free_share() > NEEDED_SHARE[priority]:
                try:
                    self._append(lane, events, origin.source, priority)
                except StoreError as error:
                    self.trouble = str(error)
                else:
                    self.trouble = ""
                    return len(events)
            if not origin.waits:
                self._drop(lane, events, origin)
                return 0
            self._wait()

    def _drop(self, lane: Lane, events: Sequence[Event], origin: Origin) -> None:
        lane.log.skip(len(events))
        self.gaps.add(origin.source, events)

    def _wait(self) -> None:
        """Wait for room; raise ``StoreError`` when the agent stops."""
        with self._moved:
            if not self._closing:
                self.waiting += 1
                self._moved.wait(WAIT_SECONDS)
                self.waiting -= 1
            if self._closing:
                raise StoreError("the agent stops while its spool is full", where=str(self.directory))

    def _append(self, lane: Lane, events: Sequence[Event], source: str, priority: int) -> None:
        for start, end, payload in self._payloads(events, source, priority):
            lane.log.append(payload, end - start)
        self.changed.set()

    def _payloads(self, events: Sequence[Event], source: str, priority: int) -> list[tuple[int, int, bytes]]:
        """Return (start, end, payload) of the records that hold the events: one, or more where they are very large."""
        now = format_instant(self._clock())
        head = orjson.dumps({"source": source, "priority": priority, "at": now})
        lines = [encode_event(event) for event in events]
        found, start, size = [], 0, 0
        for number, line in enumerate(lines):
            size += len(line)
            if size > MOST_RECORD_BYTES or number + 1 == len(lines):
                body = b"\n".join((head, *lines[start : number + 1]))
                found.append((start, number + 1, self._compressor().compress(body)))
                start, size = number + 1, 0
        return found

    def _compressor(self) -> zstandard.ZstdCompressor:
        """Return this thread's compressor: making one takes as long as a small record."""
        held: zstandard.ZstdCompressor | None = getattr(self._packing, "compressor", None)
        if held is None:
            held = self._packing.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        return held

    def acknowledge(self, lane: Lane, offset: int) -> None:
        """Note what the centre has and wake who waits for room."""
        if lane.acknowledge(offset):
            with self._moved:
                self._moved.notify_all()

    def stop_waiting(self) -> None:
        """Have those who wait for room give up: the agent stops."""
        with self._moved:
            self._closing = True
            self._moved.notify_all()

    def close(self) -> None:
        """Close both logs; what is stored needs no close to be safe."""
        self.stop_waiting()
        for lane in self.lanes:
            lane.close()


def encode_event(event: Event) -> bytes:
    """Return an event as JSON; what JSON can't hold (half characters, numbers beyond 64 bits) becomes text.

    Of one so large that the centre would refuse it, long texts and lists are cut; it is then tagged ``shortened``.
    """
    try:
        line = orjson.dumps(event)
    except TypeError:
        line = orjson.dumps({_plain(str(name)): _plain(value) for name, value in event.items()})
    return line if len(line) <= MOST_EVENT_BYTES else orjson.dumps(_shortened(orjson.loads(line)))


def _shortened(event: Event) -> Event:
    cut: Event = {}
    for name, value in list(event.items())[:_FIELDS_KEPT]:
        if isinstance(value, str):
            cut[name[:_TEXT_KEPT]] = value[:_TEXT_KEPT]
        elif isinstance(value, list):
            cut[name[:_TEXT_KEPT]] = [str(item)[:_ITEM_KEPT] for item in value[:_ITEMS_KEPT]]
        else:
            cut[name[:_TEXT_KEPT]] = value
    cut["tags"] = [*(str(tag) for tag in values_of(cut, "tags")), SHORTENED]
    return cut


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def stored_at(record: Record) -> str:
    """Return when a record was stored, as canonical text; empty when it can't be told."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(record.payload) as reader:
            return str(orjson.loads(reader.read(_HEAD_BYTES).partition(b"\n")[0]).get("at", ""))
    except (zstandard.ZstdError, orjson.JSONDecodeError, AttributeError):
        return ""


def lines_of(record: Record) -> list[bytes]:
    """Return the JSON lines of a record's events. Raises ``StoreError`` when it is damaged."""
    try:
        body = zstandard.ZstdDecompressor().decompress(record.payload, max_output_size=_MOST_PLAIN)
    except zstandard.ZstdError as error:
        raise StoreError("a log record can't be unpacked", where=f"offset {record.offset}") from error
    return body.split(b"\n")[1:]
