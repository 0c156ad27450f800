from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.packets.dissectors import nbns
from tests.collectors.base import assert_fits_dictionary

# RFC 1001 §14.1: the first-level encoding of "FRED            "
FRED = b"EGFCEFEECACACACACACACACACACACACA"


def question(name: bytes = FRED, flags: int = 0x0110, kind: int = 0x20) -> bytes:
    return (
        b"\0\7"
        + flags.to_bytes(2, "big")
        + b"\0\1\0\0\0\0\0\0\x20"
        + name
        + b"\0"
        + kind.to_bytes(2, "big")
        + b"\0\1"
    )


def test_example_of_rfc_1001() -> None:
    assert nbns.decode_name(FRED) == "FRED<20>"
    assert nbns.decode_name(FRED[:-1]) == ""
    assert nbns.decode_name(b"Z" * 32) == ""


def test_query() -> None:
    fields = nbns.dissect(question())
    assert fields is not None
    assert_fits_dictionary(fields)
    assert (fields["dns.question.name"], fields["dns.question.type"]) == ("FRED<20>", "NB")
    assert (fields["dns.type"], fields["dns.header_flags"]) == ("query", ["RD", "B"])


def test_positive_answer() -> None:
    head = b"\0\7\x85\x00\0\0\0\1\0\0\0\0\x20" + FRED + b"\0\0\x20\0\1\0\4\x93\xe0\0\6\0\0\xc0\xa8\1\7"
    fields = nbns.dissect(head)
    assert fields is not None
    assert fields["dns.resolved_ip"] == ["192.168.1.7"]
    assert fields["dns.answers.ttl"] == [300_000]
    assert (fields["dns.response_code"], fields["event.outcome"]) == ("NOERROR", "success")


def test_registration_says_the_address_it_wants() -> None:
    message = bytearray(question(flags=0x2910))
    message[11] = 1
    fields = nbns.dissect(bytes(message) + b"\xc0\x0c\0\x20\0\1\0\0\0\0\0\6\x60\0\xc0\xa8\1\7")
    assert fields is not None
    assert (fields["dns.op_code"], fields["dns.answers.data"]) == ("REGISTRATION", ["192.168.1.7"])


def test_node_status_lists_names_in_the_code_page_of_chinese_windows() -> None:
    names = [
        "教室-01".encode("gbk").ljust(15) + b"\x00" + b"\4\0",
        b"WORKGROUP".ljust(15) + b"\x00" + b"\x84\0",
    ]
    data = b"\2" + b"".join(names) + b"\0" * 46
    head = b"\0\7\x84\x00\0\0\0\1\0\0\0\0\x20" + FRED + b"\0\0\x21\0\1\0\0\0\0" + len(data).to_bytes(2, "big")
    fields = nbns.dissect(head + data)
    assert fields is not None
    assert fields["dns.answers.data"] == ["教室-01<00>", "WORKGROUP<00>"]
    assert fields["dns.answers.type"] == ["NBSTAT", "NBSTAT"]


@given(st.binary(max_size=300))
def test_any_bytes(payload: bytes) -> None:
    for data in (payload, question() + payload, b"\0\7\x85\x00\0\0\0\1\0\0\0\0\x20" + FRED + b"\0" + payload):
        fields = nbns.dissect(data)
        if fields is not None:
            assert_fits_dictionary(fields)
