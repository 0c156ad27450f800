"""Read SSH up to the key exchange (RFC 4253): banners, algorithms, HASSH; one event a conversation.

HASSH and HASSH server: Salesforce (BSD 3-Clause), MD5 of the algorithm lists for key exchange, encryption, MAC and
compression of the sender's direction. What follows the key exchange is encrypted; log-in attempts are not guessed from
packet sizes, for segments need not be packets.
"""

from __future__ import annotations

import hashlib
from typing import Final

from collectors.packets.dissectors.base import ByteStream, Fields, Message, printable

DATASET: Final = "packets.ssh"
MAX_LINE: Final = 255  # RFC 4253 §4.2
MAX_LINES: Final = 32
MAX_PACKET: Final = 35_000  # RFC 4253 §6.1
KEXINIT: Final = 20
_LISTS: Final = 10
_KEX, _CIPHER, _MAC, _COMPRESSION = 0, 2, 4, 6  # of the client's direction; the server's stand one further


class _Side:
    """Hold what one direction said."""

    __slots__ = ("banner", "data", "ended", "lines", "lists")

    def __init__(self) -> None:
        self.data = ByteStream()
        self.banner = ""
        self.lists: list[str] = []
        self.lines = 0
        self.ended = False


class SshStream:
    """Follow one conversation. At most 35 KB a direction are held, until both key exchange lists are known."""

    def __init__(self) -> None:
        self.done = False
        self._sides = (_Side(), _Side())
        self._begun: int | None = None

    def feed(self, side: int, offset: int, time_us: int, data: bytes) -> list[Message]:
        """Return the event once both sides have said their algorithms, or can't any more."""
        if self.done:
            return []
        if self._begun is None:
            self._begun = time_us
        state = self._sides[side]
        if state.data.push(offset, time_us, data):
            state.ended = True
        if state.ended:
            state.data.clear()
        elif not state.banner:
            self._banner(state)
        if state.banner and not state.ended:
            self._packets(state)
        return self.close() if all(each.ended for each in self._sides) else []

    def close(self) -> list[Message]:
        """Return the event of what was seen."""
        if self.done:
            return []
        self.done = True
        client, server = self._sides
        if not client.banner and not server.banner:
            return []
        return [Message(DATASET, self._begun or 0, 0, _fields(client, server))]

    def _banner(self, state: _Side) -> None:
        """Take lines up to the one that begins with ``SSH-``; a server may send others before (RFC 4253 §4.2)."""
        stream = state.data
        while not state.banner:
            end = stream.find(b"\n", 0, MAX_LINE + 1)
            if end < 0:
                state.ended = len(stream) > MAX_LINE
                return
            line = stream.take(end + 1).rstrip(b"\r\n")
            state.lines += 1
            if line.startswith(b"SSH-"):
                state.banner = printable(line, MAX_LINE)
            elif state.lines > MAX_LINES:
                state.ended = True
                return

    def _packets(self, state: _Side) -> None:
        """Take packets up to the list of algorithms."""
        stream = state.data
        while len(stream) >= 6:
            size = int.from_bytes(stream.peek(4), "big")
            if not 2 <= size <= MAX_PACKET:
                state.ended = True
                stream.clear()
                return
            if stream.byte(5) != KEXINIT:
                stream.skip(4 + size)
                state.lines += 1
                state.ended = state.lines > MAX_LINES
                continue
            if len(stream) < 4 + size:
                return
            state.lists = _name_lists(stream.take(4 + size)[22:])
            state.ended = True
            stream.clear()


def _name_lists(body: bytes) -> list[str]:
    """Return the ten name lists of KEXINIT (RFC 4253 §7.1); fewer if it is broken."""
    lists: list[str] = []
    at = 0
    while len(lists) < _LISTS and at + 4 <= len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        if at + 4 + size > len(body):
            break
        lists.append(printable(body[at + 4 : at + 4 + size], size))
        at += 4 + size
    return lists


def _fields(client: _Side, server: _Side) -> Fields:
    fields: Fields = {
        "network.protocol": "ssh",
        "event.category": ["network"],
        "event.type": ["connection", "protocol"],
    }
    for name, state, side in (("client", client, 0), ("server", server, 1)):
        if state.banner:
            fields[f"edusoc.ssh.{name}"] = state.banner
            version = state.banner.split("-", 2)[1]
            if version:
                fields["edusoc.ssh.version"] = version
        if len(state.lists) > _COMPRESSION + 1:
            fields["edusoc.ssh.hassh" if side == 0 else "edusoc.ssh.hassh_server"] = _hassh(state.lists, side)
    if len(client.lists) == len(server.lists) == _LISTS:
        for field, index in (("edusoc.ssh.kex", _KEX), ("edusoc.ssh.cipher", _CIPHER)):
            agreed = _agreed(client.lists[index], server.lists[index])
            if agreed:
                fields[field] = agreed
    return fields


def _hassh(lists: list[str], side: int) -> str:
    chosen = [lists[_KEX], *(lists[index + side] for index in (_CIPHER, _MAC, _COMPRESSION))]
    return hashlib.md5(";".join(chosen).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _agreed(client: str, server: str) -> str:
    """Return the first of the client's algorithms that the server has (RFC 4253 §7.1)."""
    offered = set(server.split(","))
    return next((name for name in client.split(",") if name in offered), "")
