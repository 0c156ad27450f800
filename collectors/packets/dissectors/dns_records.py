"""Write the data of DNS resource records as text, in the presentation format of the RFC that defines each type.

A reader gets the names of the message, and where the record's data begins and ends; data that is too short gives
what could be read, or nothing. What has no reader is written in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from socket import AF_INET6, inet_ntoa, inet_ntop
from struct import Struct
from typing import Final, TypeAlias

from collectors.packets.dissectors.base import printable
from collectors.packets.dissectors.dns_names import NameReader
from collectors.packets.dissectors.dns_tables import SERVICE_PARAMETERS, TYPES

Reader: TypeAlias = Callable[[NameReader, int, int], str]

MAX_TEXT: Final = 1_024
_SOA: Final = Struct(">5I")
_SRV: Final = Struct(">3H")
_RRSIG: Final = Struct(">HBBIIIH")


def hexadecimal(names: NameReader, at: int, end: int) -> str:
    """Return the data in hexadecimal."""
    return names.payload[at : min(end, at + MAX_TEXT // 2)].hex()


def _address(names: NameReader, at: int, end: int) -> str:
    return inet_ntoa(names.payload[at:end]) if end - at == 4 else ""


def _address6(names: NameReader, at: int, end: int) -> str:
    return _address6_text(names.payload[at:end]) if end - at == 16 else ""


def _address6_text(packed: bytes) -> str:
    """Return the canonical text; an IPv4 address mapped into IPv6 is written as IPv4, as everywhere."""
    if packed.startswith(b"\0\0\0\0\0\0\0\0\0\0\xff\xff"):
        return inet_ntoa(packed[12:])
    if packed.startswith(b"\0\0\0\0\0\0\0\0\0\0\0\0") and packed[12:14] != b"\0\0":
        # inet_ntop writes these with dots (RFC 5952 §5 for known prefixes); the dictionary's form has none.
        return f"::{packed[12:14].hex().lstrip('0')}:{packed[14:].hex().lstrip('0') or '0'}"
    return inet_ntop(AF_INET6, packed)


def _name(names: NameReader, at: int, _end: int) -> str:
    return names.read(at)[0]


def _preference(names: NameReader, at: int, end: int) -> str:
    """Write MX, KX, AFSDB, RT: a number and a name."""
    if end - at < 3:
        return ""
    return f"{int.from_bytes(names.payload[at : at + 2], 'big')} {names.read(at + 2)[0]}"


def _two_names(names: NameReader, at: int, _end: int) -> str:
    one, after = names.read(at)
    return f"{one} {names.read(after)[0]}" if after >= 0 else one


def _soa(names: NameReader, at: int, end: int) -> str:
    text = _two_names(names, at, end)
    if end - at < 22:
        return text
    return f"{text} {' '.join(map(str, _SOA.unpack_from(names.payload, end - 20)))}"


def _srv(names: NameReader, at: int, end: int) -> str:
    if end - at < 7:
        return ""
    priority, weight, port = _SRV.unpack_from(names.payload, at)
    return f"{priority} {weight} {port} {names.read(at + 6)[0]}"


def _strings(payload: bytes, at: int, end: int) -> list[bytes]:
    """Return the character strings of [at, end)."""
    found = []
    while at < end:
        length = payload[at]
        found.append(payload[at + 1 : min(end, at + 1 + length)])
        at += 1 + length
    return found


def _text(names: NameReader, at: int, end: int) -> str:
    """Write TXT, SPF, HINFO: the character strings, joined by a space."""
    strings = _strings(names.payload, at, min(end, at + MAX_TEXT))
    return printable(b" ".join(filter(None, strings)), MAX_TEXT)


def _naptr(names: NameReader, at: int, end: int) -> str:
    payload = names.payload
    if end - at < 8:
        return ""
    parts = [
        str(int.from_bytes(payload[at : at + 2], "big")),
        str(int.from_bytes(payload[at + 2 : at + 4], "big")),
    ]
    at += 4
    for _ in range(3):
        if at >= end:
            return ""
        length = payload[at]
        parts.append(f'"{printable(payload[at + 1 : min(end, at + 1 + length)], 255)}"')
        at += 1 + length
    return " ".join([*parts, names.read(at)[0]])


def _caa(names: NameReader, at: int, end: int) -> str:
    payload = names.payload
    if end - at < 2:
        return ""
    size = payload[at + 1]
    tag, value = payload[at + 2 : min(end, at + 2 + size)], payload[at + 2 + size : end]
    return f'{payload[at]} {printable(tag, 255)} "{printable(value, MAX_TEXT)}"'


def _uri(names: NameReader, at: int, end: int) -> str:
    if end - at < 4:
        return ""
    payload = names.payload
    priority, weight = (
        int.from_bytes(payload[at : at + 2], "big"),
        int.from_bytes(payload[at + 2 : at + 4], "big"),
    )
    return f'{priority} {weight} "{printable(payload[at + 4 : end], MAX_TEXT)}"'


def _digest(head: int) -> Reader:
    """Return a reader of ``head`` one-byte numbers and a digest: TLSA, SSHFP."""

    def read(names: NameReader, at: int, end: int) -> str:
        payload = names.payload
        if end - at < head:
            return ""
        numbers = " ".join(str(payload[at + index]) for index in range(head))
        return f"{numbers} {payload[at + head : min(end, at + head + 256)].hex()}"

    return read


def _ds(names: NameReader, at: int, end: int) -> str:
    payload = names.payload
    if end - at < 4:
        return ""
    tag = int.from_bytes(payload[at : at + 2], "big")
    return f"{tag} {payload[at + 2]} {payload[at + 3]} {payload[at + 4 : min(end, at + 132)].hex()}"


def _dnskey(names: NameReader, at: int, end: int) -> str:
    payload = names.payload
    if end - at < 4:
        return ""
    flags = int.from_bytes(payload[at : at + 2], "big")
    return f"{flags} {payload[at + 2]} {payload[at + 3]} {payload[at + 4 : min(end, at + 516)].hex()}"


def _rrsig(names: NameReader, at: int, end: int) -> str:
    if end - at < 19:
        return ""
    kind, algorithm, labels, ttl, until, since, tag = _RRSIG.unpack_from(names.payload, at)
    signer = names.read(at + 18)[0]
    return f"{TYPES.get(kind, f'TYPE{kind}')} {algorithm} {labels} {ttl} {until} {since} {tag} {signer}"


def _nsec(names: NameReader, at: int, end: int) -> str:
    """Write the next name and the types that exist (RFC 4034 §4.1)."""
    payload = names.payload
    name, at = names.read(at)
    kinds: list[str] = []
    while at >= 0 and at + 2 < end and len(kinds) < 64:
        window, size = payload[at], payload[at + 1]
        for index, bits in enumerate(payload[at + 2 : min(end, at + 2 + size)]):
            kinds += [
                TYPES.get(number, f"TYPE{number}")
                for bit in range(8)
                if bits & 0x80 >> bit
                for number in [window << 8 | index << 3 | bit]
            ]
        at += 2 + size
    return " ".join([name, *kinds])


def _svcb(names: NameReader, at: int, end: int) -> str:
    """Write priority, target and parameters of SVCB and HTTPS (RFC 9460 §2)."""
    payload = names.payload
    if end - at < 3:
        return ""
    priority = int.from_bytes(payload[at : at + 2], "big")
    target, at = names.read(at + 2)
    parts = [str(priority), target]
    while at >= 0 and at + 4 <= end and len(parts) < 24:
        key = int.from_bytes(payload[at : at + 2], "big")
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        at += 4
        value = _parameter(key, payload[at : min(end, at + size)])
        name = SERVICE_PARAMETERS.get(key, f"key{key}")
        parts.append(f"{name}={value}" if value else name)
        at += size
    return " ".join(parts)


def _parameter(key: int, value: bytes) -> str:
    if key == 1:
        return ",".join(printable(name, 255) for name in _strings(value, 0, len(value)))
    if key == 3 and len(value) == 2:
        return str(int.from_bytes(value, "big"))
    if key == 4 and len(value) % 4 == 0:
        return ",".join(inet_ntoa(value[at : at + 4]) for at in range(0, min(len(value), 64), 4))
    if key == 6 and len(value) % 16 == 0:
        return ",".join(_address6_text(value[at : at + 16]) for at in range(0, min(len(value), 256), 16))
    if key == 0:
        numbers = [int.from_bytes(value[at : at + 2], "big") for at in range(0, min(len(value), 64), 2)]
        return ",".join(SERVICE_PARAMETERS.get(number, f"key{number}") for number in numbers)
    return printable(value, 255) if key == 7 else value[:128].hex()


RECORD_READERS: Final[Mapping[int, Reader]] = {
    1: _address, 2: _name, 3: _name, 4: _name, 5: _name, 6: _soa, 7: _name, 8: _name, 9: _name, 12: _name,
    13: _text, 14: _two_names, 15: _preference, 16: _text, 17: _two_names, 18: _preference, 21: _preference,
    28: _address6, 33: _srv, 35: _naptr, 36: _preference, 39: _name, 43: _ds, 44: _digest(2), 46: _rrsig,
    47: _nsec, 48: _dnskey, 52: _digest(3), 53: _digest(3), 59: _ds, 60: _dnskey, 64: _svcb, 65: _svcb, 99: _text,
    256: _uri, 257: _caa,
}  # fmt: skip
