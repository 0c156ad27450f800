"""Read SMB 2 and 3 messages ([MS-SMB2] §2.2), compounded ones too, into a session's state."""

from __future__ import annotations

from struct import Struct
from typing import Final

from collectors.packets.dissectors.ntlm import find_authenticate
from collectors.packets.dissectors.smb_activity import CREATED, DELETED, RENAMED, WRITTEN, OpenFile
from collectors.packets.dissectors.smb_activity import READ as FILES_READ
from collectors.packets.dissectors.smb_session import MAX_FILES, Early, Request, Session, remember
from collectors.packets.dissectors.smb_tables import COMMANDS, DIALECTS, QUIET, status_name

NEGOTIATE: Final = 0
SESSION_SETUP: Final = 1
TREE_CONNECT: Final = 3
TREE_DISCONNECT: Final = 4
CREATE: Final = 5
READ: Final = 8
WRITE: Final = 9
SET_INFO: Final = 17
MAX_CHAIN: Final = 64
MAX_NAME: Final = 512
ANSWER_KEPT: Final = 256
_HEADER: Final = Struct("<4x2xHIHHIIQIIQ")
_PENDING: Final = 0x103
_RESPONSE: Final = 1
_DELETE_ON_CLOSE: Final = 0x1000
_DIRECTORY: Final = 0x10
_RENAME: Final = frozenset({10, 65})
_DISPOSITION: Final = frozenset({13, 64})
_LAST_FILE: Final = b"\xff" * 16


def read_messages(front: bytes, session: Session) -> None:
    """Read the chain of messages in ``front``; a related one acts on the file of the one before (§3.3.5.2.7.2)."""
    at = 0
    chained: OpenFile | None = None
    for _ in range(MAX_CHAIN):
        if len(front) < at + 64:
            return
        _, status, command, _, flags, following, message, _, tree, _ = _HEADER.unpack_from(front, at)
        end = at + following if following else len(front)
        if front[at : at + 4] != b"\xfeSMB" or (following and following < 64):
            return
        part = front[at:end]
        response = bool(flags & _RESPONSE)
        session.speaks(response=response, version="2")
        if response:
            _response(part, session, command, status, (message, tree))
        else:
            chained = _request(part, session, command, (message, tree), chained)
        if not following:
            return
        at = end


def _name_of(command: int) -> str:
    return COMMANDS[command] if command < len(COMMANDS) else f"command_{command}"


def _u16(part: bytes, at: int) -> int:
    return int.from_bytes(part[at : at + 2], "little")


def _u32(part: bytes, at: int) -> int:
    return int.from_bytes(part[at : at + 4], "little")


def text16(raw: bytes) -> str:
    """Return UTF-16 text without control characters."""
    text = raw[: MAX_NAME * 2].decode("utf-16-le", "replace")
    return text if text.isprintable() else "".join(c for c in text if c.isprintable())


def _request(
    part: bytes, session: Session, command: int, ids: tuple[int, int], chained: OpenFile | None
) -> OpenFile | None:
    """Take a request; return the file that related requests behind it act on."""
    message, tree = ids
    session.request(_name_of(command))
    waiting = Request(command, tree=tree)
    body = part[64:]
    if command == SESSION_SETUP and len(body) >= 24:
        offset, size = _u16(body, 12), _u16(body, 14)
        waiting.login = find_authenticate(part[offset : offset + size])
    elif command == TREE_CONNECT and len(body) >= 8:
        waiting.text = text16(part[_u16(body, 4) :][: _u16(body, 6)])
    elif command == CREATE and len(body) >= 48:
        name = text16(part[_u16(body, 44) :][: _u16(body, 46)])
        chained = waiting.file = OpenFile(name, session.trees.get(tree, ""))
        waiting.what = DELETED if _u32(body, 40) & _DELETE_ON_CLOSE else ""
    elif command in (READ, WRITE, SET_INFO) and len(body) >= 32:
        waiting.file = _file(session, body[16:32], tree, chained)
        waiting.what = {READ: FILES_READ, WRITE: WRITTEN}.get(command, "")
        if command == SET_INFO:
            _set_info(part, body, waiting)
    elif command == TREE_DISCONNECT:
        session.trees.pop(tree, None)
    session.wait(message, waiting)
    return chained


def _file(session: Session, identifier: bytes, tree: int, chained: OpenFile | None) -> OpenFile:
    if identifier == _LAST_FILE and chained is not None:
        return chained
    file = session.files.get(identifier)
    if file is None:  # opened before the capture began
        file = OpenFile("", session.trees.get(tree, ""))
        remember(session.files, identifier, file, MAX_FILES)
    return file


def _set_info(part: bytes, body: bytes, waiting: Request) -> None:
    """Take a renaming or a deletion ([MS-FSCC] §2.4.11, §2.4.37)."""
    kind, info = body[2], body[3]
    value = part[_u16(body, 8) :][: _u32(body, 4)]
    if kind != 1:
        return
    if info in _RENAME and len(value) >= 20:
        waiting.what, waiting.text = RENAMED, text16(value[20 : 20 + _u32(value, 16)])
    elif info in _DISPOSITION and value[:1] and value[0] & 1:
        waiting.what = DELETED


def _response(part: bytes, session: Session, command: int, status: int, ids: tuple[int, int]) -> None:
    message, tree = ids
    if status == _PENDING:
        return
    front = part[:ANSWER_KEPT]
    session.answer(
        message,
        Early(command, _name_of(command), lambda asked: _answered(front, session, asked, status, tree)),
    )


def _answered(part: bytes, session: Session, asked: Request, status: int, tree: int) -> None:
    """Take what a response says about its request."""
    session.activity.result(status_name(status), is_error=status not in QUIET)
    command, body = asked.command, part[64:]
    if command == NEGOTIATE and len(body) >= 6:
        session.set_dialect(DIALECTS.get(_u16(body, 4), f"0x{_u16(body, 4):04x}"))
    elif command == SESSION_SETUP:
        if len(body) >= 4 and status == 0 and _u16(body, 2) & 4:
            session.encrypted = True
        session.logged_in(asked.login, status)
    elif command == TREE_CONNECT:
        session.connected(asked.text, tree, status)
    elif status == 0 and command == CREATE:
        _created(body, session, asked)
    elif status == 0:
        session.confirm(asked)


def _created(body: bytes, session: Session, asked: Request) -> None:
    file = asked.file
    if file is None or len(body) < 80:
        return
    file.share = file.share or session.trees.get(asked.tree, "")
    remember(session.files, body[64:80], file, MAX_FILES)
    action, is_directory = _u32(body, 4), bool(_u32(body, 56) & _DIRECTORY)
    activity = session.activity
    activity.opened(file)
    if is_directory:
        return
    if action == 2:
        activity.did(CREATED, file)
    elif action in (0, 3):  # superseded, overwritten
        activity.did(WRITTEN, file)
    session.confirm(asked)
