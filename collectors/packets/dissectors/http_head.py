"""Parse the head of HTTP/1 messages (RFC 9112 §2–5): start line and the header fields that events need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from collectors.packets.dissectors.base import printable

MAX_TARGET: Final = 4_096
MAX_VALUE: Final = 1_024
MAX_KEPT: Final = 4_096
MAX_LINES: Final = 200
MAX_METHOD: Final = 20
_WANTED: Final = frozenset(
    {
        b"host", b"user-agent", b"referer", b"content-type", b"content-length", b"transfer-encoding", b"authorization",
        b"proxy-authorization", b"x-forwarded-for", b"server", b"location", b"content-encoding", b"upgrade",
        b"content-disposition", b"www-authenticate",
    }
)  # fmt: skip
# Methods that begin a request. Extension methods are understood after the first request; these are how one is known.
METHODS: Final = frozenset(
    {
        b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"PROPFIND",
        b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH", b"BIND", b"REBIND",
        b"UNBIND", b"ACL", b"MKCALENDAR", b"CHECKOUT", b"CHECKIN", b"MERGE", b"LINK", b"UNLINK", b"SOURCE",
        b"M-SEARCH", b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE", b"DEBUG", b"TRACK", b"RPC_IN_DATA", b"RPC_OUT_DATA",
        b"BPROPFIND", b"BPROPPATCH", b"BCOPY", b"BMOVE", b"BDELETE", b"POLL", b"SMS_POST", b"BITS_POST", b"CCM_POST",
        b"PURGE",
    }
)  # fmt: skip


@dataclass(slots=True)
class Head:
    """Hold one head: a response has ``status`` > 0 and no method. ``fields`` are the wanted headers in lower case.

    ``length`` is the content length, -1 where none or nonsense is given; ``size`` counts the head's own bytes.
    """

    version: str
    method: str = ""
    target: str = ""
    status: int = 0
    size: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    length: int = -1

    def text(self, name: bytes, limit: int = MAX_VALUE) -> str:
        """Return a header's value as text, empty without one."""
        value = self.fields.get(name)
        return printable(value, limit) if value else ""

    @property
    def mime_type(self) -> str:
        """Return the content type without its parameters, in lower case."""
        value = self.fields.get(b"content-type")
        return printable(value.partition(b";")[0].strip().lower(), 255) if value else ""

    @property
    def chunked(self) -> bool:
        """Tell whether the body comes in chunks."""
        return b"chunked" in self.fields.get(b"transfer-encoding", b"").lower()


def starts_request(data: bytes) -> bool:
    """Tell whether ``data`` begins with a known method and a space (as far as it goes)."""
    method, space, _ = data[: MAX_METHOD + 1].lstrip(b"\r\n").partition(b" ")
    if space:
        return method in METHODS
    return bool(method) and any(known.startswith(method) for known in METHODS)


def starts_response(data: bytes) -> bool:
    """Tell whether ``data`` begins with an HTTP/1 status line (as far as it goes)."""
    start = data[:7]
    return bool(start) and b"HTTP/1."[: len(start)] == start


def parse_head(raw: bytes) -> Head | None:
    """Return the head in ``raw`` (start line to empty line), ``None`` if it is no HTTP/1."""
    lines = raw.replace(b"\r\n", b"\n").lstrip(b"\r\n").split(b"\n", MAX_LINES)
    head = _start_line(lines[0])
    if head is None:
        return None
    head.size = len(raw)
    fields = head.fields
    last = b""
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):  # folded over lines (RFC 9112 §5.2)
            if last:
                fields[last] = (fields[last] + b" " + line.strip())[:MAX_KEPT]
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        last = b""
        if colon and name in _WANTED:
            last = name
            value = value.strip()[:MAX_KEPT]
            fields[name] = (fields[name] + b", " + value)[:MAX_KEPT] if name in fields else value
    if b"content-length" in fields:
        head.length = _length(fields[b"content-length"])
    return head


def _length(value: bytes) -> int:
    """Return the content length; repeated equal values are joined (RFC 9112 §6.3)."""
    first = value.partition(b",")[0].strip()
    return int(first) if first.isdigit() and len(first) <= 18 else -1


def _start_line(line: bytes) -> Head | None:
    if line.startswith(b"HTTP/"):
        version, _, rest = line.partition(b" ")
        code = rest.lstrip()[:3]
        number = version[5:]
        if not (code.isdigit() and len(code) == 3 and code >= b"100" and number in (b"1.0", b"1.1", b"0.9")):
            return None
        return Head(number.decode("ascii"), status=int(code))
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not version.startswith(b"HTTP/1.") or not target.strip() or not 0 < len(method) <= MAX_METHOD:
        return None
    if not method.replace(b"-", b"").replace(b"_", b"").isalnum():
        return None
    minor = "1.0" if version[5:8] == b"1.0" else "1.1"
    return Head(minor, method.decode("ascii"), printable(target, MAX_TARGET))
