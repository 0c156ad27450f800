from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import (
    DNS,
    DNSQR,
    DNSRR,
    DNSRRDS,
    DNSRRHTTPS,
    DNSRRMX,
    DNSRROPT,
    DNSRRSOA,
    DNSRRSRV,
    SvcParam,
)

from collectors.packets.dissectors import dns, llmnr, mdns
from collectors.packets.dissectors.dns_message import MAX_RECORDS
from collectors.packets.dissectors.dns_names import NameReader
from tests.collectors.base import assert_fits_dictionary

QUERY = bytes.fromhex("abcd01000001000000000000") + b"\x03www\x06school\x03edu\x02cn\0\0\1\0\1"


def answer(*records: object, code: int = 0) -> bytes:
    made = DNS(id=7, qr=1, aa=1, rcode=code, qd=DNSQR(qname="school.example."), an=list(records))
    return bytes(made)


def test_query_by_hand() -> None:
    assert dns.dissect(QUERY) == {
        "network.protocol": "dns",
        "event.category": ["network"],
        "event.type": ["protocol", "info"],
        "dns.id": "43981",
        "dns.type": "query",
        "dns.op_code": "QUERY",
        "dns.header_flags": ["RD"],
        "dns.question.name": "www.school.edu.cn",
        "dns.question.type": "A",
        "dns.question.class": "IN",
        "dns.question.registered_domain": "school.edu.cn",
        "dns.question.top_level_domain": "edu.cn",
        "dns.question.subdomain": "www",
    }


def test_example_of_rfc_1035_names() -> None:
    # RFC 1035 §4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA by pointer at 64, the root at 92
    payload = bytearray(93)
    payload[20:32] = b"\1F\3ISI\4ARPA\0"
    payload[40:46] = b"\3FOO\xc0\x14"
    payload[64:66] = b"\xc0\x1a"
    names = NameReader(bytes(payload))
    assert names.read(20) == ("F.ISI.ARPA", 32)
    assert names.read(40) == ("FOO.F.ISI.ARPA", 46)
    assert names.read(64) == ("ARPA", 66)
    assert names.read(92) == (".", 93)


def test_pointers_that_loop_or_lead_out_are_broken() -> None:
    for tail in (
        b"\xc0\x0c",
        b"\xc0\x0e\xc0\x0c",
        b"\x01a\xc0\x0c",
        b"\xc0\xff",
        b"\xff\xff",
        b"\x3fab",
    ):
        payload = bytes.fromhex("000101000001000000000000") + tail + b"\0\1\0\1"
        assert NameReader(payload).read(12)[1] == -1
        assert dns.dissect(payload) is None
    assert NameReader(bytes(12) + b"\xc0").read(12)[1] == -1


def test_name_longer_than_255_bytes_is_broken() -> None:
    payload = bytes.fromhex("000101000001000000000000") + b"\x3f" + b"a" * 63
    payload += (b"\x3f" + b"b" * 63) * 3 + b"\0\0\1\0\1"
    assert dns.dissect(payload) is None


def test_labels_that_need_escapes() -> None:
    payload = QUERY[:12] + b"\x05a.b\\c\x02\x07\xff\x06\xe5\xad\xa6\xe6\xa0\xa1\0\0\x10\0\1"
    fields = dns.dissect(payload)
    assert fields is not None
    assert fields["dns.question.name"] == r"a\.b\\c.\007\255.学校"


