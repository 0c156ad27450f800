"""SMB conversations written by hand after [MS-SMB2] and [MS-CIFS] (structure layouts only)."""

from __future__ import annotations

import struct

Pieces = list[tuple[int, bytes]]
SUCCESS, MORE, DENIED, LOGON_FAILURE = 0, 0xC0000016, 0xC0000022, 0xC000006D


def framed(*messages: bytes) -> bytes:
    body = b"".join(messages)
    return b"\0" + len(body).to_bytes(3, "big") + body


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def header(command: int, message: int, *, answer: bool = False, status: int = 0, tree: int = 1, following: int = 0,
           related: bool = False) -> bytes:  # fmt: skip
    flags = int(answer) | (4 if related else 0)
    return (
        b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 1, status, command, 1, flags, following, message, 0, tree, 77)
        + b"\0" * 16
    )  # fmt: skip


def ntlm(user: str, domain: str, workstation: str) -> bytes:
    parts = [utf16(domain), utf16(user), utf16(workstation)]
    fields, at = b"", 72
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), at)
        at += len(part)
    nothing = struct.pack("<HHI", 0, 0, 72)
    version = struct.pack("<BBH3xB", 10, 0, 19041, 15)
    return (
        b"NTLMSSP\0" + struct.pack("<I", 3) + nothing * 2 + fields + nothing + struct.pack("<I", 0x02000001) + version
        + b"".join(parts)
    )  # fmt: skip


def negotiate(message: int) -> bytes:
    return (
        header(0, message)
        + struct.pack("<HHHHI16sQ", 36, 2, 1, 0, 0, b"g" * 16, 0)
        + struct.pack("<HH", 0x0210, 0x0311)
    )


def negotiated(message: int, dialect: int) -> bytes:
    return header(0, message, answer=True) + struct.pack("<HHHH", 65, 1, dialect, 0) + b"\0" * 57


def session_setup(message: int, blob: bytes) -> bytes:
    return header(1, message, tree=0) + struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(blob), 0) + blob


def session_answer(message: int, status: int) -> bytes:
    return header(1, message, answer=True, status=status, tree=0) + struct.pack("<HHHH", 9, 0, 72, 0)


def tree_connect(message: int, path: str) -> bytes:
    return header(3, message, tree=0) + struct.pack("<HHHH", 9, 0, 72, len(utf16(path))) + utf16(path)


def tree_answer(message: int, tree: int, status: int = SUCCESS) -> bytes:
    return header(3, message, answer=True, tree=tree, status=status) + struct.pack(
        "<HBBIII", 16, 1, 0, 0, 0, 0
    )


def create(message: int, name: str, *, options: int = 0, following: int = 0, tree: int = 1) -> bytes:
    body = struct.pack(
        "<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x12019F, 0, 7, 1, options, 120, len(utf16(name)), 0, 0
    )
    made = header(5, message, following=following, tree=tree) + body + utf16(name)
    return made + b"\0" * (following - len(made) if following else 0)


def create_answer(
    message: int, identifier: bytes, action: int, *, status: int = SUCCESS, attributes: int = 0x80
) -> bytes:
    if status:
        return header(5, message, answer=True, status=status) + struct.pack("<HHI", 9, 0, 0)
    body = struct.pack("<HBBI4QQQII", 89, 0, 0, action, 1, 1, 1, 1, 0, 0, attributes, 0)
    return header(5, message, answer=True) + body + identifier + struct.pack("<II", 0, 0)


def read_file(message: int, identifier: bytes) -> bytes:
    return header(8, message) + struct.pack("<HBBIQ16s", 49, 0, 0, 4096, 0, identifier) + b"\0" * 17


def write_file(message: int, identifier: bytes, data: bytes) -> bytes:
    return header(9, message) + struct.pack("<HHIQ16s", 49, 112, len(data), 0, identifier) + b"\0" * 16 + data


def set_info(message: int, identifier: bytes, kind: int, value: bytes, *, related: bool = False) -> bytes:
    body = struct.pack("<HBBIHHI16s", 33, 1, kind, len(value), 96, 0, 0, identifier)
    return header(17, message, related=related) + body + value


def rename_to(name: str) -> bytes:
    return b"\1" + b"\0" * 15 + struct.pack("<I", len(utf16(name))) + utf16(name)


def answer(command: int, message: int, status: int = SUCCESS, body: bytes = b"\0" * 16) -> bytes:
    return header(command, message, answer=True, status=status) + body


