"""Read NetBIOS name service (RFC 1002 §4.2): names of old Windows, registered, asked for and answered by broadcast."""

from __future__ import annotations

from socket import inet_ntoa
from struct import Struct
from typing import Final

from collectors.packets.dissectors.base import Fields, printable

_HEADER: Final = Struct(">6H")
_RECORD: Final = Struct(">HHIH")
_OP_CODES: Final = {
    0: "QUERY",
    5: "REGISTRATION",
    6: "RELEASE",
    7: "WACK",
    8: "REFRESH",
    9: "REFRESH",
    15: "MULTIHOMED",
}
_CODES: Final = {
    0: "NOERROR",
    1: "FMT_ERR",
    2: "SRV_ERR",
    3: "NAM_ERR",
    4: "IMP_ERR",
    5: "RFS_ERR",
    6: "ACT_ERR",
    7: "CFT_ERR",
}
_FLAGS: Final = ((0x0400, "AA"), (0x0200, "TC"), (0x0100, "RD"), (0x0080, "RA"), (0x0010, "B"))
_TYPES: Final = {0x01: "A", 0x02: "NS", 0x0A: "NULL", 0x20: "NB", 0x21: "NBSTAT"}
MAX_ADDRESSES: Final = 32
MAX_NAMES: Final = 64


def decode_name(encoded: bytes) -> str:
    """Return a name of 32 letters A–P (first-level encoding, RFC 1001 §14.1) as ``NAME<20>``; empty if it is none.

    The last of the 16 bytes is the suffix that tells workstation (00), server (20), domain controllers (1c) apart.
    """
    if len(encoded) != 32 or not all(0x41 <= byte <= 0x50 for byte in encoded):
        return ""
    raw = bytes((encoded[at] - 0x41) << 4 | encoded[at + 1] - 0x41 for at in range(0, 32, 2))
    return _plain(raw)


def _plain(raw: bytes) -> str:
    name = raw[:15].rstrip(b" \0")
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        text = name.decode("gbk", "replace")  # the OEM code page of Chinese Windows
    return f"{text if text.isprintable() else printable(name, 15)}<{raw[15]:02x}>"


def dissect(payload: bytes) -> Fields | None:
    """Return the fields of one message, ``None`` if ``payload`` is none."""
    if len(payload) < 12 + 34 + 4:
        return None
    identifier, flags, questions, answers, _authorities, additional = _HEADER.unpack_from(payload)
    op_code = flags >> 11 & 15
    if op_code not in _OP_CODES or questions + answers == 0 or questions > 1 or payload[12] != 32:
        return None
    name, at = decode_name(payload[13:45]), _name_end(payload, 12)
    if not name or at < 0 or at + 4 > len(payload):
        return None
    is_answer = bool(flags & 0x8000)
    kind = int.from_bytes(payload[at : at + 2], "big")
    fields: Fields = {
        "network.protocol": "nbns",
        "event.category": ["network"],
        "event.type": ["protocol", "info"],
        "dns.id": str(identifier),
        "dns.type": "answer" if is_answer else "query",
        "dns.op_code": _OP_CODES[op_code],
        "dns.question.name": name,
        "dns.question.type": _TYPES.get(kind, f"TYPE{kind}"),
        "dns.question.class": "IN",
    }
    named = [label for bit, label in _FLAGS if flags & bit]
    if named:
        fields["dns.header_flags"] = named
    if is_answer:
        code = flags & 15
        fields["dns.response_code"] = _CODES.get(code) or f"RCODE{code}"
        fields["event.outcome"] = "success" if code == 0 else "failure"
    if questions == 0 or additional:
        _put_record(fields, payload, at + 4 if questions else 12, name)
    return fields


def _name_end(payload: bytes, at: int) -> int:
    """Return where the encoded name at ``at`` ends (scope labels may follow), -1 if it does not."""
    while at < len(payload):
        length = payload[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return -1


def _put_record(fields: Fields, payload: bytes, at: int, name: str) -> None:
    """Write the answer, or the address that a registration asks for."""
    at = _name_end(payload, at)
    if at < 0 or at + 10 > len(payload):
        return
    kind, _klass, ttl, size = _RECORD.unpack_from(payload, at)
    data = payload[at + 10 : at + 10 + size]
    if kind == 0x20:
        values = [inet_ntoa(data[place + 2 : place + 6]) for place in range(0, len(data) - 5, 6)][
            :MAX_ADDRESSES
        ]
        if values:
            fields["dns.resolved_ip"] = list(dict.fromkeys(values))
    elif kind == 0x21:
        values = _node_names(data)
    else:
        return
    if values:
        fields["dns.answers.name"] = [name] * len(values)
        fields["dns.answers.type"] = [_TYPES[kind]] * len(values)
        fields["dns.answers.class"] = ["IN"] * len(values)
        fields["dns.answers.ttl"] = [ttl] * len(values)
        fields["dns.answers.data"] = list(values)


def _node_names(data: bytes) -> list[str]:
    """Return the names of a node status answer (§4.2.18)."""
    count = min(data[0], MAX_NAMES) if data else 0
    rows = (data[1 + 18 * index : 17 + 18 * index] for index in range(count))
    return [_plain(row) for row in rows if len(row) == 16]
