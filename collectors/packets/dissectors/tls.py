"""Read TLS handshakes (RFC 8446, RFC 5246, GB/T 38636-2020 TLCP): one event a conversation.

Records are walked one by one, for a hello may be split over records and packets, and a second ClientHello may follow
a ChangeCipherSpec record when the server asked for another key share (HelloRetryRequest, RFC 8446 §D.4). Encrypted
records are passed over without being held. The event comes out when the handshake is through, or at the end.
"""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import ByteStream, Fields, Message
from collectors.packets.dissectors.tls_certificate import certificate_fields, client_certificate_fields
from collectors.packets.dissectors.tls_hello import (
    ClientHello,
    ServerHello,
    fingerprints,
    parse_client_hello,
    parse_old_hello,
    parse_server_hello,
)
from collectors.packets.dissectors.tls_tables import ALERTS, GROUPS, TLS_1_3, VERSIONS, cipher_name

DATASET: Final = "packets.tls"
CHANGE_CIPHER: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
DATA: Final = 23
HEARTBEAT: Final = 24
MAX_RECORD: Final = 16_384 + 2_048  # RFC 5246 §6.2.3
MAX_MESSAGE: Final = 65_536
MAX_ALERTS: Final = 8
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
CERTIFICATE: Final = 11
KEY_EXCHANGE: Final = 12
_HELLOS: Final = frozenset({CLIENT_HELLO, SERVER_HELLO})
_WANTED: Final = frozenset({CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, KEY_EXCHANGE})
# An encrypted Finished of TLS 1.3 has 4 + 32 + 1 + 16 bytes at least, an encrypted alert 19.
_FINISHED: Final = 53


class _Side:
    """Hold where one direction stands."""

    __slots__ = ("changed", "data", "finished", "gaps", "lost", "messages")

    def __init__(self) -> None:
        self.data = ByteStream()
        self.messages = ByteStream()  # handshake layer: fragments of records joined
        self.changed = False  # ChangeCipherSpec seen: handshake records are encrypted from here on
        self.finished = False
        self.gaps = False
        self.lost = False


