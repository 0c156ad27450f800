"""Read SMB 1 messages ([MS-CIFS] §2.2) into a session's state: still spoken by old printers, recorders and Windows."""

from __future__ import annotations

from struct import Struct
from typing import Final

from collectors.packets.dissectors.ntlm import Authenticate, find_authenticate
from collectors.packets.dissectors.smb2 import text16
from collectors.packets.dissectors.smb_activity import CREATED, DELETED, READ, RENAMED, WRITTEN, OpenFile
from collectors.packets.dissectors.smb_session import MAX_FILES, Early, Request, Session, remember
from collectors.packets.dissectors.smb_tables import OLD_COMMANDS, OLD_STATUSES, QUIET, status_name

DELETE: Final = 0x06
RENAME: Final = 0x07
READ_ANDX: Final = 0x2E
WRITE_ANDX: Final = 0x2F
NEGOTIATE: Final = 0x72
SESSION_SETUP: Final = 0x73
TREE_CONNECT: Final = 0x75
NT_CREATE: Final = 0xA2
_HEADER: Final = Struct("<4xBIBHH8x2xHHHH")
_RESPONSE: Final = 0x80
_UNICODE: Final = 0x8000
_NT_STATUS: Final = 0x4000
_UNSUCCESSFUL: Final = 0xC0000001
MAX_TEXT: Final = 1_024


class _Part:
    """Hold the parts of one message: parameter words, data bytes, and where the bytes stand (for alignment)."""

    __slots__ = ("data", "data_at", "words")

    def __init__(self, front: bytes) -> None:
        count = front[32] * 2 if len(front) > 32 else 0
        self.words = front[33 : 33 + count]
        self.data_at = 33 + count + 2
        size = int.from_bytes(front[33 + count : self.data_at], "little")
        self.data = front[self.data_at : self.data_at + size]

    def text(self, at: int, wide: bool) -> tuple[str, int]:
        """Return a NUL-ended text of the data at ``at`` and where the next begins; UTF-16 is aligned to the message."""
        data = self.data
        if not wide:
            end = data.find(b"\0", at, at + MAX_TEXT)
            end = len(data) if end < 0 else end
            text = data[at:end].decode("gbk", "replace")
            return "".join(c for c in text if c.isprintable()), end + 1
        at += (self.data_at + at) % 2
        end = at
        limit = min(len(data) - 1, at + MAX_TEXT * 2)
        while end < limit and data[end : end + 2] != b"\0\0":
            end += 2
        return text16(data[at:end]), end + 2


def read_old_message(front: bytes, session: Session) -> None:
    """Read one message; a chained AndX command behind the first is not followed but for log-in with tree connect."""
    if len(front) < 35:
        return
    command, status, flags, flags2, _, tree, process, _, mux = _HEADER.unpack_from(front)
    response = bool(flags & _RESPONSE)
    session.speaks(response=response, version="1")
    part = _Part(front)
    key = mux << 16 | process
    if response:
        _response(part, session, command, (key, tree), _status(session, status, flags2))
    else:
        _request(part, session, command, (key, tree), bool(flags2 & _UNICODE))


def _status(session: Session, status: int, flags2: int) -> int:
    """Return the NT status; a DOS error is noted by its name and stands for failure."""
    if flags2 & _NT_STATUS or status == 0:
        session.activity.result(status_name(status), is_error=status not in QUIET)
        return status
    code = (status & 0xFF) << 16 | status >> 16
    session.activity.result(OLD_STATUSES.get(code) or f"0x{code:06x}", is_error=True)
    return _UNSUCCESSFUL


def _name_of(command: int) -> str:
    return OLD_COMMANDS.get(command) or f"command_{command}"


def _request(part: _Part, session: Session, command: int, ids: tuple[int, int], wide: bool) -> None:
    key, tree = ids
    session.request(_name_of(command))
    waiting = Request(command, tree=tree)
    share = session.trees.get(tree, "")
    words = part.words
    if command == SESSION_SETUP:
        waiting.login = _login(part, wide)
    elif command == TREE_CONNECT and len(words) >= 8:
        size = int.from_bytes(words[6:8], "little")
        waiting.text = part.text(size, wide)[0]
    elif command == NT_CREATE:
        waiting.file = OpenFile(part.text(0, wide)[0], share)
        waiting.what = DELETED if len(words) >= 43 and words[40] & 0x10 else ""
    elif command == DELETE:
        waiting.file, waiting.what = OpenFile(part.text(1, wide)[0], share), DELETED
    elif command == RENAME:
        old, after = part.text(1, wide)
        waiting.file, waiting.what = OpenFile(old, share), RENAMED
        waiting.text = part.text(after + 1, wide)[0]
    elif command in (READ_ANDX, WRITE_ANDX) and len(words) >= 6:
        waiting.file = _file(session, words[4:6], share)
        waiting.what = READ if command == READ_ANDX else WRITTEN
    session.wait(key, waiting)


def _file(session: Session, identifier: bytes, share: str) -> OpenFile:
    file = session.files.get(identifier)
    if file is None:
        file = OpenFile("", share)
        remember(session.files, identifier, file, MAX_FILES)
    return file


def _login(part: _Part, wide: bool) -> Authenticate | None:
    """Return who logs in: from NTLM (12 words), or from plain names after the password hashes (13 words)."""
    words = part.words
    if len(words) == 24:
        size = int.from_bytes(words[14:16], "little")
        return find_authenticate(part.data[:size])
    if len(words) != 26:
        return None
    skip = int.from_bytes(words[14:16], "little") + int.from_bytes(words[16:18], "little")
    user, after = part.text(skip, wide)
    domain, _ = part.text(after, wide)
    return Authenticate(user, domain, "")


def _response(part: _Part, session: Session, command: int, ids: tuple[int, int], status: int) -> None:
    key, tree = ids
    words = part.words
    session.answer(
        key, Early(command, _name_of(command), lambda asked: _answered(words, session, asked, status, tree))
    )


def _answered(words: bytes, session: Session, asked: Request, status: int, tree: int) -> None:
    """Take what a response says about its request."""
    command = asked.command
    if command == NEGOTIATE and len(words) >= 2:
        session.set_dialect("NT LM 0.12" if len(words) >= 34 else "LANMAN")
    elif command == SESSION_SETUP:
        session.logged_in(asked.login, status)
    elif command == TREE_CONNECT:
        session.connected(asked.text, tree, status)
    elif status == 0:
        if command == NT_CREATE and asked.file is not None and len(words) >= 11:
            _created(words, session, asked.file)
        session.confirm(asked)


def _created(words: bytes, session: Session, file: OpenFile) -> None:
    remember(session.files, words[5:7], file, MAX_FILES)
    session.activity.opened(file)
    action = int.from_bytes(words[7:11], "little")
    if action == 2:
        session.activity.did(CREATED, file)
    elif action in (0, 3):  # superseded, overwritten
        session.activity.did(WRITTEN, file)
