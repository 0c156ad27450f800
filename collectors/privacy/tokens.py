"""Make the tokens that stand for personal values.

A school's token is the value itself, enciphered with a key that never leaves the school (AES-SIV, RFC 5297, which is
deterministic: one value, one token): ``user~0a1b…``. Nothing has to be remembered, and who holds the key can turn it
back. A correlation token is an HMAC-SHA256 (RFC 2104) under the bureau's key, which its agents are given: the same
person gets the same one in every school, and nobody can turn it back; who steals the bureau's key can try out names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from soc_core.errors import UsageError

USER: Final = "user"
NAME: Final = "name"
MAIL: Final = "mail"
ID: Final = "id"
CITIZEN: Final = "citizen"
STUDENT: Final = "student"
PHONE: Final = "phone"
DEVICE: Final = "device"
KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        USER: ("账号", "account"),
        NAME: ("姓名", "name"),
        MAIL: ("邮箱", "mail address"),
        ID: ("用户编号", "user id"),
        CITIZEN: ("身份证号", "identity number"),
        STUDENT: ("学号或学籍号", "student number"),
        PHONE: ("手机号", "mobile number"),
        DEVICE: ("设备", "device"),
    }
)
"""Kinds of personal values by the word in front of the token, in Chinese and English."""
MARK: Final = "~"
KEY_BYTES: Final = 32
_LONGEST: Final = 96
"""Bytes of a value that can be turned back; a longer one is no name and gets a digest."""
_DIGEST: Final = "0"
_CIPHER: Final = "1"
_CACHED: Final = 20_000


class Tokens:
    """Make tokens under the school's key and, where the bureau gave one, its key."""

    def __init__(self, school_key: bytes, bureau_key: bytes = b"") -> None:
        """Take the keys, 32 bytes each. Raises ``UsageError`` for another length."""
        if len(school_key) != KEY_BYTES or len(bureau_key) not in {0, KEY_BYTES}:
            raise UsageError("a privacy key has 32 bytes", todo="remove the damaged key and enrol again")
        self._cipher = AESSIV(school_key)
        self._digest_key = hashlib.sha256(b"edusoc-token-digest" + school_key).digest()
        self._bureau_key = bureau_key
        # One a set of tokens: caches must not outlive a key.
        self.token = lru_cache(_CACHED)(self._token)
        self.correlation = lru_cache(_CACHED)(self._correlation)

    def _token(self, kind: str, value: str) -> str:
        """Return the token of a value: ``kind~`` and lower-case base32hex letters."""
        raw = value.encode("utf-8", "surrogatepass")
        if len(raw) > _LONGEST:
            return f"{kind}{MARK}{_DIGEST}{_letters(hmac.digest(self._digest_key, raw, 'sha256')[:16])}"
        return f"{kind}{MARK}{_CIPHER}{_letters(self._cipher.encrypt(raw, [kind.encode()]))}"

    def _correlation(self, kind: str, value: str) -> str:
        """Return the correlation token, empty without a bureau's key; case, width and spaces around don't matter."""
        if not self._bureau_key:
            return ""
        plain = unicodedata.normalize("NFKC", value).strip().casefold()
        message = kind.encode() + b"\0" + plain.encode("utf-8", "surrogatepass")
        return f"{kind}{MARK}{_letters(hmac.digest(self._bureau_key, message, 'sha256')[:13])}"

    def reveal(self, token: str) -> str:
        """Return the value of a token of this school. Raises ``UsageError`` when it is none or of a long value.

        Whoever calls it has made sure that it is approved, and writes down that it was done.
        """
        kind, _, text = token.partition(MARK)
        if kind not in KINDS or not text.startswith(_CIPHER):
            raise UsageError("this token can't be turned back", where=token[:80])
        padded = text[1:].upper() + "=" * (-len(text[1:]) % 8)
        try:
            raw = self._cipher.decrypt(base64.b32hexdecode(padded), [kind.encode()])
        except (InvalidTag, ValueError):
            raise UsageError(
                "this token was not made with the key of this school", where=token[:80]
            ) from None
        return raw.decode("utf-8", "surrogatepass")


def is_token(value: str) -> bool:
    """Tell whether a value looks like a token: it is not replaced again."""
    kind, mark, rest = value.partition(MARK)
    return bool(mark) and kind in KINDS and len(rest) > 16


def _letters(raw: bytes) -> str:
    return base64.b32hexencode(raw).decode("ascii").rstrip("=").lower()