class TlsStream:
    """Follow one conversation. At most 18 KB of records and 64 KB of one handshake message a direction are held."""

    def __init__(self) -> None:
        self.done = False
        self._sides = (_Side(), _Side())
        self._client: ClientHello | None = None
        self._second: ClientHello | None = None
        self._server: ServerHello | None = None
        self._client_side = 0
        self._retried = False
        self._begun: int | None = None
        self._hello_at = 0
        self._certificates = [b"", b""]
        self._curve = ""
        self._alerts: list[str] = []
        self._fatal = False

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Return the event once the handshake is through."""
        if self.done:
            return []
        if self._begun is None:
            self._begun = time_us
        state = self._sides[side]
        if state.data.push(offset, time_us, data):
            state.messages = ByteStream()
            state.gaps, state.lost = True, False
        if state.lost:
            state.data.clear()
            return []
        while self._record(side, state):
            if self._finished():
                return self._finish()
        return []

    def close(self) -> list[Message]:
        """Return the event of a handshake that did not get through, with what unfinished records say."""
        if self.done:
            return []
        for side, state in enumerate(self._sides):
            rest = state.data
            if not state.lost and not state.changed and len(rest) > 5 and rest.byte(0) == HANDSHAKE:
                self._handshake(side, state, rest.take(len(rest))[5:])
                self._unfinished(side, state)
                state.gaps = True
        return self._finish()

    def _record(self, side: int, state: _Side) -> bool:
        """Take one record; tell whether there was a whole one."""
        stream = state.data
        head = stream.peek(5)
        if len(head) < 5:
            return False
        kind, major, length = head[0], head[1], head[3] << 8 | head[4]
        if not (CHANGE_CIPHER <= kind <= HEARTBEAT and major in (1, 3) and length <= MAX_RECORD):
            return self._old_hello(side, state)
        if kind == HANDSHAKE:
            return self._handshake_record(side, state, length)
        if kind == ALERT and length == 2:
            if len(stream) < 7:
                return False
            self._alert(stream.byte(5), stream.byte(6))
        elif kind == CHANGE_CIPHER:
            state.changed = True
        elif kind == DATA and self._server is not None and (side != self._client_side or length >= _FINISHED):
            state.finished = True
        stream.skip(5 + length)
        return True

    def _handshake_record(self, side: int, state: _Side, length: int) -> bool:
        stream = state.data
        place = stream.position
        if state.changed and not self._may_be_second(state, length):
            if len(stream) < 9:
                return False
            state.finished = True
            stream.skip(5 + length)
            return True
        if len(stream) < 5 + length:
            return False
        if self._client is None:
            self._hello_at = place
        self._handshake(side, state, stream.take(5 + length)[5:])
        return True

    def _may_be_second(self, state: _Side, length: int) -> bool:
        """Tell whether a record after ChangeCipherSpec is a hello in the clear, not an encrypted message."""
        stream = state.data
        if len(state.messages) or len(stream) < 9:
            return bool(len(state.messages))
        announced = int.from_bytes(stream.peek(3, 6), "big")
        whole = announced + 4 == length
        return stream.byte(5) in _HELLOS and (whole or (self._retried and length < announced < MAX_MESSAGE))

    def _handshake(self, side: int, state: _Side, fragment: bytes) -> None:
        """Take the handshake messages that ``fragment`` completes."""
        messages = state.messages
        if not len(messages) and not messages.skipping:  # nearly always: whole messages in one record
            fragment = self._whole_messages(side, fragment)
            if not fragment:
                return
        messages.push(messages.position + len(messages) + messages.skipping, 0, fragment)
        while len(messages) >= 4:
            kind, size = messages.byte(0), int.from_bytes(messages.peek(3, 1), "big")
            if kind not in _WANTED or size > MAX_MESSAGE:
                messages.skip(4 + size)
            elif len(messages) < 4 + size:
                return
            else:
                self._message(side, kind, messages.take(4 + size)[4:])

    def _whole_messages(self, side: int, fragment: bytes) -> bytes:
        """Take the messages that stand whole in ``fragment``; return what is left."""
        at, end = 0, len(fragment)
        while at + 4 <= end:
            kind, size = fragment[at], int.from_bytes(fragment[at + 1 : at + 4], "big")
            if at + 4 + size > end:
                break
            if kind in _WANTED:
                self._message(side, kind, fragment[at + 4 : at + 4 + size])
            at += 4 + size
        return fragment[at:]

    def _message(self, side: int, kind: int, body: bytes) -> None:
        if kind == CLIENT_HELLO:
            self._client_hello(side, parse_client_hello(body))
        elif kind == SERVER_HELLO:
            hello = parse_server_hello(body)
            if hello is not None:
                self._client_side = 1 - side
                self._retried = self._retried or hello.retry
                if self._server is None or not hello.retry:
                    self._server = hello
        elif kind == CERTIFICATE:
            self._certificates[side] = self._certificates[side] or _first_certificate(body)
        elif len(body) >= 3 and body[0] == 3:  # ServerKeyExchange, named curve (RFC 8422 §5.4)
            self._curve = GROUPS.get(body[1] << 8 | body[2], "")

    def _client_hello(self, side: int, hello: ClientHello | None) -> None:
        if hello is None:
            return
        self._client_side = side
        if self._client is None:
            self._client = hello
        else:
            self._second = hello

    def _old_hello(self, side: int, state: _Side) -> bool:
        """Take a hello in SSL 2.0 form, or give this direction up."""
        stream = state.data
        size = (stream.byte(0) & 0x7F) << 8 | stream.byte(1)
        if (
            stream.byte(0) & 0x80
            and stream.byte(2) == CLIENT_HELLO
            and stream.byte(3) in (0, 3)
            and size < 512
        ):
            if len(stream) < 2 + size:
                return False
            if stream.position == 0:
                self._client_hello(side, parse_old_hello(stream.take(2 + size)))
                return True
        state.lost = True
        stream.clear()
        return False

    def _alert(self, level: int, number: int) -> None:
        if len(self._alerts) < MAX_ALERTS:
            self._alerts.append(ALERTS.get(number) or f"alert_{number}")
        self._fatal = self._fatal or level == 2

    def _unfinished(self, side: int, state: _Side) -> None:
        """Read what a message says whose end did not come: hellos and the first certificate stand in front."""
        messages = state.messages
        if len(messages) > 42 and messages.byte(0) in _WANTED:
            kind = messages.byte(0)
            self._message(side, kind, messages.take(len(messages))[4:])

    def _finished(self) -> bool:
        client, server = self._sides
        return self._fatal or (client.finished and server.finished and self._server is not None)

    def _finish(self) -> list[Message]:
        """Return the event, if anything was seen, and let everything go."""
        self.done = True
        found: list[Message] = []
        if self._client is not None or self._server is not None:
            fields = self._fields()
            found.append(Message(DATASET, self._begun or 0, self._hello_at, fields, self._client_side))
        for side in self._sides:
            side.data.clear()
            side.messages.clear()
        self._client = self._second = self._server = None
        return found

    def _fields(self) -> Fields:
        fields: Fields = {
            "network.protocol": "tls",
            "event.category": ["network"],
            "event.type": ["connection", "protocol"],
        }
        if self._client is not None:
            _put_client(fields, self._client, self._second)
        if self._server is not None:
            self._put_server(fields, self._server)
        established = self._established()
        if established is not None:
            fields["tls.established"] = established
            fields["event.outcome"] = "success" if established else "failure"
        if self._alerts:
            fields["edusoc.tls.alerts"] = list(self._alerts)
        server, client = self._certificates[1 - self._client_side], self._certificates[self._client_side]
        if server:
            fields.update(certificate_fields(server, self._begun or 0))
        if client:
            fields.update(client_certificate_fields(client))
        return fields

    def _put_server(self, fields: Fields, hello: ServerHello) -> None:
        protocol, version = VERSIONS.get(hello.version, ("tls", f"0x{hello.version:04x}"))
        fields["tls.version_protocol"] = protocol
        fields["tls.version"] = version
        fields["tls.cipher"] = cipher_name(hello.cipher)
        curve = GROUPS.get(hello.group, "") if hello.group >= 0 else self._curve
        if curve:
            fields["tls.curve"] = curve
        if hello.protocol:
            fields["tls.next_protocol"] = hello.protocol
        if not hello.retry:
            fields["tls.server.ja3s"] = hello.ja3s
        resumed = self._resumed(hello)
        if resumed is not None:
            fields["tls.resumed"] = resumed

    def _resumed(self, hello: ServerHello) -> bool | None:
        """Tell whether an earlier session goes on: by key (1.3), or encrypted without showing a certificate (≤ 1.2)."""
        if hello.version >= TLS_1_3:
            return hello.resumes
        server = self._sides[1 - self._client_side]
        if server.gaps or not server.changed:
            return None
        return not self._certificates[1 - self._client_side] and not self._curve

    def _established(self) -> bool | None:
        """Tell whether both sides got through; ``None`` when the capture can't say."""
        client, server = self._sides
        if self._fatal:
            return False
        if client.finished and server.finished:
            return True
        if self._client is None or self._server is None:
            return None if self._client is None or not self._alerts else False
        whole = all(
            not (side.gaps or side.lost or len(side.data) or side.data.skipping) for side in (client, server)
        )
        return False if whole else None


def _put_client(fields: Fields, hello: ClientHello, second: ClientHello | None) -> None:
    """Write what the client offered. A second hello after a retry differs in few extensions: its JA4 is kept beside."""
    if hello.server_name:
        fields["tls.client.server_name"] = hello.server_name
    prints = fingerprints(hello.shape)
    fields["tls.client.ja3"] = prints.ja3
    fields["tls.client.ja4"] = prints.ja4
    fields["tls.client.supported_ciphers"] = list(prints.ciphers)
    if prints.protocols:
        fields["edusoc.tls.client_protocols"] = list(prints.protocols)
    if second is not None:
        again = fingerprints(second.shape)
        if again.ja4 != prints.ja4:
            fields["edusoc.extra"] = [f"tls.client.ja4={again.ja4}"]


def _first_certificate(body: bytes) -> bytes:
    """Return the end-entity certificate (RFC 5246 §7.4.2), empty if it did not come whole."""
    size = int.from_bytes(body[3:6], "big")
    return body[6 : 6 + size] if 0 < size <= len(body) - 6 else b""
