"""Write HTTP/1.1 requests and answers (RFC 9112), plain and in the clear."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

from pcaps.wire.tcp import CLIENT, SERVER, Connection

EDGE: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"
)
REASONS: Final = {
    200: "OK", 201: "Created", 204: "No Content", 302: "Found", 304: "Not Modified", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 500: "Internal Server Error",
}  # fmt: skip


def request(
    method: str,
    target: str,
    host: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    agent: str = EDGE,
) -> bytes:
    """Return one request."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: {agent}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "Connection: keep-alive", "", "")).encode() + body


def response(
    status: int,
    body: bytes = b"",
    *,
    kind: str = "text/html; charset=utf-8",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
    server: str = "nginx",
) -> bytes:
    """Return one answer; ``length`` announces a longer body than ``body``, whose rest is sent separately."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Server: {server}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    size = len(body) if length is None else length
    lines += [f"Content-Type: {kind}", f"Content-Length: {size}", "Connection: keep-alive", "", ""]
    return "\r\n".join(lines).encode() + body


def page(title: str, text: str = "") -> bytes:
    """Return a small HTML page."""
    return (
        f'<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><p>{text}</p></body></html>"
    ).encode()


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest(user: str, password: str, realm: str, nonce: str, line: tuple[str, str]) -> str:
    """Return the value of an Authorization header by digest (RFC 2069, what cameras speak); ``line`` is method, URI."""
    first = hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()
    second = hashlib.md5(f"{line[0]}:{line[1]}".encode(), usedforsecurity=False).hexdigest()
    proof = hashlib.md5(f"{first}:{nonce}:{second}".encode(), usedforsecurity=False).hexdigest()
    return f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{line[1]}", response="{proof}"'


def fetch(
    connection: Connection, asked: bytes, answered: bytes, *, think: float = 0.05, more: int = 0
) -> None:
    """Play one exchange on ``connection``; ``more`` bytes of the answer's body follow unrecorded."""
    connection.send(CLIENT, asked, think=think)
    connection.send(SERVER, answered, think=0.004)
    if more:
        connection.send_cut(SERVER, more)
