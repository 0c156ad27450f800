"""Hold what codes for joining promise: they travel by hand, typing errors are told, foreign centres are seen."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import InputError, UsageError
from soc_core.keys.signing import SigningKey
from soc_core.uplink.enrolment import ALPHABET, EnrolAnswer, EnrolmentCode, EnrolRequest

CERTIFICATE = b"a certificate"


def test_a_code_survives_being_typed() -> None:
    code = EnrolmentCode.make(CERTIFICATE)
    assert len(code.text) == 39
    wide = "".join(chr(ord(char) + 0xFEE0) for char in code.text)
    for typed in (code.text, code.text.lower(), code.text.replace("-", " "), wide, f" {code.text}\n"):
        assert EnrolmentCode.parse(typed) == code
    assert EnrolmentCode.parse(code.text.replace("0", "O").replace("1", "l")) == code


@given(place=st.integers(0, 31), letter=st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_told(place: int, letter: str) -> None:
    letters = EnrolmentCode("ABCDEFGHJKMN", "0123456789ABCDEF").text.replace("-", "")
    typed = letters[:place] + letter + letters[place + 1 :]
    if typed == letters:
        return
    with pytest.raises(UsageError, match="typing error"):
        EnrolmentCode.parse(typed)


@pytest.mark.parametrize("text", ["", "ABCD", "A" * 33, "U" * 32, "中" * 32])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="letters"):
        EnrolmentCode.parse(text)


def test_a_code_knows_its_centre() -> None:
    code = EnrolmentCode.make(CERTIFICATE)
    assert code.fits(CERTIFICATE)
    assert not code.fits(b"another certificate")
    assert EnrolmentCode.make(CERTIFICATE).secret != code.secret
    assert EnrolmentCode.make(CERTIFICATE).secret_hash != code.secret_hash


def test_a_request_proves_its_key() -> None:
    code, key = EnrolmentCode.make(CERTIFICATE), SigningKey(os.urandom(32))
    request = EnrolRequest.make(code, key, name="探针", version="1", system="Linux")
    assert EnrolRequest.decode(request.encode()) == request
    assert request.code.secret_hash == code.secret_hash
    foreign = SigningKey(os.urandom(32)).public.text
    forged = request.encode().replace(key.public.text.encode(), foreign.encode())
    with pytest.raises(InputError, match="not signed with its key"):
        EnrolRequest.decode(forged)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"secret": 1}', b"\xff"])
def test_malformed_messages_are_refused(body: bytes) -> None:
    for kind in (EnrolRequest, EnrolAnswer):
        with pytest.raises(InputError):
            kind.decode(body)


def test_an_answer_travels() -> None:
    answer = EnrolAnswer("a1", "u1", "某学校", "校园网", "ed25519:x", "", "2026-11-24T04:00:00.000000Z")
    assert EnrolAnswer.decode(answer.encode()) == answer
