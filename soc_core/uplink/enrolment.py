"""Say how an agent joins a centre: the one-time code that a person types, the request and its answer.

A code has eight groups of four letters (``AB3D-…``): twelve are the secret, sixteen the first 80 bits of the SHA-256
of the centre's TLS certificate, four a checksum. So the agent knows its centre before it sends the secret, and a typing
error is told at once. The letters are those of Crockford's base32: no I, L, O and U.

Request: JSON POSTed to ``wire.ENROL`` (unsigned by an envelope: the agent has no id yet; ``proof`` shows that it holds
the key). Answer: JSON with 200; or 403 and ``{"reason": text}`` when the code is unknown, used or too old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson

from soc_core.errors import InputError, UsageError
from soc_core.keys.signing import PublicKey, SigningKey

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRET_LETTERS: Final = 12
FINGERPRINT_LETTERS: Final = 16
_CHECK_LETTERS: Final = 4
_LETTERS: Final = SECRET_LETTERS + FINGERPRINT_LETTERS + _CHECK_LETTERS
_ALIKE: Final = str.maketrans({"I": "1", "L": "1", "O": "0"})
_SEPARATORS: Final = str.maketrans("", "", "-－—– \t\r\n　")


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """Hold a code's parts: the secret, and how the certificate's fingerprint begins; both as letters."""

    secret: str
    fingerprint: str

    @classmethod
    def make(cls, certificate: bytes) -> EnrolmentCode:
        """Return a new code for a centre with this certificate (DER)."""
        secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LETTERS))
        return cls(secret, certificate_letters(certificate))

    @classmethod
    def parse(cls, text: str) -> EnrolmentCode:
        """Return the code that was typed; raise ``UsageError`` when it can't be right."""
        letters = _half_width(text).translate(_SEPARATORS).upper().translate(_ALIKE)
        if len(letters) != _LETTERS or not set(letters) <= set(ALPHABET):
            raise UsageError(
                f"this code has {len(letters)} letters, or letters that no code has",
                todo="a code has eight groups of four letters and digits; copy it again",
            )
        body, check = letters[:-_CHECK_LETTERS], letters[-_CHECK_LETTERS:]
        if _checksum(body) != check:
            raise UsageError("the code has a typing error", todo="compare it letter by letter, or copy it")
        return cls(body[:SECRET_LETTERS], body[SECRET_LETTERS:])

    @property
    def text(self) -> str:
        """Return the code as people type it."""
        body = self.secret + self.fingerprint
        letters = body + _checksum(body)
        return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))

    @property
    def secret_hash(self) -> str:
        """Return what the centre keeps instead of the secret: its SHA-256 in hexadecimal."""
        return hashlib.sha256(b"edusoc-enrol-1\n" + self.secret.encode()).hexdigest()

    def fits(self, certificate: bytes) -> bool:
        """Tell whether a certificate (DER) is the one the code was made for."""
        return certificate_letters(certificate) == self.fingerprint


def certificate_letters(certificate: bytes) -> str:
    """Return how the SHA-256 of a certificate (DER) begins, as a code carries it."""
    return _letters(hashlib.sha256(certificate).digest(), FINGERPRINT_LETTERS)


def _checksum(body: str) -> str:
    return _letters(hashlib.sha256(b"edusoc-code-1\n" + body.encode()).digest(), _CHECK_LETTERS)


def _letters(digest: bytes, number: int) -> str:
    value = int.from_bytes(digest, "big") >> (len(digest) * 8 - number * 5)
    return "".join(ALPHABET[value >> shift & 31] for shift in range((number - 1) * 5, -1, -5))


def _half_width(text: str) -> str:
    """Return ``text`` with full-width letters and digits, as Chinese input methods type them, made plain."""
    return "".join(chr(ord(char) - 0xFEE0) if 0xFF01 <= ord(char) <= 0xFF5E else char for char in text)


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """Hold what an agent says of itself when it joins."""

    secret: str
    public_key: str
    name: str
    version: str
    system: str
    proof: str

    @classmethod
    def make(
        cls, code: EnrolmentCode, key: SigningKey, *, name: str, version: str, system: str
    ) -> EnrolRequest:
        """Return the request, with the proof that the sender holds the private key."""
        proof = base64.b64encode(key.sign(_proven(code.secret, key.public.text))).decode("ascii")
        return cls(code.secret, key.public.text, name, version, system, proof)

    def encode(self) -> bytes:
        """Return the request's body."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, body: bytes) -> EnrolRequest:
        """Return the request of a body whose proof holds; raise ``InputError`` otherwise."""
        request = cls(**_texts(body, cls.__slots__))
        try:
            proof = base64.b64decode(request.proof, validate=True)
            key = PublicKey.parse(request.public_key)
        except (binascii.Error, UsageError) as error:
            raise InputError("the request to join is malformed", todo="update the agent") from error
        if not key.verifies(_proven(request.secret, request.public_key), proof):
            raise InputError("the request to join is not signed with its key", todo="update the agent")
        return request

    @property
    def code(self) -> EnrolmentCode:
        """Return the code without its fingerprint: its ``secret_hash`` is what the centre looks up."""
        return EnrolmentCode(self.secret, "")


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """Hold what a centre says to an agent that joined: its id and place, the key that signs orders, the CA (PEM).

    Where ``ca`` is empty the agent goes on checking the certificate's fingerprint. ``correlation_key`` (hexadecimal)
    is the bureau's, for tokens that are the same in all its schools; a centre that gives none sends none.
    """

    agent: str
    organization_id: str
    organization_name: str
    zone: str
    order_key: str
    ca: str
    time: str
    correlation_key: str = field(default="", repr=False)

    def encode(self) -> bytes:
        """Return the answer's body."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, body: bytes) -> EnrolAnswer:
        """Return the answer of a body; raise ``InputError`` when it is none."""
        return cls(**_texts(body, cls.__slots__, optional=("correlation_key",)))


def _proven(secret: str, public_key: str) -> bytes:
    return f"edusoc-enrol-1\n{secret}\n{public_key}".encode()


def _texts(body: bytes, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the named texts of a JSON object; further ones, of newer versions, are passed over."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        value = dict.fromkeys(optional, "") | value
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in names):
        raise InputError("this is no message of joining a centre", todo="update agent and centre")
    return {name: value[name] for name in names}
