"""Measure the dissectors: ``python -m benchmarks.dissectors``.

Prints processor time an item, and beside it what dpkt needs for less work (its objects, without names of types, ECS
fields or fingerprints), in the same run. Samples: DNS messages made here, TLS handshakes recorded for the tests.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import dpkt

from collectors.packets.dissectors import dns
from collectors.packets.dissectors.http import HttpStream
from collectors.packets.dissectors.tls import TlsStream

SAMPLES = (
    Path(__file__).parents[1] / "tests" / "collectors" / "packets" / "dissectors" / "samples" / "tls.json"
)
QUERY = bytes.fromhex("abcd01000001000000000000") + b"\x03www\x06school\x03edu\x02cn\0\0\1\0\1"
REQUEST = (
    b"GET /news/list.html?page=2 HTTP/1.1\r\nHost: www.school.example\r\nUser-Agent: Mozilla/5.0\r\n"
    b"Accept: text/html\r\nReferer: http://www.school.example/\r\nConnection: keep-alive\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 60\r\n\r\n"
    b"<html><head><title>news</title></head><body></body></html>\r\n"
)


def answer() -> bytes:
    """Return a DNS answer of three compressed records, one of them an alias."""
    records = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 6) + b"\3cdn\xc0\x17"
    records += (b"\xc0\x2f" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes((192, 0, 2, 1))) * 2
    return QUERY[:2] + b"\x81\x80\0\1\0\3\0\0\0\0" + QUERY[12:] + records


def handshake() -> None:
    """Read one TLS 1.3 handshake: two hellos, encrypted records, fingerprints, the event."""
    stream, places = TlsStream(), [0, 0]
    for side, data in PIECES:
        stream.feed(side, places[side], 1, data)
        places[side] += len(data)
    stream.close()


def handshake_dpkt() -> None:
    """Read the two hellos with dpkt."""
    for _, data in PIECES[:2]:
        record = dpkt.ssl.TLSRecord(data)
        dpkt.ssl.TLSHandshake(record.data)


def exchange() -> None:
    """Read one request and response."""
    stream = HttpStream()
    stream.feed(0, 0, 1, REQUEST)
    stream.feed(1, 0, 1, RESPONSE)


def exchange_dpkt() -> None:
    """Read them with dpkt."""
    dpkt.http.Request(REQUEST)
    dpkt.http.Response(RESPONSE)


def microseconds(work: Callable[[], object], times: int = 5_000) -> float:
    """Return the processor time of one run of ``work``: the best of five series."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


PIECES = [
    (side, bytes.fromhex(data)) for side, data in json.loads(SAMPLES.read_text(encoding="utf-8"))["tls13"]
]
ANSWER = answer()
WORK: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "DNS query": (lambda: dns.dissect(QUERY), lambda: dpkt.dns.DNS(QUERY)),
    "DNS answer, 3 records": (lambda: dns.dissect(ANSWER), lambda: dpkt.dns.DNS(ANSWER)),
    "TLS 1.3 handshake": (handshake, handshake_dpkt),
    "HTTP exchange": (exchange, exchange_dpkt),
}


def main() -> None:
    """Run and print."""
    for name, (ours, theirs) in WORK.items():
        mine, dpkts = microseconds(ours), microseconds(theirs)
        print(f"{name:24}{mine:7.1f} µs   dpkt {dpkts:7.1f} µs   ratio {mine / dpkts:.2f}")


if __name__ == "__main__":
    main()
