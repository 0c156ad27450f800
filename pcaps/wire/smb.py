"""Play SMB2 sessions over TCP port 445 (MS-SMB2): log-in, share, and files created, read, written, renamed."""

from __future__ import annotations

import struct
from typing import Final

from pcaps.wire import ntlm
from pcaps.wire.tcp import CLIENT, SERVER, Connection

NEGOTIATE: Final = 0
SESSION_SETUP: Final = 1
LOGOFF: Final = 2
TREE_CONNECT: Final = 3
TREE_DISCONNECT: Final = 4
CREATE: Final = 5
CLOSE: Final = 6
READ: Final = 8
WRITE: Final = 9
QUERY_DIRECTORY: Final = 14
SET_INFO: Final = 17
MORE_PROCESSING: Final = 0xC0000016
LOGON_FAILURE: Final = 0xC000006D
READ_ACCESS: Final = 0x00120089
WRITE_ACCESS: Final = 0x0012019F
DELETE_ACCESS: Final = 0x00110080
OPEN: Final = 1
CREATE_NEW: Final = 2
OPEN_OR_CREATE: Final = 5
_TIME: Final = 134_088_480_000_000_000  # 2025-11-27, in 100 ns since 1601
RECORDED: Final = 1_024
"""Bytes of a file's content that are recorded of each read or write; the rest counts only by its size."""


