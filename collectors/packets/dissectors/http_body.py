"""Say what the first bytes of an HTTP body show: form fields, uploaded file names, the title of a page."""

from __future__ import annotations

import html
import re
import zlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from collectors.packets.dissectors.base import printable
from collectors.packets.dissectors.http_credentials import Credentials, hide_secrets, hide_secrets_in_document

REQUEST_KEPT: Final = 2_048
RESPONSE_KEPT: Final = 4_096
MAX_TITLE: Final = 200
_INFLATED: Final = 8_192
# All look at bounded text only, without nested repeats.
_FILE_NAME: Final = re.compile(rb'filename="([^"\r\n]{1,255})"')
_PART_NAME: Final = re.compile(rb'name="(\w{1,40})"\r?\n\r?\n([^\r\n]{0,200})')
_CHARSET: Final = re.compile(rb"charset=[\"']?([\w-]{1,20})")


@dataclass(frozen=True, slots=True)
class RequestBody:
    """Hold what the start of a request's body says: text without passwords, credentials, first uploaded file."""

    text: str = ""
    credentials: Credentials | None = None
    file_name: str = ""


def read_request_body(start: bytes, mime_type: str) -> RequestBody:
    """Return what the first bytes of a request's body say."""
    if not start:
        return RequestBody()
    if mime_type == "multipart/form-data":
        return _multipart(start)
    if b"\0" in start[:256]:  # no text
        return RequestBody()
    text = _decoded(start)
    if mime_type == "application/x-www-form-urlencoded" or (not mime_type and "=" in text[:64]):
        shown, credentials = hide_secrets(text, "form")
        return RequestBody(_clean(unquote_plus(shown)), credentials)
    kind = "xml" if text.lstrip()[:1] == "<" else "json"
    shown, credentials = hide_secrets_in_document(text, kind)
    if credentials is None and "=" in text[:256] and text.lstrip()[:1] not in "<{[":
        shown, credentials = hide_secrets(text, "form")
    return RequestBody(_clean(shown), credentials)


def _multipart(start: bytes) -> RequestBody:
    name = _FILE_NAME.search(start)
    file_name = printable(_basename(name[1]), 255) if name else ""
    pairs = {match[1].decode("ascii", "replace"): match[2] for match in _PART_NAME.finditer(start)}
    text = "&".join(f"{key}={_decoded(value)}" for key, value in pairs.items())
    shown, credentials = hide_secrets(text, "form")
    if not name:
        return RequestBody(_clean(shown), credentials, file_name)
    # The part's own content follows the empty line after its headers; bytes that are no text are left out.
    content = start[name.end() :].partition(b"\r\n\r\n")[2]
    body = "" if b"\0" in content[:256] else _decoded(content)
    return RequestBody(_clean(f"{shown}\n{body}".strip()), credentials, file_name)


def _basename(name: bytes) -> bytes:
    return name.replace(b"\\", b"/").rpartition(b"/")[2]


def _decoded(data: bytes) -> str:
    """Return text: UTF-8, GB 18030 (Chinese systems), else Latin-1; a character cut at the end is dropped."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as fault:
            if fault.start >= len(data) - 4:
                return data[: fault.start].decode(encoding, "replace")
    return data.decode("latin-1")


def _clean(text: str) -> str:
    r"""Return text without control characters; line ends stay as ``\n``."""
    text = text[:REQUEST_KEPT]
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)[:REQUEST_KEPT]


def page_title(start: bytes, content_type: str, encoding: str) -> str:
    """Return the title in the first bytes of an HTML page, empty without one; packed pages are unpacked so far."""
    start = _unpacked(start, encoding)
    lowered = start.lower()
    begin = lowered.find(b"<title")
    begin = lowered.find(b">", begin) + 1 if begin >= 0 else 0
    end = lowered.find(b"</title", begin) if begin else -1
    if end < 0:
        return ""
    raw = start[begin:end][: MAX_TITLE * 4]
    text = html.unescape(_in_charset(raw, content_type.encode("utf-8", "replace") + lowered[:1_024]))
    text = " ".join(text.split())
    return (text if text.isprintable() else "".join(filter(str.isprintable, text)))[:MAX_TITLE]


def _in_charset(raw: bytes, hints: bytes) -> str:
    found = _CHARSET.search(hints)
    if found:
        name = found[1].decode("ascii", "replace").lower()
        name = "gb18030" if name in ("gb2312", "gbk") else name
        try:
            return raw.decode(name, "replace")
        except LookupError:
            pass
    return _decoded(raw)


def _unpacked(start: bytes, encoding: str) -> bytes:
    """Return the first bytes of a gzip or deflate body in the clear."""
    if encoding in ("gzip", "x-gzip"):
        bits = 31
    elif encoding == "deflate":
        bits = 15 if start[:1] == b"\x78" else -15
    else:
        return start
    try:
        return zlib.decompressobj(bits).decompress(start, _INFLATED)
    except zlib.error:
        return b""