def test_record_types_against_scapy() -> None:
    name = "school.example."
    service = DNSRRHTTPS(
        rrname=name, svc_priority=1, target_name=".", svc_params=[SvcParam(key=1, value=[b"h2", b"h3"])]
    )
    records = [
        (DNSRR(rrname=name, type="A", rdata="192.0.2.1"), "192.0.2.1"),
        (DNSRR(rrname=name, type="AAAA", rdata="2001:db8::1"), "2001:db8::1"),
        (DNSRR(rrname=name, type="CNAME", rdata="cdn.example."), "cdn.example"),
        (DNSRR(rrname=name, type="NS", rdata="ns.example."), "ns.example"),
        (DNSRR(rrname=name, type="PTR", rdata="host.example."), "host.example"),
        (DNSRR(rrname=name, type="TXT", rdata=[b"v=spf1", b"-all"]), "v=spf1 -all"),
        (DNSRRMX(rrname=name, preference=10, exchange="mx.example."), "10 mx.example"),
        (DNSRRSOA(rrname=name, mname="ns.example.", rname="admin.example.", serial=1, refresh=2, retry=3, expire=4,
                  minimum=5), "ns.example admin.example 1 2 3 4 5"),
        (DNSRRSRV(rrname=name, priority=1, weight=2, port=88, target="dc.example."), "1 2 88 dc.example"),
        (DNSRRDS(rrname=name, keytag=12, algorithm=8, digesttype=2, digest=b"\1\2"), "12 8 2 0102"),
        (service, "1 . alpn=h2,h3"),
        (DNSRR(rrname=name, type=65_280, rdata=b"\xab\xcd"), "abcd"),
    ]  # fmt: skip
    for record, text in records:
        fields = dns.dissect(answer(record))
        assert fields is not None
        assert_fits_dictionary(fields)
        assert fields["dns.answers.data"] == [text], record
        assert fields["dns.answers.ttl"] == [0]
        assert fields["dns.answers.class"] == ["IN"]
    fields = dns.dissect(answer(*(record for record, _ in records)))
    assert fields is not None
    assert fields["dns.answers.data"] == [text for _, text in records]
    assert fields["dns.resolved_ip"] == ["192.0.2.1", "2001:db8::1"]
    kinds = fields["dns.answers.type"]
    assert isinstance(kinds, list)
    assert kinds[-2:] == ["HTTPS", "TYPE65280"]


def test_other_types_by_hand() -> None:
    head = bytes.fromhex("000185800000000100000000") + b"\0"

    def read(kind: int, data: bytes) -> object:
        fields = dns.dissect(
            head + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
        )
        assert fields is not None
        return fields["dns.answers.data"]

    assert read(257, b"\0\x05issueletsencrypt.org") == ['0 issue "letsencrypt.org"']
    assert read(35, b"\0\1\0\2\1s\7SIP+D2U\0\3sip\0") == ['1 2 "s" "SIP+D2U" "" sip']
    assert read(256, b"\0\1\0\2http://a") == ['1 2 "http://a"']
    assert read(52, b"\3\1\1\xaa\xbb") == ["3 1 1 aabb"]
    assert read(44, b"\4\2\xaa") == ["4 2 aa"]
    assert read(48, b"\1\1\3\x08\xaa") == ["257 3 8 aa"]
    assert read(47, b"\1b\0\0\6\x40\1\0\0\0\3") == ["b A MX RRSIG NSEC"]
    assert read(46, b"\0\1\x08\2\0\0\0\1\0\0\0\2\0\0\0\3\0\4\1a\0sig") == ["A 8 2 1 2 3 4 a"]
    assert read(64, b"\0\0\1t\0") == ["0 t"]
    assert read(65, b"\0\1\0\0\4\0\4\xc0\0\2\1\0\3\0\2\1\xbb") == ["1 . ipv4hint=192.0.2.1 port=443"]
    assert read(28, b"\0" * 12 + b"\1\2\3\4") == ["::102:304"]
    assert read(28, b"\0" * 10 + b"\xff\xff\1\2\3\4") == ["1.2.3.4"]
    for kind in (1, 6, 15, 16, 28, 33, 35, 43, 44, 46, 47, 48, 52, 64, 65, 256, 257):
        assert read(kind, b"") == [""]


def test_edns_and_upper_bits_of_the_code() -> None:
    made = DNS(id=1, qr=1, rcode=0, qd=DNSQR(qname="a."), ar=DNSRROPT(z=0x8000, extrcode=1))
    fields = dns.dissect(bytes(made))
    assert fields is not None
    assert fields["dns.response_code"] == "BADVERS"
    assert fields["dns.header_flags"] == ["RD", "DO"]
    assert fields["event.outcome"] == "failure"


def test_cut_message_gives_whole_records() -> None:
    whole = answer(*(DNSRR(rrname="school.example.", ttl=n, rdata=f"192.0.2.{n}") for n in range(4)))
    fields = dns.dissect(whole[:-3])
    assert fields is not None
    assert fields["dns.answers.ttl"] == [0, 1, 2]