class Smb:
    """Play one session on an open connection, request by request; the server answers at once."""

    def __init__(self, connection: Connection) -> None:
        """Take an open connection to port 445."""
        self.connection, self.rng = connection, connection.capture.rng
        self._message = self._tree = self._session = 0
        self._files = 0

    def _message_of(self, side: int, command: int, status: int, body: bytes, extra: int = 0) -> bytes:
        flags = 1 if side == SERVER else 0
        head = b"\xfeSMB" + struct.pack("<HHIHHIIQ", 64, 1, status, command, 31, flags, 0, self._message)
        head += struct.pack("<IIQ", 0xFEFF, self._tree, self._session) + bytes(16)
        return struct.pack("!I", len(head) + len(body) + extra) + head + body

    def _call(
        self,
        command: int,
        asked: bytes,
        answered: bytes,
        *,
        status: int = 0,
        think: float = 0.002,
        cut: tuple[int, int] = (0, 0),
    ) -> None:
        """Send a request and its answer; ``cut`` is how many bytes of each are not recorded."""
        for side, body, code in ((CLIENT, asked, 0), (SERVER, answered, status)):
            message = self._message_of(side, command, code, body, cut[side])
            self.connection.send(side, message, think=think if side == CLIENT else 0.0004)
            if cut[side]:
                self.connection.send_cut(side, cut[side])
        self._message += 1

    def log_in(self, user: str, workstation: str, server: str = "FILESRV", *, refused: bool = False) -> Smb:
        """Negotiate SMB 3.0.2 and log in by NTLM."""
        dialects = struct.pack("<4H", 0x0202, 0x0210, 0x0300, 0x0302)
        asked = struct.pack("<HHHHI", 36, 4, 1, 0, 0x7F) + self.rng.randbytes(16) + bytes(8) + dialects
        token = ntlm.hint()
        answered = struct.pack("<HHHH", 65, 1, 0x0302, 0) + self.rng.randbytes(16)
        answered += (
            struct.pack("<IIIIQQHHI", 0x2F, 1 << 20, 1 << 20, 1 << 20, _TIME, 0, 128, len(token), 0) + token
        )
        self._call(NEGOTIATE, asked, answered)
        self._session = self.rng.getrandbits(46) << 16 | 0x41
        challenge = ntlm.challenge(server, self.rng)
        self._set_up(ntlm.negotiate(), challenge, MORE_PROCESSING)
        proof = ntlm.authenticate(user, workstation, server, self.rng)
        self._set_up(proof, b"" if refused else ntlm.accepted(), LOGON_FAILURE if refused else 0)
        return self

    def _set_up(self, token: bytes, reply: bytes, status: int) -> None:
        asked = struct.pack("<HBBIIHHQ", 25, 0, 1, 1, 0, 88, len(token), 0) + token
        self._call(SESSION_SETUP, asked, struct.pack("<HHHH", 9, 0, 72, len(reply)) + reply, status=status)

    def connect(self, share: str) -> Smb:
        r"""Connect to a share, ``\\server\share``."""
        path = share.encode("utf-16-le")
        asked = struct.pack("<HHHH", 9, 0, 72, len(path)) + path
        self._tree = self.rng.randrange(1, 1 << 16)
        self._call(TREE_CONNECT, asked, struct.pack("<HBBIII", 16, 1, 0, 0x30, 0, 0x001F01FF))
        return self

    def create(
        self, name: str, *, access: int = READ_ACCESS, disposition: int = OPEN, size: int = 0
    ) -> bytes:
        """Open or make a file, or a folder (name empty); return its handle."""
        encoded = name.encode("utf-16-le")
        asked = struct.pack("<HBBIQQ", 57, 0, 0, 2, 0, 0)
        asked += struct.pack("<IIIIIHHII", access, 0x80, 7, disposition, 0x40, 120, len(encoded), 0, 0)
        self._files += 1
        handle = struct.pack("<QQ", self._files << 32 | 0x15, self._session & 0xFFFFFFFF)
        action = 2 if disposition == CREATE_NEW else 1
        answered = struct.pack("<HBBIQQQQ", 89, 0, 0, action, _TIME, _TIME, _TIME, _TIME)
        answered += struct.pack("<QQII", -(-size // 4096) * 4096, size, 0x20, 0) + handle + bytes(8)
        self._call(CREATE, asked + (encoded or bytes(2)), answered)
        return handle

    def list_folder(self, size: int = 2_400) -> None:
        """List a folder; the answer's entries are not recorded beyond their size."""
        handle = self.create("")
        asked = struct.pack("<HBBI", 33, 37, 1, 0) + handle + struct.pack("<HHI", 96, 2, 1 << 16) + b"*\0"
        self._call(QUERY_DIRECTORY, asked, struct.pack("<HHI", 9, 72, size), cut=(0, size))
        self.close(handle)

    def read(self, handle: bytes, data: bytes, size: int, *, offset: int = 0) -> None:
        """Read ``size`` bytes; ``data`` is what is recorded of them."""
        asked = struct.pack("<HBBIQ", 49, 0x50, 0, size, offset) + handle + bytes(17)
        answered = struct.pack("<HBBIII", 17, 80, 0, size, 0, 0) + data
        self._call(READ, asked, answered, cut=(0, size - len(data)))

    def write(self, handle: bytes, data: bytes, size: int, *, offset: int = 0) -> None:
        """Write ``size`` bytes; ``data`` is what is recorded of them."""
        asked = struct.pack("<HHIQ", 49, 112, size, offset) + handle + bytes(16) + data
        answered = struct.pack("<HHIIHH", 17, 0, size, 0, 0, 0)
        self._call(WRITE, asked, answered, cut=(size - len(data), 0))

    def rename(self, handle: bytes, name: str) -> None:
        """Rename an open file."""
        encoded = name.encode("utf-16-le")
        information = struct.pack("<B7xQI", 0, 0, len(encoded)) + encoded
        asked = struct.pack("<HBBIHHI", 33, 1, 10, len(information), 96, 0, 0) + handle + information
        self._call(SET_INFO, asked, struct.pack("<H", 2))

    def close(self, handle: bytes) -> None:
        """Close a file."""
        asked = struct.pack("<HHI", 24, 0, 0) + handle
        self._call(CLOSE, asked, struct.pack("<HHI", 60, 0, 0) + bytes(52))

    def leave(self) -> None:
        """Leave the share, log off and close the connection."""
        self._call(TREE_DISCONNECT, struct.pack("<HH", 4, 0), struct.pack("<HH", 4, 0))
        self._call(LOGOFF, struct.pack("<HH", 4, 0), struct.pack("<HH", 4, 0))
        self.connection.close()
