"""Say what an order is: what a centre wants of an agent, signed, numbered and expiring (DESIGN §4).

An agent checks signature, addressee, number and expiry, then its own rules (never-block list, local consent); it keeps
what it runs, runs each order once, and answers with an event.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from soc_core.clock import format_instant, parse_instant
from soc_core.errors import InputError
from soc_core.keys.signing import PublicKey, SigningKey
from soc_core.model.event import Scalar

CONFIGURATION: Final = "configuration"
RULES: Final = "rules"
PACKETS: Final = "packets"
ACTION: Final = "action"
KINDS: Final = (CONFIGURATION, RULES, PACKETS, ACTION)
Body = Mapping[str, Scalar | list[str]]
"""What an order says, flat: its keys depend on its kind."""


@dataclass(frozen=True, slots=True)
class Order:
    """Hold one order. ``number`` rises by one per agent; ``issued`` and ``expires`` are canonical UTC text."""

    agent: str
    number: int
    kind: str
    issued: str
    expires: str
    body: Body

    def signed_text(self) -> bytes:
        """Return the bytes that are signed: canonical JSON (keys sorted, no spaces) behind a line of its own."""
        fields = {
            "agent": self.agent,
            "body": dict(self.body),
            "expires": self.expires,
            "issued": self.issued,
            "kind": self.kind,
            "number": self.number,
        }
        return b"edusoc-order-1\n" + orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)

    def expired(self, now: datetime) -> bool:
        """Tell whether it is too late to run it."""
        return format_instant(now) >= self.expires


def sign_order(order: Order, key: SigningKey) -> str:
    """Return the order as it travels: JSON with its signature."""
    text = order.signed_text().partition(b"\n")[2].decode()
    signature = base64.b64encode(key.sign(order.signed_text())).decode("ascii")
    return orjson.dumps({"order": text, "signature": signature}).decode()


def read_order(text: str, key: PublicKey) -> Order:
    """Return the order of its text. Raises ``InputError`` when it is malformed or the signature is not ``key``'s."""
    try:
        outer = orjson.loads(text)
        inner = orjson.loads(outer["order"])
        order = Order(
            agent=str(inner["agent"]),
            number=int(inner["number"]),
            kind=str(inner["kind"]),
            issued=format_instant(parse_instant(inner["issued"])),
            expires=format_instant(parse_instant(inner["expires"])),
            body=dict(inner["body"]),
        )
        signature = base64.b64decode(outer["signature"], validate=True)
    except (
        orjson.JSONDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        binascii.Error,
    ) as error:
        raise InputError("an order is malformed", where=text[:80]) from error
    if not key.verifies(order.signed_text(), signature):
        raise InputError("an order is not signed by our centre", where=f"order {order.number}")
    if order.kind not in KINDS:
        raise InputError(f"an order of unknown kind '{order.kind}'", where=f"order {order.number}")
    return order
