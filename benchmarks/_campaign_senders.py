"""Send to one agent as devices and programs do, and remember what was accepted: a process that ``agents.py`` runs.

Five streams, each a thread with numbers of its own: syslog over UDP and over TCP, a file that grows and is rotated and
packed, JSON by HTTP push, JSON by the bulk protocol. What gets an answer (HTTP) is sent again until it is answered,
unchanged, as such senders do; syslog is never sent again. Each event holds its mark: ``<agent><stream>-<number>``.

Commands come as lines on standard input: ``udp COUNT`` sends so many datagrams as fast as it can, ``end`` ends the
streams. Each is answered by a line of JSON.
"""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

UDP_PORT: Final = 5514
PUSH_PORT: Final = 8602
BULK_PORT: Final = 9200
TOKEN: Final = "campaign"
STREAMS: Final = "utfhb"
SHARES: Final = {"u": 0.25, "t": 0.25, "f": 0.25, "h": 0.125, "b": 0.125}
TICK: Final = 0.05
PATIENCE: Final = 5.0
KEPT: Final = 200
"""Rotated files that stay: nothing is removed before it could be read."""


def mark(agent: str, stream: str, number: int) -> str:
    """Return what tells an event from all others."""
    return f"{agent}{stream}-{number:07d}"


def stamp() -> str:
    """Return the time as RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Stream:
    """Send numbered events at a rate in a thread of its own until ``ending``."""

    kind = ""

    def __init__(self, agent: str, rate: float, ending: threading.Event) -> None:
        """Take whose agent it is and events a second."""
        self.agent, self.rate, self.ending = agent, rate * SHARES[self.kind], ending
        self.number = 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def marks(self, count: int) -> list[str]:
        """Return the next marks."""
        first, self.number = self.number, self.number + count
        return [mark(self.agent, self.kind, number) for number in range(first, self.number)]

    def run(self) -> None:
        """Send; what could not be sent in time is not made up for beyond a second's worth."""
        began, due = time.monotonic(), 0.0
        while not self.ending.wait(TICK):
            now = time.monotonic()
            due, began = min(due + (now - began) * self.rate, self.rate), now
            if due >= 1:
                self.send(int(due))
                due -= int(due)
        self.close()

    def send(self, count: int) -> None:
        """Send so many."""
        raise NotImplementedError

    def close(self) -> None:
        """End in order."""

    def report(self) -> dict[str, object]:
        """Return what was sent and what of it accepted."""
        return {"sent": self.number}


class Udp(Stream):
    """Send datagrams; remember when which number was next."""

    kind = "u"

    def __init__(self, agent: str, rate: float, ending: threading.Event) -> None:
        """Open the socket. It is not connected: whether anybody listens is not told to it."""
        super().__init__(agent, rate, ending)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.times: list[tuple[float, int]] = []
        self.lock = threading.Lock()

    def send(self, count: int) -> None:
        """Send so many."""
        with self.lock:
            self.times.append((time.time(), self.number))
            head = f"<134>1 {stamp()} fw-1 filter - - - action=deny proto=tcp dport=445 session="
            for text in self.marks(count):
                self.socket.sendto((head + text).encode(), ("127.0.0.1", UDP_PORT))

    def report(self) -> dict[str, object]:
        """Return how many, and which number was next at which time."""
        return {"sent": self.number, "times": self.times}


class Tcp(Stream):
    """Send over connections that are closed in order and opened anew now and then, in both framings."""

    kind = "t"
    EACH = 2_000

    def __init__(self, agent: str, rate: float, ending: threading.Event) -> None:
        """Begin without a connection."""
        super().__init__(agent, rate, ending)
        self.socket: socket.socket | None = None
        self.connections: list[dict[str, object]] = []
        self.left = 0

    def send(self, count: int) -> None:
        """Send so many; after an error nothing is sent again."""
        try:
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", UDP_PORT), PATIENCE)
                # A full spool makes senders wait; this one gives up at the end only.
                self.socket.settimeout(120.0)
                self.left = self.EACH
                self.connections.append(
                    {"first": self.number, "next": self.number, "began": time.time(), "ended": 0.0}
                )
            self.connections[-1]["next"] = self.number + count
            counted = len(self.connections) % 2
            head = f"<86>1 {stamp()} srv-1 app - - - job done "
            texts = [(head + text).encode() for text in self.marks(count)]
            parts = [b"%d %s" % (len(text), text) if counted else text + b"\n" for text in texts]
            self.socket.sendall(b"".join(parts))
            self.left -= count
            if self.left <= 0:
                self.close()
        except OSError:
            self._forget(orderly=False)

    def close(self) -> None:
        """End the connection as TCP does: everything is sent, then nothing more; wait for the other side to close."""
        if self.socket is None:
            return
        orderly = False
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            orderly = self.socket.recv(1) == b""
        self._forget(orderly=orderly)

    def _forget(self, *, orderly: bool) -> None:
        if self.socket is not None:
            self.socket.close()
            self.connections[-1]["ended"] = time.time()
            self.connections[-1]["orderly"] = orderly
        self.socket = None

    def report(self) -> dict[str, object]:
        """Return which numbers went over which connection, from when to when, and how that ended."""
        return {"sent": self.number, "connections": self.connections}


