"""Keys are made once and kept safe; signatures are RFC 8032's and hold for one message and one key."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import StoreError, UsageError
from soc_core.keys.signing import PublicKey, SigningKey

SEEDS = st.binary(min_size=32, max_size=32)


def test_it_is_the_standards_algorithm() -> None:
    """RFC 8032 section 7.1, test 2."""
    key = SigningKey(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.public.raw.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(SEEDS, SEEDS, st.binary(max_size=200), st.binary(max_size=200))
def test_a_signature_holds_for_its_message_and_key(
    seed: bytes, other: bytes, message: bytes, text: bytes
) -> None:
    key = SigningKey(seed)
    signature = key.sign(message)
    assert key.public.verifies(message, signature)
    assert key.public.verifies(text, signature) == (text == message)
    assert SigningKey(other).public.verifies(message, signature) == (other == seed)
    assert PublicKey.parse(key.public.text) == key.public


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_garbage_verifies_nothing(message: bytes, signature: bytes) -> None:
    assert not SigningKey(bytes(32)).public.verifies(message, signature)
    assert not PublicKey(bytes(32)).verifies(message, signature) or len(signature) == 64


@given(st.text(max_size=80))
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no public key"):
        PublicKey.parse(text)


def test_a_key_is_made_once_by_whoever_is_first(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "agent.key"
    found: list[bytes] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        found.append(SigningKey.at(path).public.raw)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["agent.key"]
    assert SigningKey.at(path).public.raw == found[0]


@pytest.mark.parametrize(
    "content", [b"", b"ed25519", b"ed25519 12", b"rsa " + b"0" * 64, b"\xff\xfe", b"ed25519 " + b"z" * 64]
)
def test_a_damaged_file_is_said_so_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.key"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        SigningKey.at(path)
    assert path.read_bytes() == content


def test_fingerprints_are_for_people() -> None:
    assert SigningKey(bytes(32)).public.fingerprint.count("-") == 3
