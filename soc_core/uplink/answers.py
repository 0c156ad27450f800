"""Say what the centre answers an agent: what it has made durable, its time, orders; or why it refuses.

All answers are JSON objects. Both sides pass over names they don't know, so that either may be newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from soc_core.errors import InputError

MALFORMED: Final = "malformed"
"""Headers or body can't be read, or are not what was signed (400): trying again is no use."""
CODE: Final = "code"
"""The enrolment code is unknown, used or expired (403)."""
UNKNOWN: Final = "unknown"
"""No such agent, or not signed by its key (401)."""
REVOKED: Final = "revoked"
"""The agent's key was revoked (403): it must be enrolled anew."""
CLOCK: Final = "clock"
"""The request's time is more than a day from ours (401): ``time`` is ours, sign anew with it."""
REPLAYED: Final = "replayed"
"""The number is not above the last one (409): ``number`` is the last one."""
QUOTA: Final = "quota"
"""The agent sent more than it may (429): wait as ``Retry-After`` says."""
BUSY: Final = "busy"
"""The centre can't take it now (503): wait as ``Retry-After`` says."""
TOO_LARGE: Final = "too_large"
"""The body is larger than agreed (413)."""
STATUS: Final[Mapping[str, int]] = {
    MALFORMED: 400,
    CODE: 403,
    UNKNOWN: 401,
    REVOKED: 403,
    CLOCK: 401,
    REPLAYED: 409,
    QUOTA: 429,
    BUSY: 503,
    TOO_LARGE: 413,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """Acknowledge records: everything below ``mark`` in the request's epoch is durable, the log may forget it.

    ``bad`` events of the request were kept aside at the centre. ``time`` is the centre's, canonical; ``orders`` are the
    texts of ``soc_core.uplink.orders`` that wait for the agent. A heartbeat is answered likewise.
    """

    mark: int
    time: str
    orders: Sequence[str] = ()
    bad: int = 0

    def encode(self) -> bytes:
        """Return the answer's body."""
        body = {"mark": self.mark, "time": self.time, "orders": list(self.orders), "bad": self.bad}
        return orjson.dumps(body)

    @classmethod
    def decode(cls, body: bytes) -> Receipt:
        """Return the receipt of an answer. Raises ``InputError`` when it is none."""
        found = _object(body)
        mark, time, bad = found.get("mark"), found.get("time"), found.get("bad", 0)
        orders = found.get("orders", [])
        if not isinstance(mark, int) or not isinstance(time, str) or not isinstance(bad, int):
            raise InputError("the centre's answer can't be understood")
        listed = orders if isinstance(orders, list) else []
        return cls(mark, time, tuple(text for text in listed if isinstance(text, str)), bad)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say why a request is refused: ``kind`` is one of the above, ``what`` says it in English, for a person.

    ``number`` and ``time`` help the agent to do better; ``wait`` is in seconds.
    """

    kind: str
    what: str
    time: str = ""
    number: int = 0
    wait: int = 0

    def encode(self) -> bytes:
        """Return the answer's body."""
        body = {
            "error": self.kind,
            "what": self.what,
            "time": self.time,
            "number": self.number,
            "wait": self.wait,
        }
        return orjson.dumps({name: value for name, value in body.items() if value})

    @classmethod
    def decode(cls, body: bytes) -> Refusal:
        """Return the refusal of an answer; what is none (a proxy's page) has the kind ``busy``."""
        try:
            found = _object(body)
        except InputError:
            found = {}
        kind, what, time = (str(found.get(name, "")) for name in ("error", "what", "time"))
        number, wait = (
            value if isinstance(value, int) else 0 for value in (found.get("number"), found.get("wait"))
        )
        if kind not in STATUS:
            return cls(BUSY, what or "the answer is not the centre's", wait=wait)
        return cls(kind, what, time, number, wait)


def _object(body: bytes) -> Mapping[str, object]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise InputError("the centre's answer can't be understood")
    return found
