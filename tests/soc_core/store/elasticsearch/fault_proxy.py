"""Stand between the client and a real Elasticsearch, and let requests or answers go wrong as a test says."""

from __future__ import annotations

import http.client
import http.server
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from soc_core.config import Settings
from tests.soc_core.store.elasticsearch.answering import serving

Fate = Literal["pass", "lose request", "lose answer"] | tuple[int, bytes]
Judge = Callable[[str, str, bytes], Fate]
"""Takes method, path and body; a pair is a status and a body to answer instead of asking."""


class Faults:
    """Hold what is to go wrong; a test sets ``judge``."""

    def __init__(self) -> None:
        self.judge: Judge = lambda _method, _path, _body: "pass"


@contextmanager
def fault_proxy(url: str) -> Iterator[tuple[Settings, Faults]]:
    """Run a proxy before the Elasticsearch at ``url``."""
    target = urlsplit(url)
    faults = Faults()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            fate = faults.judge(self.command, self.path, body)
            if fate == "lose request":
                self.close_connection = True
                return
            if isinstance(fate, tuple):
                self._answer(fate[0], "application/json", fate[1])
                return
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
            headers = {
                name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers
            }
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if fate == "lose answer":
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheader("Content-Type", "application/json"), content)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _reply  # noqa: N815 the base class names them so

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            pass

    with serving(Handler) as settings:
        yield settings, faults
