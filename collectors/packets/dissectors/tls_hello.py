"""Parse ClientHello and ServerHello and make their fingerprints JA3, JA3S and JA4.

Messages: RFC 8446 §4.1, RFC 5246 §7.4.1, RFC 6066 (server name), RFC 7301 (ALPN). JA3 and JA3S: Salesforce (BSD
3-Clause). JA4, the TLS client fingerprint only: FoxIO (BSD 3-Clause), as in its "JA4: TLS Client Fingerprinting".
A hello that is cut short or broken gives what stands before the damage, or ``None`` without a cipher list.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from struct import unpack_from
from typing import Final

from collectors.packets.dissectors.base import printable
from collectors.packets.dissectors.tls_tables import GREASE, cipher_name

Numbers = tuple[int, ...]

EXT_SERVER_NAME: Final = 0
EXT_GROUPS: Final = 10
EXT_POINT_FORMATS: Final = 11
EXT_SIGNATURES: Final = 13
EXT_ALPN: Final = 16
EXT_PRE_SHARED_KEY: Final = 41
EXT_VERSIONS: Final = 43
EXT_KEY_SHARE: Final = 51
MAX_EXTENSIONS: Final = 256
# SHA-256 of "HelloRetryRequest" in place of the random number (RFC 8446 §4.1.3)
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_JA4_VERSIONS: Final = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


@dataclass(frozen=True, slots=True)
class ClientHello:
    """Hold what a client offers. ``shape`` is all that fingerprints look at, the same for all calls of one program."""

    version: int
    session_id: bytes
    server_name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold the lists of a ClientHello as they came."""

    version: int
    ciphers: Numbers
    extensions: Numbers
    groups: Numbers
    point_formats: Numbers
    signatures: Numbers
    versions: Numbers
    protocols: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ServerHello:
    """Hold what a server chose. ``group`` is -1 where no key share says it; ``retry`` marks a HelloRetryRequest."""

    version: int
    session_id: bytes
    cipher: int
    protocol: str
    group: int
    resumes: bool
    retry: bool
    ja3s: str


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Hold what a shape gives: JA3, JA4, and the names of ciphers and protocols offered."""

    ja3: str
    ja4: str
    ciphers: tuple[str, ...]
    protocols: tuple[str, ...]


def _extensions(body: bytes, at: int) -> tuple[list[int], dict[int, bytes]]:
    """Return the types in order, and the data of each (the first of a kind counts)."""
    order: list[int] = []
    data: dict[int, bytes] = {}
    size = len(body)
    if at + 2 > size:
        return order, data
    end = min(size, at + 2 + (body[at] << 8 | body[at + 1]))
    at += 2
    while at + 4 <= end and len(order) < MAX_EXTENSIONS:
        kind, length = body[at] << 8 | body[at + 1], body[at + 2] << 8 | body[at + 3]
        at += 4
        if at + length > size:  # cut short: this one did not come whole
            break
        order.append(kind)
        data.setdefault(kind, body[at : at + length])
        at += length
    return order, data


def _list16(data: bytes, head: int) -> Numbers:
    """Return the 16-bit numbers after a length of ``head`` bytes."""
    size = int.from_bytes(data[:head], "big")
    count = min(size, len(data) - head) // 2
    return unpack_from(f">{count}H", data, head) if count > 0 else ()


def _protocols(data: bytes) -> tuple[bytes, ...]:
    found: list[bytes] = []
    at, end = 2, len(data)
    while at < end and len(found) < 32:
        size = data[at]
        name = data[at + 1 : at + 1 + size]
        if len(name) == size:
            found.append(name)
        at += 1 + size
    return tuple(found)


def _server_name(data: bytes) -> str:
    """Return the host name of the server name list (RFC 6066 §3)."""
    at, end = 2, len(data)
    for _ in range(8):
        if at + 3 > end:
            break
        size = data[at + 1] << 8 | data[at + 2]
        if data[at] == 0:
            return printable(data[at + 3 : at + 3 + size], 255)
        at += 3 + size
    return ""


def parse_client_hello(body: bytes) -> ClientHello | None:
    """Return the hello in the ``body`` of a handshake message."""
    size = len(body)
    if size < 38:
        return None
    version = body[0] << 8 | body[1]
    at = 35 + body[34]
    session_id = body[35:at]
    if at + 2 > size:
        return None
    ciphers = _list16(body[at : at + 2 + (body[at] << 8 | body[at + 1])], 2)
    at += 2 + (body[at] << 8 | body[at + 1])
    if not ciphers:
        return None
    order, data = _extensions(body, at + 1 + body[at]) if at < size else ([], {})
    formats = data.get(EXT_POINT_FORMATS, b"")
    shape = Shape(
        version,
        ciphers,
        tuple(order),
        _list16(data.get(EXT_GROUPS, b""), 2),
        tuple(formats[1 : 1 + formats[0]]) if formats else (),
        _list16(data.get(EXT_SIGNATURES, b""), 2),
        _list16(data.get(EXT_VERSIONS, b""), 1),
        _protocols(data.get(EXT_ALPN, b"")),
    )
    name = _server_name(data[EXT_SERVER_NAME]) if EXT_SERVER_NAME in data else ""
    return ClientHello(version, session_id, name, shape)


def parse_old_hello(record: bytes) -> ClientHello | None:
    """Return the hello of an SSL 2.0 record (RFC 5246 §E.2), which has no extensions."""
    if len(record) < 11:
        return None
    version = record[3] << 8 | record[4]
    count = (record[5] << 8 | record[6]) // 3
    suites = (record[11 + 3 * index : 14 + 3 * index] for index in range(min(count, 128)))
    ciphers = tuple(int.from_bytes(suite[1:], "big") for suite in suites if len(suite) == 3 and suite[0] == 0)
    shape = Shape(version, ciphers, (), (), (), (), (), ())
    return ClientHello(version, b"", "", shape)


def parse_server_hello(body: bytes) -> ServerHello | None:
    """Return the hello in the ``body`` of a handshake message."""
    size = len(body)
    if size < 38:
        return None
    legacy = body[0] << 8 | body[1]
    at = 35 + body[34]
    session_id = body[35:at]
    if at + 3 > size:
        return None
    cipher = body[at] << 8 | body[at + 1]
    order, data = _extensions(body, at + 3)
    chosen, share = data.get(EXT_VERSIONS, b""), data.get(EXT_KEY_SHARE, b"")
    protocols = _protocols(data.get(EXT_ALPN, b""))
    return ServerHello(
        chosen[0] << 8 | chosen[1] if len(chosen) == 2 else legacy,
        session_id,
        cipher,
        printable(protocols[0], 255) if protocols else "",
        share[0] << 8 | share[1] if len(share) >= 2 else -1,
        EXT_PRE_SHARED_KEY in data,
        body[2:34] == _RETRY,
        _ja3s(legacy, cipher, tuple(order)),
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("ascii"), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4_096)
def _ja3s(version: int, cipher: int, extensions: Numbers) -> str:
    return _md5(f"{version},{cipher},{'-'.join(map(str, extensions))}")


@lru_cache(maxsize=4_096)
def fingerprints(shape: Shape) -> Fingerprints:
    """Return the fingerprints of a ClientHello over TCP; programs repeat theirs, so the newest are kept."""
    ciphers = [number for number in shape.ciphers if number not in GREASE]
    extensions = [number for number in shape.extensions if number not in GREASE]
    groups = [number for number in shape.groups if number not in GREASE]
    parts = (ciphers, extensions, groups, shape.point_formats)
    ja3 = ",".join([str(shape.version), *("-".join(map(str, part)) for part in parts)])
    return Fingerprints(
        _md5(ja3),
        _ja4(shape, ciphers, extensions),
        tuple(cipher_name(number) for number in ciphers),
        tuple(printable(protocol, 255) for protocol in shape.protocols if protocol),
    )


def _ja4(shape: Shape, ciphers: list[int], extensions: list[int]) -> str:
    offered = [number for number in shape.versions if number not in GREASE]
    version = _JA4_VERSIONS.get(max(offered) if offered else shape.version, "00")
    domain = "d" if EXT_SERVER_NAME in extensions else "i"
    counts = f"{min(len(ciphers), 99):02d}{min(len(extensions), 99):02d}"
    kept = sorted(number for number in extensions if number not in (EXT_SERVER_NAME, EXT_ALPN))
    listed = _hexadecimal(kept)
    signatures = [number for number in shape.signatures if number not in GREASE]
    if signatures:
        listed += "_" + _hexadecimal(signatures)
    head = f"t{version}{domain}{counts}{_ja4_protocol(shape.protocols)}"
    return f"{head}_{_short(_hexadecimal(sorted(ciphers)))}_{_short(listed if kept else '')}"


def _hexadecimal(numbers: list[int]) -> str:
    return ",".join([f"{number:04x}" for number in numbers])


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else "000000000000"


def _ja4_protocol(protocols: tuple[bytes, ...]) -> str:
    """Return first and last character of the first protocol, of its hexadecimal form when they are not alphanumeric."""
    name = protocols[0] if protocols else b""
    if not name:
        return "00"
    ends = name[:1] + name[-1:]
    if ends.isalnum():  # for bytes: ASCII letters and digits only
        return ends.decode("ascii")
    text = name.hex()
    return text[0] + text[-1]
