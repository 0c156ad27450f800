"""Walk DNS messages (RFC 1035 §4): header, questions, resource records.

Shared by DNS, mDNS and LLMNR. All loops are bounded: records by ``MAX_RECORDS``, names as ``dns_names`` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from collectors.packets.dissectors.base import Fields
from collectors.packets.dissectors.dns_names import NameReader
from collectors.packets.dissectors.dns_records import RECORD_READERS, hexadecimal
from collectors.packets.dissectors.dns_tables import CLASSES, OP_CODES, OPT, RESPONSE_CODES, TYPES
from soc_core.names import split_name

MAX_RECORDS: Final = 128
MAX_QUESTIONS: Final = 32
MAX_DATA: Final = 1_024
_HEADER: Final = Struct(">6H")
_PAIR: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
_FLAGS: Final = (
    (0x0400, "AA"),
    (0x0200, "TC"),
    (0x0100, "RD"),
    (0x0080, "RA"),
    (0x0020, "AD"),
    (0x0010, "CD"),
)
_RESPONSE: Final = 0x8000
_DNSSEC_OK: Final = 0x8000


@dataclass(slots=True)
class Question:
    """Hold one question: name, type and class numbers."""

    name: str
    kind: int
    klass: int


@dataclass(slots=True)
class Record:
    """Hold one resource record with its data as text, ``data`` empty where it could not be read."""

    name: str
    kind: int
    klass: int
    ttl: int
    data: str


@dataclass(slots=True)
class DnsMessage:
    """Hold one message. ``extended`` is the upper part of the response code, ``dnssec_ok`` EDNS's DO bit (RFC 6891)."""

    identifier: int
    flags: int
    questions: list[Question] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    extended: int = 0
    dnssec_ok: bool = False

    @property
    def is_answer(self) -> bool:
        """Tell whether this is a response."""
        return bool(self.flags & _RESPONSE)

    @property
    def op_code(self) -> int:
        """Return the operation."""
        return self.flags >> 11 & 15

    @property
    def response_code(self) -> int:
        """Return the response code, with EDNS's upper bits."""
        return self.extended << 4 | self.flags & 15


def parse_message(payload: bytes) -> DnsMessage | None:
    """Return the message in ``payload``, ``None`` if this is not DNS.

    A message that is cut short gives the whole records before the cut. Not DNS: no room for a header and the first
    question, an unassigned operation, a reserved bit with no sense, more records than the bytes could hold.
    """
    if len(payload) < 12:
        return None
    identifier, flags, questions, answers, authorities, additional = _HEADER.unpack_from(payload)
    if not _plausible(flags, questions, answers, authorities + additional):
        return None
    message = DnsMessage(identifier, flags)
    names = NameReader(payload)
    at = 12
    for number in range(min(questions, MAX_QUESTIONS)):
        name, end = names.read(at)
        if end < 0 or end + 4 > len(payload):
            if number == 0:
                return None
            break
        message.questions.append(Question(name, *_PAIR.unpack_from(payload, end)))
        at = end + 4
    else:
        if questions <= MAX_QUESTIONS:
            _read_sections(message, names, at, (answers, authorities, additional))
    return message


def _plausible(flags: int, questions: int, answers: int, others: int) -> bool:
    op_code = flags >> 11 & 15
    if op_code not in OP_CODES or questions > 256 or answers > 8_192 or others > 8_192:
        return False
    if flags & _RESPONSE:
        return True
    # A question has no response code and (but for updates, RFC 2136) asks something or carries EDNS alone.
    return (
        flags & 15 == 0 and (questions + answers + others > 0) and (answers == 0 or op_code in (0, 4, 5, 6))
    )


def _read_sections(message: DnsMessage, names: NameReader, at: int, counts: tuple[int, int, int]) -> None:
    """Read answers and additional records; authority records are only walked over."""
    room = MAX_RECORDS
    for section, count in enumerate(counts):
        for _ in range(count):
            room -= 1
            end = _read_record(message, names, at, section) if room >= 0 else -1
            if end < 0:
                return
            at = end


def _read_record(message: DnsMessage, names: NameReader, at: int, section: int) -> int:
    """Read one record at ``at``; return where it ends, -1 if it is broken or cut short."""
    payload = names.payload
    name, at = names.read(at)
    if at < 0 or at + 10 > len(payload):
        return -1
    kind, klass, ttl, length = _RECORD.unpack_from(payload, at)
    at += 10
    end: int = at + length
    if end > len(payload):
        return -1
    if kind == OPT and section:
        message.extended = ttl >> 24
        message.dnssec_ok = bool(ttl & _DNSSEC_OK)
    elif section != 1:
        read = RECORD_READERS.get(kind, hexadecimal)
        data = read(names, at, end)[:MAX_DATA]
        rows = message.answers if section == 0 else message.additional
        rows.append(Record(name, kind, klass, ttl, data))
    return end


def message_fields(message: DnsMessage, protocol: str) -> Fields:
    """Return the ECS fields of a message of ``protocol``."""
    fields: Fields = {
        "network.protocol": protocol,
        "event.category": ["network"],
        "event.type": ["protocol", "info"],
        "dns.id": str(message.identifier),
        "dns.type": "answer" if message.is_answer else "query",
        "dns.op_code": OP_CODES[message.op_code],
    }
    flags = message.flags
    named = [name for bit, name in _FLAGS if flags & bit]
    if message.dnssec_ok:
        named.append("DO")
    if named:
        fields["dns.header_flags"] = named
    if message.is_answer:
        code = message.response_code
        fields["dns.response_code"] = RESPONSE_CODES.get(code) or f"RCODE{code}"
        fields["event.outcome"] = "success" if code == 0 else "failure"
    if message.questions:
        _put_questions(fields, message.questions)
    return fields


def _put_questions(fields: Fields, questions: list[Question]) -> None:
    """Write the first question; further ones (mDNS) go to the other fields."""
    first = questions[0]
    fields["dns.question.name"] = first.name
    fields["dns.question.type"] = type_name(first.kind)
    fields["dns.question.class"] = CLASSES.get(first.klass) or f"CLASS{first.klass}"
    put_name_parts(fields, first.name)
    if len(questions) > 1:
        fields["edusoc.extra"] = [
            f"dns.question.also={question.name} {type_name(question.kind)}" for question in questions[1:]
        ]


def put_name_parts(fields: Fields, name: str) -> None:
    """Write registered domain, subdomain and top-level domain of a question's name."""
    if "." not in name[:-1]:
        return
    subdomain, registered = split_name(name)
    fields["dns.question.registered_domain"] = registered
    fields["dns.question.top_level_domain"] = registered.partition(".")[2]
    if subdomain:
        fields["dns.question.subdomain"] = subdomain


def put_answers(fields: Fields, records: list[Record]) -> None:
    """Write records as parallel lists, and the addresses among them."""
    if not records:
        return
    fields["dns.answers.name"] = [record.name for record in records]
    fields["dns.answers.type"] = [type_name(record.kind) for record in records]
    fields["dns.answers.class"] = [CLASSES.get(record.klass) or f"CLASS{record.klass}" for record in records]
    fields["dns.answers.ttl"] = [record.ttl for record in records]
    fields["dns.answers.data"] = [record.data for record in records]
    addresses = dict.fromkeys(record.data for record in records if record.kind in (1, 28) and record.data)
    if addresses:
        fields["dns.resolved_ip"] = list(addresses)


def type_name(kind: int) -> str:
    """Return the name of a record type, ``TYPE65400`` for one without (RFC 3597 §5)."""
    return TYPES.get(kind) or f"TYPE{kind}"
