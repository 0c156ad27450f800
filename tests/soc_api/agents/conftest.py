"""A centre that listens, with the parts of tests/intake/agents behind it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest

from edusoc.serving import bind
from soc_api.agents.intake_app import create_intake_app
from soc_api.agents.listening import IntakeServer
from soc_core.keys.certificates import ServerIdentity, own_identity
from tests.conftest import NOW
from tests.intake.agents.conftest import Centre, Time, centre, time

__all__ = ["Centre", "Time", "centre", "time"]


@dataclass
class Listening:
    """Hold a centre that listens on the loopback."""

    centre: Centre
    server: IntakeServer
    identity: ServerIdentity
    port: int

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.identity.authority)

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.client_context().wrap_socket(plain, server_hostname="127.0.0.1")

    def post(
        self, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        connection = HTTPSConnection("127.0.0.1", self.port, context=self.client_context(), timeout=20)
        connection.request("POST", path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content


@pytest.fixture
def listening(centre: Centre, tmp_path: Path) -> Iterator[Listening]:
    identity = own_identity(tmp_path / "keys", ["127.0.0.1"], NOW)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = IntakeServer(create_intake_app(centre.intake), identity.context(), most=20)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Listening(centre, server, identity, port)
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    listener.close()
