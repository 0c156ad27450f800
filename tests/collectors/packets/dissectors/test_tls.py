from __future__ import annotations

import hashlib
import subprocess

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.tls.crypto.suites import _tls_cipher_suites

from collectors.packets.dissectors.tls import TlsStream
from collectors.packets.dissectors.tls_certificate import certificate_fields, describe
from collectors.packets.dissectors.tls_hello import (
    Shape,
    fingerprints,
    parse_client_hello,
    parse_server_hello,
)
from collectors.packets.dissectors.tls_tables import GREASE, cipher_name, cipher_names
from tests.collectors.base import assert_fits_dictionary
from tests.collectors.packets.dissectors.conversations import (
    TIME_US,
    Pieces,
    all_conversations,
    dissect,
    feed,
)

TLS = {name: pieces for name, (protocol, pieces) in all_conversations().items() if protocol == "tls"}
CHROME = Shape(
    0x0303,
    (0x1A1A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F,
     0x35),
    (0x2A2A, 0x1B, 0, 0x33, 0x10, 0x4469, 0x17, 0x2D, 0x0D, 5, 0x23, 0x12, 0x2B, 0xFF01, 0x0B, 0x0A, 0x15, 0x3A3A),
    (0x4A4A, 29, 23, 24),
    (0,),
    (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
    (0x5A5A, 0x0304, 0x0303),
    (b"h2", b"http/1.1"),
)  # fmt: skip


def certificate() -> bytes:
    """Return the certificate in the server's first flight: in the record after the ServerHello's."""
    answer = TLS["tls12"][1][1]
    at = 5 + int.from_bytes(answer[3:5], "big") + 5
    assert answer[at] == 11
    size = int.from_bytes(answer[at + 7 : at + 10], "big")
    return answer[at + 10 : at + 10 + size]


def shape(**changes: object) -> Shape:
    values = {name: getattr(CHROME, name) for name in Shape.__slots__}
    return Shape(**{**values, **changes})  # type: ignore[arg-type]


def test_ja4_of_the_reference() -> None:
    # FoxIO, technical_details/JA4.md: the example worked through there
    assert fingerprints(CHROME).ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("protocol", "shown"),
    [(b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"\x30\xab", "3b"), (b"\x30\x31\xab\xcd", "3d"),
     (b"\x30\xab\xcd\x31", "01"), (b"h2", "h2"), (b"http/1.1", "h1"), (b"x", "xx"), (b"", "00")],
)  # fmt: skip
def test_ja4_protocol_of_the_reference(protocol: bytes, shown: str) -> None:
    assert fingerprints(shape(protocols=(protocol,))).ja4[8:10] == shown


def test_ja4_edges_of_the_reference() -> None:
    assert fingerprints(shape(signatures=())).ja4.endswith("_6d807ffa2a79")
    assert fingerprints(shape(protocols=())).ja4[8:10] == "00"
    assert fingerprints(shape(extensions=(0, 16))).ja4.endswith("02h2_8daaf6152771_000000000000")
    assert fingerprints(shape(extensions=())).ja4.startswith("t13i1500")
    assert fingerprints(shape(ciphers=tuple(range(0x100, 0x200)))).ja4[4:6] == "99"
    assert fingerprints(shape(ciphers=(0x1A1A,))).ja4[11:23] == "000000000000"
    versions = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 2: "s2", 0x0999: "00"}
    for number, shown in versions.items():
        assert fingerprints(shape(versions=(number, 0x0A0A))).ja4[1:3] == shown
        assert fingerprints(shape(version=number, versions=())).ja4[1:3] == shown


def test_ja3_of_the_reference() -> None:
    # Salesforce, ja3 README: the two examples
    first = Shape(
        769,
        (47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4),
        (0, 10, 11),
        (23, 24, 25),
        (0,),
        (),
        (),
        (),
    )
    assert fingerprints(first).ja3 == "ada70206e40642a3e4461f35503241d5"
    second = Shape(769, (4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99), (), (), (), (), (), ())
    assert fingerprints(second).ja3 == "de350869b8c85de67a350c8d186f11e6"


def test_cipher_names_agree_with_others() -> None:
    ours = cipher_names()
    left_out = ("SSL_CK", "_OLD")
    for number, name in _tls_cipher_suites.items():
        if not name.startswith(left_out[0]) and not name.endswith(left_out[1]):
            # IANA writes TLS_PSK_DHE for two of them
            assert ours[number] in (name, name.replace("DHE_PSK", "PSK_DHE"))
    assert cipher_name(0xE013) == "TLS_ECC_SM4_CBC_SM3"
    assert cipher_name(0x9999) == "0x9999"
    assert len(GREASE) == 16
    assert max(GREASE) == 0xFAFA


def test_openssl_agrees_on_the_certificate() -> None:
    (message,) = dissect("tls", TLS["tls12"])
    der = certificate()
    assert message.fields["tls.server.hash.sha256"] == hashlib.sha256(der).hexdigest()
    shown = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-serial", "-fingerprint", "-sha1"],
        input=der, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert f"serial={message.fields['tls.server.x509.serial_number']}" in shown
    assert shown.strip().replace(":", "").lower().endswith(str(message.fields["tls.server.hash.sha1"]))
    assert x509.load_der_x509_certificate(der).serial_number == 0x0ABC


