"""Read Link-Local Multicast Name Resolution (RFC 4795): Windows asking the neighbours for a name."""

from __future__ import annotations

from typing import Final

from collectors.packets.dissectors.base import Fields
from collectors.packets.dissectors.dns_message import message_fields, parse_message, put_answers

_FLAGS: Final = ((0x0400, "C"), (0x0200, "TC"), (0x0100, "T"))  # conflict, truncated, tentative (§2.1.1)


def dissect(payload: bytes) -> Fields | None:
    """Return the fields of one message, ``None`` if ``payload`` is none. The operation is always a query (§2.1.1)."""
    message = parse_message(payload)
    if message is None or message.op_code or not message.questions:
        return None
    fields = message_fields(message, "llmnr")
    fields.pop("dns.header_flags", None)
    flags = [name for bit, name in _FLAGS if message.flags & bit]
    if flags:
        fields["dns.header_flags"] = flags
    put_answers(fields, message.answers)
    return fields
