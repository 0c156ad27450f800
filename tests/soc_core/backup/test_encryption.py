from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soc_core.backup.encryption import (
    HEADER_BYTES,
    TAG_BYTES,
    EncryptingWriter,
    Header,
    decrypted,
    derive,
    file_header,
    manifest_header,
    random_key,
    read_header,
)
from soc_core.errors import StoreError, UsageError

KEY = bytes(range(32))
SMALL = 16


def small() -> Header:
    made = file_header()
    return Header(made.derivation, made.cost, SMALL, made.salt, made.prefix)


def encrypt(parts: list[bytes]) -> bytes:
    sink = io.BytesIO()
    writer = EncryptingWriter(sink, KEY, small())
    for part in parts:
        writer.write(part)
    writer.finish()
    return sink.getvalue()


def decrypt(data: bytes, key: bytes = KEY) -> bytes:
    stream = io.BytesIO(data)
    return b"".join(decrypted(stream, key, read_header(stream, "file"), "file"))


@given(st.lists(st.binary(max_size=70), max_size=6))
def test_comes_back_as_it_was(parts: list[bytes]) -> None:
    assert decrypt(encrypt(parts)) == b"".join(parts)


@given(st.binary(max_size=80), st.data())
@settings(max_examples=200)
def test_a_changed_bit_anywhere_is_noticed(body: bytes, data: st.DataObject) -> None:
    sealed = bytearray(encrypt([body]))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreError):
        decrypt(bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, SMALL, SMALL + 1, 3 * SMALL])
def test_a_missing_end_is_noticed_wherever_it_was_cut(length: int) -> None:
    sealed = encrypt([bytes(length)])
    for size in range(len(sealed)):
        with pytest.raises(StoreError):
            decrypt(sealed[:size])
    with pytest.raises(StoreError):
        decrypt(sealed + b"\0")


def test_another_order_is_noticed() -> None:
    sealed = encrypt([b"a" * SMALL + b"b" * SMALL + b"c" * SMALL])
    size = SMALL + TAG_BYTES
    head, body = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert decrypt(head + b"".join(chunks)) == b"a" * SMALL + b"b" * SMALL + b"c" * SMALL
    for other in ([1, 0, 2], [0, 2], [0, 0, 1, 2], [2]):
        with pytest.raises(StoreError):
            decrypt(head + b"".join(chunks[number] for number in other))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(StoreError, match="damaged or the passphrase"):
        decrypt(encrypt([b"secret"]), random_key())


def test_a_passphrase_gives_one_key_per_salt() -> None:
    cheap = Header(1, (4, 8, 1), SMALL, b"s" * 16, b"p" * 7)
    other = Header(1, (4, 8, 1), SMALL, b"t" * 16, b"p" * 7)
    assert derive("青禾县 第一中学".encode(), cheap) == derive("青禾县 第一中学".encode(), cheap)
    assert derive(b"correct horse battery", cheap) != derive(b"correct horse battery", other)
    with pytest.raises(UsageError, match="too short"):
        derive(b"short", cheap)


def test_scrypt_agrees_with_rfc_7914() -> None:
    # Section 12, third vector but for its length: N=16384, r=8, p=1.
    header = Header(1, (14, 8, 1), SMALL, b"SodiumChloride".ljust(16, b"\0"), b"p" * 7)
    vector = Header(1, (14, 8, 1), SMALL, b"SodiumChloride", b"p" * 7)
    assert derive(b"pleaseletmein", vector).hex().startswith("7023bdcb3afd7348461c06cd81fd38eb")
    assert derive(b"pleaseletmein", header) != derive(b"pleaseletmein", vector)


def test_a_header_can_not_ask_for_all_memory() -> None:
    dear = Header(1, (40, 8, 1), SMALL, bytes(16), bytes(7)).encode()
    with pytest.raises(StoreError, match="header"):
        read_header(io.BytesIO(dear), "file")
    assert read_header(io.BytesIO(manifest_header().encode()), "file").cost == (17, 8, 1)