def old(
    command: int,
    mux: int,
    words: bytes,
    data: bytes,
    *,
    tree: int = 1,
    answers: int | None = None,
    dos: bool = False,
) -> bytes:
    """Return a message; ``answers`` is the status of a response, in DOS form if ``dos``."""
    flags = 0 if answers is None else 0x80
    head = b"\xffSMB" + struct.pack(
        "<BIBHH8x2xHHHH", command, answers or 0, flags, 0x8000 if dos else 0xC000, 0, tree, 9, 7, mux
    )
    return framed(head + bytes([len(words) // 2]) + words + struct.pack("<H", len(data)) + data)


def _ransomware() -> Pieces:
    pieces: Pieces = [
        (0, framed(negotiate(0))), (1, framed(negotiated(0, 0x0311))),
        (0, framed(session_setup(1, b"NTLMSSP\0\1\0\0\0"))), (1, framed(session_answer(1, MORE))),
        (0, framed(session_setup(2, ntlm("lihua", "SCHOOL", "PC-07")))), (1, framed(session_answer(2, SUCCESS))),
        (0, framed(tree_connect(3, r"\\nas\学籍"))), (1, framed(tree_answer(3, 1))),
    ]  # fmt: skip
    message = 4
    for number in range(40):
        identifier = bytes([number + 1]) * 16
        old_name = f"高一\\{number:02d}.docx"
        pieces += [
            (0, framed(create(message, old_name))), (1, framed(create_answer(message, identifier, 1))),
            (0, framed(read_file(message + 1, identifier))), (1, framed(answer(8, message + 1, body=b"d" * 5000))),
            (0, framed(write_file(message + 2, identifier, b"e" * 5000))), (1, framed(answer(9, message + 2))),
            (0, framed(set_info(message + 3, identifier, 10, rename_to(old_name + ".locked")))),
            (1, framed(answer(17, message + 3))),
        ]  # fmt: skip
        message += 4
    note = b"\x7f" * 16
    pieces += [
        (0, framed(create(message, "高一\\README.txt"))), (1, framed(create_answer(message, note, 2))),
        (0, framed(create(message + 1, "高一", options=1))),
        (1, framed(create_answer(message + 1, b"\x7e" * 16, 1, attributes=0x10))),
        (0, framed(create(message + 2, "机密.docx"))), (1, framed(create_answer(message + 2, b"", 0, status=DENIED))),
    ]  # fmt: skip
    return pieces


def _compounded() -> Pieces:
    first = create(5, "tmp\\a.txt", following=160)
    chain = first + set_info(6, b"\xff" * 16, 13, b"\1", related=True)
    back = create_answer(5, b"\x09" * 16, 1)
    back = back[:20] + struct.pack("<I", len(back)) + back[24:]
    return [
        (0, b"\x85\0\0\0" + framed(chain)),
        (1, framed(back + answer(17, 6))),
        (0, framed(create(7, "tmp\\b.txt", options=0x1000))),
        (1, framed(create_answer(7, b"\x0a" * 16, 2))),
    ]


def _encrypted() -> Pieces:
    sealed = framed(b"\xfdSMB" + b"\x11" * 300)
    return [
        (0, framed(negotiate(0))),
        (1, framed(negotiated(0, 0x0300))),
        (0, sealed),
        (1, sealed),
        (0, sealed),
    ]


def _old() -> Pieces:
    blob = ntlm("guest", "WG", "")
    setup = struct.pack("<BBHHHHIHII", 0xFF, 0, 0, 4356, 50, 0, 0, len(blob), 0, 0)
    tree = struct.pack("<BBHHH", 0xFF, 0, 0, 0, 1)
    opened = struct.pack("<BBHBHIIIQIIIIIB", 0xFF, 0, 0, 0, 12, 0, 0, 1, 0, 0, 7, 1, 0, 2, 0)
    answered = struct.pack("<BBHBHI", 0xFF, 0, 0, 0, 33, 2) + b"\0" * 57
    path = b"\0" + utf16("\\\\SRV\\PUB\0") + b"?????\0"
    return [
        (0, old(0x72, 1, b"", b"\x02NT LM 0.12\0")),
        (1, old(0x72, 1, b"\0" * 34, b"", answers=0)),
        (0, old(0x73, 2, setup, blob)),
        (1, old(0x73, 2, b"\xff\0\0\0\0\0", b"", answers=0)),
        (0, old(0x75, 3, tree, path)),
        (1, old(0x75, 3, b"\xff\0\0\0\0\0", b"", answers=0, tree=8)),
        (0, old(0xA2, 4, opened, b"\0" + utf16("new.doc\0"), tree=8)),
        (1, old(0xA2, 4, answered, b"", answers=0, tree=8)),
        (0, old(0x2F, 5, b"\xff\0\0\0" + struct.pack("<H", 33) + b"\0" * 22, b"", tree=8)),
        (1, old(0x2F, 5, b"\xff\0\0\0" + b"\0" * 8, b"", answers=0, tree=8)),
        (0, old(0x07, 6, b"\x16\0", b"\x04" + utf16("new.doc\0") + b"\x04\0" + utf16("new.lock\0"), tree=8)),
        (1, old(0x07, 6, b"", b"", answers=0, tree=8)),
        (0, old(0x06, 7, b"\x16\0", b"\x04" + utf16("old.doc\0"), tree=8)),
        (1, old(0x06, 7, b"", b"", answers=0x00050001, dos=True, tree=8)),
    ]


def _guessing() -> Pieces:
    pieces: Pieces = []
    for number in range(3):
        message = number + 1
        blob = ntlm("administrator", "", "KALI")
        pieces += [
            (0, framed(session_setup(message, blob))),
            (1, framed(session_answer(message, LOGON_FAILURE))),
        ]
    return pieces


def conversations() -> dict[str, Pieces]:
    late = _ransomware()
    late[8], late[9] = late[9], late[8]  # an answer before its request
    return {
        "ransomware": _ransomware(),
        "answers_first": late,
        "compounded": _compounded(),
        "encrypted": _encrypted(),
        "old": _old(),
        "guessing": _guessing(),
        "asked_only": [(side, data) for side, data in _ransomware() if side == 0],
        "told_only": [(side, data) for side, data in _ransomware() if side == 1],
    }
