"""Turn the bytes of text files into text: UTF-8, else GB18030, which everything older in China is a part of."""

from __future__ import annotations

from collections.abc import Iterator


def decoded(data: bytes) -> str:
    """Return the text; UTF-16 with a mark is understood too, and what fits nothing keeps its ASCII."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    plain = data.removeprefix(b"\xef\xbb\xbf")
    for encoding in ("utf-8", "gb18030"):
        try:
            return plain.decode(encoding)
        except UnicodeDecodeError:
            continue
    return plain.decode("utf-8", "replace")


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield 1-based line numbers and lines, ended by LF or CR LF, one at a time."""
    number, at = 1, 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield number, text[at:end].rstrip("\r")
        number, at = number + 1, end + 1
