"""Answer as an Elasticsearch would that no test can start: other versions, endpoints of the full distribution."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from soc_core.config import Settings

Answer = Callable[[str, str, bytes], tuple[int, object]]
"""Takes method, path and body; returns status and JSON."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Answer

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        status, body = type(self).answer(self.command, self.path, self.rfile.read(length))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _reply  # noqa: N815 - the base class names them so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[Settings]:
    """Run a server on a free port; return settings that point at it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Settings(elasticsearch_url=f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(answer: Answer) -> Iterator[Settings]:
    """Run a server that answers as told."""
    with serving(type("Handler", (_Handler,), {"answer": staticmethod(answer)})) as settings:
        yield settings
