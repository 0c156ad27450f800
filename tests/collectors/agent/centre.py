"""A small centre for tests: it speaks the uplink's wire format over TLS and can be as difficult as a real one."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from soc_core.clock import format_instant, utc_now
from soc_core.errors import InputError
from soc_core.keys.signing import PublicKey, SigningKey
from soc_core.model.event import EVENT_ID, Event
from soc_core.uplink.answers import CODE, MALFORMED, REPLAYED, STATUS, TOO_LARGE, Receipt, Refusal
from soc_core.uplink.enrolment import EnrolAnswer, EnrolmentCode, EnrolRequest
from soc_core.uplink.heartbeat import Heartbeat
from soc_core.uplink.orders import Order, sign_order
from soc_core.uplink.wire import ENROL, HEARTBEAT, decode_records, read_envelope

AGENT = "agent-1"
BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Received:
    """What came: events by epoch and offset, how often each id, gaps between offsets, heartbeats, numbers."""

    events: dict[tuple[str, int], Event] = field(default_factory=dict)
    ids: Counter[str] = field(default_factory=Counter)
    marks: dict[str, int] = field(default_factory=dict)
    jumps: list[tuple[str, int, int]] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)


class Centre:
    """Serve on a port of its own until closed.

    ``trouble`` may return a refusal to be answered, or raise ``ConnectionError`` to break the connection; it is asked
    with the path and whether the body was taken already (then the answer is lost, not the request).
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, key = make_certificate()
        self.ca = folder / "ca.pem"
        pem = x509.load_der_x509_certificate(self.certificate).public_bytes(serialization.Encoding.PEM)
        self.ca.write_bytes(pem)
        (folder / "key.pem").write_bytes(key)
        self.key = SigningKey(b"k" * 32)
        self.agent_key: PublicKey | None = None
        self.code = EnrolmentCode.make(self.certificate)
        self.received = Received()
        self.last_number = 0
        self.orders: list[str] = []
        self.clock: Callable[[], datetime] = utc_now
        self.trouble: Callable[[str, bool], Refusal | None] = lambda _path, _taken: None
        self.give_ca = True
        self.most_body = 1 << 30
        self.link_most = 1 << 30
        self._lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, folder / "key.pem")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # broken connections are meant
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def order(
        self, number: int, kind: str, body: dict[str, str], *, agent: str = AGENT, hours: float = 1
    ) -> str:
        """Return a signed order; one of negative hours has expired."""
        now = self.clock()
        order = Order(
            agent, number, kind, format_instant(now), format_instant(now + timedelta(hours=hours)), body
        )
        return sign_order(order, self.key)

    def events(self) -> list[Event]:
        with self._lock:
            return list(self.received.events.values())

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if len(body) > self.link_most:
            raise ConnectionError  # a link too thin for it: it breaks before all is there
        with self._lock:
            if path == ENROL:
                return self._enrol(body)
            try:
                found = self.trouble(path, False) or self._check(path, headers, body)
            except InputError as error:
                found = Refusal(MALFORMED, error.what)
            if found is not None:
                return STATUS[found.kind], found.encode()
            epoch = read_envelope(headers).envelope.epoch
            if path == HEARTBEAT:
                self.received.heartbeats.append(Heartbeat.decode(body))
            else:
                self._take(epoch, body)
            found = self.trouble(path, True)
            if found is not None:
                return STATUS[found.kind], found.encode()
            mark = self.received.marks.get(epoch, 0)
            receipt = Receipt(mark, format_instant(self.clock()), tuple(self.orders))
            return 200, receipt.encode()

    def _enrol(self, body: bytes) -> tuple[int, bytes]:
        request = EnrolRequest.decode(body)
        if request.code.secret_hash != self.code.secret_hash:
            return STATUS[CODE], Refusal(CODE, "the code is unknown, used or too old").encode()
        self.agent_key = PublicKey.parse(request.public_key)
        ca = self.ca.read_text() if self.give_ca else ""
        now = format_instant(self.clock())
        key = self.key.public.text
        answer = EnrolAnswer(AGENT, "unit-1", "示例学校", "校园网", key, ca, now, bytes(range(32)).hex())
        return 200, answer.encode()

    def _check(self, path: str, headers: dict[str, str], body: bytes) -> Refusal | None:
        sealed = read_envelope(headers)
        envelope = sealed.envelope
        assert self.agent_key is not None
        assert envelope.agent == AGENT
        if not sealed.is_from(self.agent_key, path) or not sealed.holds(body):
            return Refusal(MALFORMED, "not signed by the agent")
        if len(body) > self.most_body:
            return Refusal(TOO_LARGE, "too large")
        if envelope.number <= self.last_number:
            now = format_instant(self.clock())
            return Refusal(REPLAYED, "the number is old", time=now, number=self.last_number)
        self.last_number = envelope.number
        self.received.numbers.append(envelope.number)
        return None

    def _take(self, epoch: str, body: bytes) -> None:
        received = self.received
        received.bodies.append(len(body))
        for run in decode_records(body):
            mark = received.marks.get(epoch)
            if mark is not None and run.end <= mark:
                continue
            if mark is not None:
                if run.start > mark:
                    received.jumps.append((epoch, mark, run.start))
                run = run.after(mark)
            for offset, event in enumerate(run.events, start=run.start):
                assert isinstance(event, dict)
                received.events[epoch, offset] = event
                received.ids[str(event[EVENT_ID])] += 1
            received.marks[epoch] = run.end


def _handler(centre: Centre) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, content = centre.answer(self.path, dict(self.headers), body)
            except ConnectionError:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    return Handler


def make_certificate(name: str = "centre.example") -> tuple[bytes, bytes]:
    """Return a certificate (DER) for a name that isn't its address, and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEFORE)
        .not_valid_after(BEFORE + timedelta(days=36_500))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.DER), private