def test_retry_keeps_both_fingerprints_and_the_second_answer() -> None:
    (message,) = dissect("tls", TLS["tls13_retry"])
    fields = message.fields
    again = fields["edusoc.extra"]
    assert isinstance(again, list)
    assert str(again[0]).startswith("tls.client.ja4=t13i0411h2")
    assert (fields["tls.curve"], fields["tls.established"], fields["tls.version"]) == (
        "secp384r1",
        True,
        "1.3",
    )
    assert "tls.server.ja3s" in fields


def test_retry_is_found_when_the_client_is_fed_first() -> None:
    pieces = TLS["tls13_retry"]
    ordered: Pieces = [*(p for p in pieces if p[0] == 0), *(p for p in pieces if p[0] == 1)]
    (message,) = dissect("tls", ordered)
    assert "edusoc.extra" in message.fields


def test_refusals() -> None:
    (message,) = dissect("tls", TLS["tls12_refused"])
    assert message.fields["edusoc.tls.alerts"] == ["unknown_ca"]
    assert message.fields["tls.established"] is False
    (message,) = dissect("tls", TLS["tls12_to_13_only"])
    assert message.fields["edusoc.tls.alerts"] == ["protocol_version"]
    assert "tls.version" not in message.fields


def test_event_comes_as_soon_as_the_handshake_is_through() -> None:
    stream = TlsStream()
    found = []
    at = [0, 0]
    for side, data in TLS["tls12"]:
        found += stream.feed(side, at[side], TIME_US, data)
        at[side] += len(data)
        if found:
            break
    assert stream.done
    assert len(found) == 1
    assert stream.feed(0, at[0], TIME_US, b"\x16\3\1\0\5hello") == []
    assert stream.close() == []


def test_what_the_capture_does_not_show_is_not_said() -> None:
    only_client = [piece for piece in TLS["tls12"] if piece[0] == 0]
    (message,) = dissect("tls", only_client)
    assert not {"tls.established", "tls.version", "event.outcome"} & message.fields.keys()
    cut: Pieces = [TLS["tls12"][0], (1, TLS["tls12"][1][1][:-10])]
    (message,) = dissect("tls", cut)
    assert "tls.established" not in message.fields
    assert message.fields["tls.server.subject"]


def test_certificate_whose_chain_is_cut_is_read() -> None:
    hello, answer = TLS["tls12"][0], TLS["tls12"][1][1]
    der = certificate()
    (message,) = dissect("tls", [hello, (1, answer[: answer.index(der) + len(der)])])
    assert message.fields["tls.server.x509.public_key_size"] == 256


def test_old_hello() -> None:
    hello = (
        bytes.fromhex("802e0100020015000000100100800300800700c0060040020080040080") + b"\0\0\4" + b"c" * 16
    )
    (message,) = dissect("tls", [(0, hello)])
    assert message.fields["tls.client.supported_ciphers"] == ["TLS_RSA_WITH_RC4_128_MD5"]
    assert str(message.fields["tls.client.ja4"]).startswith("ts2i0100")


def test_chinese_tlcp() -> None:
    body = b"\x01\x01" + b"r" * 32 + b"\0" + b"\0\2\xe0\x13" + b"\1\0"
    hello = b"\x16\1\1" + (len(body) + 4).to_bytes(2, "big") + b"\1" + len(body).to_bytes(3, "big") + body
    body = b"\x01\x01" + b"s" * 32 + b"\0" + b"\xe0\x13\0"
    answer = b"\x16\1\1" + (len(body) + 4).to_bytes(2, "big") + b"\2" + len(body).to_bytes(3, "big") + body
    (message,) = dissect("tls", [(0, hello), (1, answer)])
    fields = message.fields
    assert (fields["tls.version_protocol"], fields["tls.version"]) == ("tlcp", "1.1")
    assert fields["tls.cipher"] == "TLS_ECC_SM4_CBC_SM3"


def test_damaged_certificate_still_has_its_hashes() -> None:
    fields = certificate_fields(b"0\x03\x02\x01\x01", TIME_US)
    assert set(fields) == {f"tls.server.hash.{name}" for name in ("md5", "sha1", "sha256")}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_certificates_raise_nothing(data: st.DataObject) -> None:
    der = bytearray(certificate())
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    assert_fits_dictionary(certificate_fields(bytes(der), TIME_US))
    describe.cache_clear()


@given(st.binary(max_size=300))
def test_any_hello(body: bytes) -> None:
    for prefix in (b"", b"\3\3" + b"r" * 32 + b"\0\0\2\x13\1\1\0"):
        hello = parse_client_hello(prefix + body)
        if hello is not None:
            assert len(fingerprints(hello.shape).ja4) == 36
        parse_server_hello(prefix + body)


def test_piece_by_piece() -> None:
    whole = dissect("tls", TLS["tls13_retry"])
    single: Pieces = [
        (side, data[at : at + 1]) for side, data in TLS["tls13_retry"] for at in range(len(data))
    ]
    assert feed(TlsStream(), single) == whole
