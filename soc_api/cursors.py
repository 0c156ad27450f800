"""Sign keyset cursors, so that a client can only continue pages we gave it, for the same question."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import orjson

from soc_core.errors import UsageError
from soc_core.keys.store import KeyStore

SIGNATURE_BYTES = 16


def seal(keys: KeyStore, question: str, values: Sequence[str | int]) -> str:
    """Return the cursor text for ``values``; it is valid only for the same ``question``."""
    body = orjson.dumps(list(values))
    signature = keys.sign("cursors", question.encode() + b"\0" + body)[:SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(signature + body).decode("ascii").rstrip("=")


def unseal(keys: KeyStore, question: str, cursor: str) -> list[str | int]:
    """Return the values of a cursor; raise ``UsageError`` when it is not ours or of another question."""
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        data = b""
    signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if not body or not keys.verify("cursors", question.encode() + b"\0" + body, signature):
        raise UsageError("the cursor is not valid for this question", todo="start again without a cursor")
    values: list[str | int] = orjson.loads(body)
    return values