class File(Stream):
    """Write a log, now and then half a line at a time; rotate it as logrotate does, the second oldest is packed."""

    kind = "f"
    EACH = 1_500

    def __init__(self, agent: str, rate: float, ending: threading.Event, folder: Path) -> None:
        """Open the log."""
        super().__init__(agent, rate, ending)
        self.path = folder / "auth.log"
        self.file = self.path.open("ab", buffering=0)
        self.lines = self.rotations = 0

    def send(self, count: int) -> None:
        """Write so many lines."""
        head = f"{stamp()} srv-1 sshd[77]: Failed password for invalid user "
        data = "".join(f"{head}{text} from 10.0.0.7 port 5 ssh2\n" for text in self.marks(count)).encode()
        half = len(data) - 40 if self.number % 3 == 0 else len(data)
        self.file.write(data[:half])
        if half < len(data):
            time.sleep(TICK / 2)
            self.file.write(data[half:])
        self.lines += count
        if self.lines >= self.EACH:
            self.rotate()

    def rotate(self) -> None:
        """Rename and begin anew; pack what was renamed the time before."""
        self.lines, self.rotations = 0, self.rotations + 1
        before = self.path.with_name(f"auth.log.{self.rotations - 1}")
        self.path.rename(self.path.with_name(f"auth.log.{self.rotations}"))
        self.file.close()
        self.file = self.path.open("ab", buffering=0)
        if before.exists():
            with before.open("rb") as plain, gzip.open(f"{before}.gz", "wb", 1) as packed:
                shutil.copyfileobj(plain, packed)
            before.unlink()

    def report(self) -> dict[str, object]:
        """Return how many lines and rotations."""
        return {"sent": self.number, "rotations": self.rotations}


class Http(Stream):
    """Send requests, each again until it is answered with 200."""

    port = 0

    def __init__(self, agent: str, rate: float, ending: threading.Event) -> None:
        """Begin without a connection."""
        super().__init__(agent, rate, ending)
        self.connection: HTTPConnection | None = None
        self.again = 0
        self.accepted = 0

    def send(self, count: int) -> None:
        """Send so many and don't return before they are accepted."""
        self.deliver(self.marks(count))

    def deliver(self, marks: list[str]) -> None:
        """Send until accepted."""
        raise NotImplementedError

    def insist(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Post until the answer is 200 and return it."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson", **headers}
        while True:
            try:
                if self.connection is None:
                    self.connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                self.connection.request("POST", path, body, headers)
                answer = self.connection.getresponse()
                content = answer.read()
                if answer.status == 200:
                    return content
                if answer.status not in (429, 503):
                    raise RuntimeError(f"{answer.status}: {content[:200]!r}")
            except (OSError, HTTPException):
                if self.connection is not None:
                    self.connection.close()
                self.connection = None
            self.again += 1
            time.sleep(0.2)

    def report(self) -> dict[str, object]:
        """Return how many were sent, all accepted at the end, and how often a request was sent again."""
        return {"sent": self.number, "accepted": self.accepted, "again": self.again}


class Push(Http):
    """Push JSON with an ``Idempotency-Key``."""

    kind, port = "h", PUSH_PORT

    def deliver(self, marks: list[str]) -> None:
        """Send until accepted."""
        lines = [
            json.dumps({"timestamp": stamp(), "message": f"door opened {text}", "level": 3}) for text in marks
        ]
        key = {"Idempotency-Key": marks[0]}
        answer = json.loads(self.insist("/events", "\n".join(lines).encode(), key))
        self.accepted += answer["accepted"]


class Bulk(Http):
    """Send bulk requests, every other without ids of its documents; of an answer only what was refused comes again."""

    kind, port, requests = "b", BULK_PORT, 0

    def deliver(self, marks: list[str]) -> None:
        """Send until all are accepted."""
        pairs = []
        self.requests += 1
        for text in marks:
            name = {"_id": text} if self.requests % 2 else {}
            document = {"@timestamp": stamp(), "message": f"copied {text}", "agent": {"type": "campaign"}}
            pairs.append(f"{json.dumps({'create': {'_index': 'logs', **name}})}\n{json.dumps(document)}\n")
        while pairs:
            answer = json.loads(self.insist("/_bulk", "".join(pairs).encode(), {}))
            states = [item["create"]["status"] for item in answer["items"]]
            if bad := [state for state in states if state not in (201, 429)]:
                raise RuntimeError(f"bulk: {bad[:5]}")
            self.accepted += states.count(201)
            pairs = [pair for pair, state in zip(pairs, states, strict=True) if state == 429]


def flood(udp: Udp, count: int) -> dict[str, object]:
    """Send datagrams as fast as it goes; return the first and the number after the last."""
    first = udp.number
    while udp.number < first + count:
        udp.send(min(100, first + count - udp.number))
    return {"first": first, "next": udp.number}


def main(agent: str, rate: str, folder: str) -> None:
    """Send until told to end, then say what was sent and accepted."""
    ending = threading.Event()
    makers: list[Callable[[], Stream]] = [
        lambda: Udp(agent, float(rate), ending),
        lambda: Tcp(agent, float(rate), ending),
        lambda: File(agent, float(rate), ending, Path(folder)),
        lambda: Push(agent, float(rate), ending),
        lambda: Bulk(agent, float(rate), ending),
    ]
    streams = [make() for make in makers]
    for stream in streams:
        stream.thread.start()
    for line in sys.stdin:
        words = line.split()
        if words[0] == "udp":
            udp = streams[0]
            assert isinstance(udp, Udp)
            print(json.dumps(flood(udp, int(words[1]))), flush=True)
        elif words[0] == "end":
            ending.set()
            for stream in streams:
                stream.thread.join(300)
            alive = [stream.kind for stream in streams if stream.thread.is_alive()]
            told = {stream.kind: stream.report() for stream in streams}
            (Path(folder) / "told.json").write_text(json.dumps(told))
            print(json.dumps({"streams": told, "alive": alive}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
