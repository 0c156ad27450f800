"""Be a centre that believes everything: it says what is durable and keeps nothing. Plain HTTP on loopback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from soc_core.clock import format_instant, utc_now
from soc_core.uplink.answers import Receipt
from soc_core.uplink.wire import RECORDS, decode_records, read_envelope


class Sink:
    """Serve on a port of its own; ``events`` counts what came."""

    def __init__(self) -> None:
        """Begin to serve."""
        self.events = 0
        self.marks: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """Return the receipt."""
        epoch = read_envelope(headers).envelope.epoch
        if path == RECORDS:
            runs = decode_records(body)
            self.events += sum(len(run.events) for run in runs)
            self.marks[epoch] = max(self.marks.get(epoch, 0), runs[-1].end)
        return Receipt(self.marks.get(epoch, 0), format_instant(utc_now())).encode()


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content = sink.take(self.path, dict(self.headers), body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    return Handler
