"""Write web addresses in one form (after RFC 3986, section 6.2).

The form leaves out the scheme (a proxy that opens TLS and the client disagree about it), names and passwords, the
usual port, and the fragment, which never leaves the browser. Host in lower case and as IDNA has it; letters beyond
ASCII as percent-encoded UTF-8; percent-encoded letters, digits and ``-._~`` are decoded, other encodings in upper case;
``.`` and ``..`` are resolved; an empty path is ``/``. Queries stay in their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote

import idna

LONGEST: Final = 2_048
_PARTS: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]{0,15}):)?//(?P<authority>[^/?#\\]*)(?P<rest>[^#]*)", re.IGNORECASE
)
_USUAL: Final = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443", "": "80"}
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT: Final = "%!$&'()*+,;=:@/?-._~[]|"
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Url:
    """Hold a web address in its one form, and its host alone."""

    host: str
    text: str


def canonical_url(text: str) -> Url | None:
    """Return the form of an absolute web address (scheme ``http``, ``https``, ``ftp``, ``ws``, ``wss`` or none)."""
    match = _PARTS.match(text) if "//" in text[:20] else _PARTS.match("//" + text)
    if match is None or len(text) > LONGEST or _CONTROL.search(text):
        return None
    scheme = (match["scheme"] or "").lower()
    if scheme not in _USUAL:
        return None
    placed = _place(match["authority"].rpartition("@")[2], _USUAL[scheme])
    if placed is None:
        return None
    host, port = placed
    form = f"{host}{port}{_path(match['rest'])}"
    return Url(host, form) if len(form) <= LONGEST else None


def _place(authority: str, usual: str) -> tuple[str, str] | None:
    """Return host and ``:port``, which is empty for the usual one; ``None`` when they can't be read."""
    if authority.startswith("["):
        inner, _, port = authority[1:].partition("]")
        try:
            host = f"[{IPv6Address(inner)}]"
        except ValueError:
            return None
        port = port.removeprefix(":")
    else:
        name, _, port = authority.partition(":")
        host = _host(name)
    if not host or (port and not (port.isascii() and port.isdigit() and len(port) <= 5)):
        return None
    number = port.lstrip("0")
    return host, f":{number}" if number and number not in {usual, "80", "443"} else ""


def _host(name: str) -> str:
    plain = name.rstrip(".")
    if plain.isascii():
        return plain.lower()
    try:
        return idna.encode(plain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


def _path(rest: str) -> str:
    path, mark, query = rest.replace("\\", "/").partition("?")
    whole = _dots_resolved(_decoded(path)) or "/"
    return whole + (f"?{_decoded(query)}" if mark and query else "")


def _decoded(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        letter = chr(int(match[1], 16))
        return letter if letter in _PLAIN else match[0].upper()

    decoded = _ENCODED.sub(one, text) if "%" in text else text
    return quote(decoded, safe=_KEPT, errors="replace")


def _dots_resolved(path: str) -> str:
    if "/." not in path:
        return path
    found: list[str] = []
    parts = path.split("/")[1:]
    for part in parts:
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(part)
    if parts and parts[-1] in {".", ".."}:
        found.append("")
    return "/" + "/".join(found)
