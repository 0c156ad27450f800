"""Sample conversations of every protocol, and how tests feed them."""

from __future__ import annotations

import json
from pathlib import Path

from collectors.packets.dissectors.base import Message, StreamDissector
from collectors.packets.dissectors.registry import STREAMS
from tests.collectors.packets.dissectors import smb_maker, ssh_maker
from tests.collectors.packets.dissectors.http_samples import HTTP

Pieces = list[tuple[int, bytes]]
TIME_US = 1_790_000_000_000_000  # 2026-09-21
_FOLDER = Path(__file__).parent


def _tls() -> dict[str, Pieces]:
    table = json.loads((_FOLDER / "samples" / "tls.json").read_text(encoding="utf-8"))
    return {name: [(side, bytes.fromhex(data)) for side, data in pieces] for name, pieces in table.items()}


def _dns() -> dict[str, Pieces]:
    from scapy.layers.dns import DNS, DNSQR, DNSRR

    asked = [DNS(id=n, rd=1, qd=DNSQR(qname=f"h{n}.school.example.")) for n in range(3)]
    told = [
        DNS(id=n, qr=1, rd=1, ra=1, qd=DNSQR(qname=f"h{n}.school.example."),
            an=DNSRR(rrname=f"h{n}.school.example.", ttl=60, rdata=f"192.0.2.{n}"))
        for n in range(3)
    ]  # fmt: skip

    def framed(messages: list[DNS]) -> bytes:
        return b"".join(len(bytes(m)).to_bytes(2, "big") + bytes(m) for m in messages)

    return {"dns_tcp": [(0, framed(asked)), (1, framed(told))]}


def all_conversations() -> dict[str, tuple[str, Pieces]]:
    """Return name → (protocol, pieces)."""
    groups = {
        "dns": _dns(), "tls": _tls(), "http": HTTP, "ssh": ssh_maker.conversations(), "smb": smb_maker.conversations(),
    }  # fmt: skip
    return {name: (protocol, pieces) for protocol, group in groups.items() for name, pieces in group.items()}


def feed(dissector: StreamDissector, pieces: Pieces, time_us: int = TIME_US) -> list[Message]:
    """Feed pieces in order and close."""
    found: list[Message] = []
    places = [0, 0]
    for side, data in pieces:
        found += dissector.feed(side, places[side], time_us, data)
        places[side] += len(data)
    return found + dissector.close()


def dissect(protocol: str, pieces: Pieces) -> list[Message]:
    return feed(STREAMS[protocol](), pieces)
