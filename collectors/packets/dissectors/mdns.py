"""Read multicast DNS (RFC 6762): what devices on the local network call themselves and offer."""

from __future__ import annotations

from collectors.packets.dissectors.base import Fields
from collectors.packets.dissectors.dns_message import message_fields, parse_message, put_answers
from collectors.packets.dissectors.dns_tables import TYPES

_TOP_BIT = 0x7FFF  # unicast wanted in questions (§5.4), cache flush in records (§10.2)
_NSEC = next(number for number, name in TYPES.items() if name == "NSEC")


def dissect(payload: bytes) -> Fields | None:
    """Return the fields of one message, ``None`` if ``payload`` is none.

    Additional records count as answers: services announce their host and address there. NSEC records only say what a
    name has not (§6.1) and are left out.
    """
    message = parse_message(payload)
    if message is None:
        return None
    for question in message.questions:
        question.klass &= _TOP_BIT
    records = [record for record in message.answers + message.additional if record.kind != _NSEC]
    for record in records:
        record.klass &= _TOP_BIT
    fields = message_fields(message, "mdns")
    put_answers(fields, records)
    return fields
