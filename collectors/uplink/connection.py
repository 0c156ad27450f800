"""Talk HTTPS to the centre: private CA or pinned certificate, proxy, answers of bounded size."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from soc_core.errors import InputError, UsageError

CONNECT_SECONDS: Final = 15.0
READ_SECONDS: Final = 90.0
MOST_ANSWER: Final = 8 << 20
_SOCKET: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # What lies in the kernel's buffer must be through before an answer can come: a thin link takes long for megabytes.
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17),
]


@dataclass(frozen=True, slots=True)
class Centre:
    """Say where the centre is and how it is known: by a CA (PEM file), or by its certificate's SHA-256.

    Without either the CAs of the system are asked. ``name`` is the name its certificate bears where that isn't the one
    in the address (behind address translation, say). ``proxy`` is ``http://[user:password@]host:port``.
    """

    url: str
    ca: str = ""
    fingerprint: str = ""
    name: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold an answer; ``retry_after`` in seconds, 0 where it isn't said."""

    status: int
    body: bytes
    retry_after: float = 0.0


class LinkError(InputError):
    """Report that no answer came: ``kind`` is ``certificate``, ``proxy``, ``name`` or ``link``."""

    exit_code = 3

    def __init__(self, kind: str, what: str, *, where: str, todo: str) -> None:
        """Take what kind of trouble it is."""
        super().__init__(what, where=where, todo=todo)
        self.kind = kind


class Connection:
    """Post requests over one kept connection. For one thread."""

    def __init__(
        self, centre: Centre, *, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS
    ) -> None:
        """Open nothing yet; raise ``UsageError`` for an address or a CA that can't be used."""
        parts = urlsplit(centre.url)
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise UsageError(
                f"'{centre.url}' is no address of a centre", todo='write url = "https://centre.example:8601"'
            )
        if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise UsageError("the way to the centre must be encrypted", todo='write url = "https://…"')
        self.centre = centre
        self._base = centre.url.rstrip("/")
        self._pool = _pool(centre, urllib3.Timeout(connect=connect_seconds, read=read_seconds))

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer. Raises ``LinkError`` when none came."""
        try:
            response = self._pool.request(
                "POST",
                self._base + path,
                # Read piece by piece: time-outs are for a piece then, and a thin link takes long for the whole.
                body=io.BytesIO(body),
                headers={**headers, "Content-Length": str(len(body))},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            content = response.read(MOST_ANSWER + 1, decode_content=False)
            if len(content) > MOST_ANSWER:
                response.close()
            response.release_conn()
        except (HTTPError, OSError, ValueError) as error:
            raise _explained(error, self._base) from error
        if len(content) > MOST_ANSWER:
            raise LinkError(
                "link", "the centre's answer is too large", where=self._base, todo="look what answers there"
            )
        return Answer(response.status, content, _seconds(response.headers.get("Retry-After", "")))

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()


def _pool(centre: Centre, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    try:
        if centre.ca:
            context = ssl.create_default_context(cafile=centre.ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the centre's CA can't be read: {error}", where=centre.ca, todo="enrol again, or correct ca = …"
        ) from error
    if centre.fingerprint:
        # The whole certificate is known: neither who signed it nor its name says more.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    hostname: str | Literal[False] | None = False if centre.fingerprint else centre.name or None
    settings: dict[str, Any] = {
        "maxsize": 1,
        "timeout": timeout,
        "ssl_context": context,
        "assert_fingerprint": centre.fingerprint.removeprefix("sha256:") or None,
        "assert_hostname": hostname,
        "socket_options": _SOCKET,
    }
    if not centre.proxy:
        return urllib3.PoolManager(num_pools=2, **settings)
    parts = urlsplit(centre.proxy)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"'{parts.hostname}' is no proxy", todo='write proxy = "http://10.0.0.1:3128"')
    login = f"{parts.username}:{parts.password or ''}" if parts.username else ""
    return urllib3.ProxyManager(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        num_pools=2,
        proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        **settings,
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0


def _explained(error: BaseException, where: str) -> LinkError:
    """Return the error in words a person can act on."""
    text = f"{type(error).__name__}: {error}"
    if "CERTIFICATE" in text.upper() or "ingerprint" in text or "hostname" in text:
        return LinkError(
            "certificate",
            f"the centre's certificate is not the one we know: {_short(text)}",
            where=where,
            todo="ask the centre whether it has a new certificate, then enrol again; check the clock too",
        )
    if "ProxyError" in text or "roxy" in text:
        return LinkError(
            "proxy", f"the proxy does not let us through: {_short(text)}", where=where, todo="check proxy = …"
        )
    if "NameResolution" in text or "Name or service" in text or "getaddrinfo" in text:
        return LinkError(
            "name",
            "the centre's name is not known",
            where=where,
            todo="check the address and this machine's DNS",
        )
    return LinkError(
        "link",
        f"the centre can't be reached: {_short(text)}",
        where=where,
        todo="check the network and the firewall; what was collected waits here",
    )


def _short(text: str) -> str:
    return text.rpartition("(Caused by ")[2].rstrip(")")[:200] or text[:200]