def test_many_records_are_bounded() -> None:
    record = b"\xc0\x0c\0\x10\0\1\0\0\0\1\0\1\0"
    payload = (
        QUERY[:2] + b"\x81\x80\0\1" + (5_000).to_bytes(2, "big") + b"\0\0\0\0" + QUERY[12:] + record * 5_000
    )
    fields = dns.dissect(payload)
    assert fields is not None
    assert len(fields["dns.answers.name"]) == MAX_RECORDS  # type: ignore[arg-type]


def test_other_protocols_are_not_dns() -> None:
    for payload in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\1\0\xa5\1\0\0\xa1\3\3" + b"\x55" * 160,
                    b"SSH-2.0-OpenSSH_9.6\r\n", b"\xff" * 40, b"\0" * 12):  # fmt: skip
        assert dns.dissect(payload) is None


def test_mdns_takes_additional_records_and_drops_top_bits() -> None:
    made = DNS(
        id=0, qr=1, aa=1, qd=[],
        an=[DNSRR(rrname="_http._tcp.local.", type="PTR", rdata="班班通._http._tcp.local.".encode())],
        ar=[DNSRR(rrname="cam.local.", rclass=0x8001, type="A", rdata="10.0.0.9")],
    )  # fmt: skip
    fields = mdns.dissect(bytes(made))
    assert fields is not None
    assert fields["network.protocol"] == "mdns"
    assert fields["dns.answers.data"] == ["班班通._http._tcp.local", "10.0.0.9"]
    assert fields["dns.answers.class"] == ["IN", "IN"]
    asked = mdns.dissect(
        bytes(DNS(id=0, qd=[DNSQR(qname="a.local.", qclass=0x8001), DNSQR(qname="b.local.")]))
    )
    assert asked is not None
    assert asked["dns.question.class"] == "IN"
    assert asked["edusoc.extra"] == ["dns.question.also=b.local A"]


def test_llmnr() -> None:
    fields = llmnr.dissect(bytes.fromhex("12340000000100000000 0000".replace(" ", "")) + b"\4wpad\0\0\1\0\1")
    assert fields is not None
    assert (fields["network.protocol"], fields["dns.question.name"]) == ("llmnr", "wpad")
    assert "dns.question.registered_domain" not in fields
    assert llmnr.dissect(bytes.fromhex("123428000001000000000000") + b"\4wpad\0\0\1\0\1") is None


@given(st.binary(max_size=600))
def test_any_bytes(payload: bytes) -> None:
    for dissect in (dns.dissect, mdns.dissect, llmnr.dissect):
        fields = dissect(payload)
        if fields is not None:
            assert_fits_dictionary({k: v for k, v in fields.items() if v != []})


@given(st.data())
def test_damaged_messages(data: st.DataObject) -> None:
    whole = bytearray(
        answer(DNSRRMX(rrname="school.example.", exchange="mx.example."), DNSRRSOA(rrname="a.b."))
    )
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    fields = dns.dissect(bytes(whole))
    if fields is not None:
        lists = [value for name, value in fields.items() if name.startswith("dns.answers.")]
        assert len({len(value) for value in lists if isinstance(value, list)}) <= 1
        assert_fits_dictionary(fields)


def test_stream_gives_up_what_is_no_dns_and_finds_the_place_after_a_gap() -> None:
    framed = len(QUERY).to_bytes(2, "big") + QUERY
    stream = dns.DnsStream()
    assert stream.feed(0, 0, 1, b"GET / HTTP/1.1\r\n\r\n") == []
    assert stream.feed(0, 18, 1, framed) == []
    found = stream.feed(0, 5_000, 2, framed)
    assert [(message.offset, message.time_us) for message in found] == [(5_000, 2)]
    whole = answer(*(DNSRR(rrname="school.example.", rdata=f"192.0.2.{n}") for n in range(2)))
    assert stream.feed(1, 0, 3, len(whole).to_bytes(2, "big") + whole[:-1]) == []
    (message,) = stream.close()
    assert message.fields["dns.answers.data"] == ["192.0.2.0"]
    assert stream.close() == []
