r"""Read the names of DNS messages, with compression.

Names are written as in RFC 1035 §5.1 (``\.`` for a dot inside a label, ``\DDD`` for a byte that can't be printed);
UTF-8 labels (RFC 6763 §4.1.3) stay readable. A name ends after 255 bytes (RFC 1035 §3.1); pointers lead backwards.
"""

from __future__ import annotations

from typing import Final

_ESCAPES: Final = {byte: f"\\{byte:03d}" for byte in (*range(33), *range(127, 256), ord("\\"), ord("."))}


class NameReader:
    """Read the names of one message; a name that many records point at is read once."""

    __slots__ = ("_known", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._known: dict[int, str] = {}

    def read(self, at: int) -> tuple[str, int]:
        """Return the name at ``at`` (the root is ``.``) and where it ends; (``""``, -1) if it is broken."""
        payload = self.payload
        size = len(payload)
        labels: list[bytes] = []
        start, end, room, lowest = at, -1, 255, at
        while True:
            if at >= size:
                return "", -1
            length = payload[at]
            if length == 0:
                end = end if end >= 0 else at + 1
                break
            if length >= 0xC0:
                if at + 1 >= size:
                    return "", -1
                end = end if end >= 0 else at + 2
                target = (length & 0x3F) << 8 | payload[at + 1]
                if not labels and target in self._known:
                    return self._known[target], end
                if target >= lowest:  # only backwards: no loop can come about
                    return "", -1
                at = lowest = target
                continue
            room -= length + 1
            if length > 63 or room < 0 or at + 1 + length > size:
                return "", -1
            labels.append(payload[at + 1 : at + 1 + length])
            at += 1 + length
        name = _join(labels)
        self._known[start] = name
        return name, end


def _join(labels: list[bytes]) -> str:
    """Return labels as text; the common case of plain ASCII is fast."""
    joined = b".".join(labels)
    if joined.isascii():
        text = joined.decode("ascii")
        if text.isprintable() and joined.count(b".") == len(labels) - 1 and b"\\" not in joined:
            return text
    return ".".join(map(_label_text, labels)) or "."


def _label_text(label: bytes) -> str:
    try:
        text = label.decode("utf-8")
    except UnicodeDecodeError:
        return label.decode("latin-1").translate(_ESCAPES)
    if text.isprintable() and "." not in text and "\\" not in text:
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in ".\\":
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03d}" for byte in character.encode("utf-8"))
