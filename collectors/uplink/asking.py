"""Ask the centre one thing at a time: sign, number, post, understand the answer, and learn from it.

What is learnt: the centre's time (also when our clock jumps: kept against a clock that doesn't), the last number it has
seen, its orders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from collectors.uplink.connection import Connection
from collectors.uplink.numbers import RequestNumbers
from collectors.uplink.pacing import Outside
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import InputError
from soc_core.keys.signing import SigningKey
from soc_core.uplink.answers import BUSY, CLOCK, QUOTA, REPLAYED, STATUS, TOO_LARGE, Receipt, Refusal
from soc_core.uplink.wire import Envelope

TRIES: Final = 3
"""A request is tried again at once so often where the answer says how to do better."""
FAR_OFF: Final = timedelta(hours=23)
"""A clock further off than this is set right for signing: the centre refuses a whole day."""


class CentreTime:
    """Tell the centre's time. Our own until we heard from it."""

    def __init__(self, outside: Outside) -> None:
        """Take our clock, and one that never jumps."""
        self._clock, self._monotonic = outside.clock, outside.monotonic
        self._heard: tuple[datetime, float] | None = None

    def hear(self, text: str, sent: float) -> None:
        """Take the time of an answer to a request that was sent at ``sent`` (monotonic)."""
        now = self._monotonic()
        try:
            self._heard = parse_instant(text) + timedelta(seconds=(now - sent) / 2), now
        except (ValueError, OverflowError):
            return

    def __call__(self) -> datetime:
        """Return what the centre's clock shows now, as far as we know."""
        if self._heard is None:
            return self._clock()
        instant, at = self._heard
        return instant + timedelta(seconds=self._monotonic() - at)

    @property
    def known(self) -> bool:
        """Tell whether we heard from the centre."""
        return self._heard is not None

    @property
    def offset(self) -> timedelta:
        """Return how far the centre's clock is ahead of ours."""
        return self() - self._clock()


@dataclass(frozen=True, slots=True)
class Signer:
    """Say who asks: the agent's id and key."""

    agent: str
    key: SigningKey


class RefusedError(InputError):
    """Report that the centre refused a request: why, and how long it wants us to wait (seconds, 0: not said)."""

    def __init__(self, refusal: Refusal, wait: float) -> None:
        """Take what the centre said."""
        super().__init__(f"the centre refuses: {refusal.what}")
        self.refusal, self.wait = refusal, wait


class Asker:
    """Send signed requests. For one thread.

    ``rolled_back`` is called when our state turns out to be an old copy: the centre knows numbers we never gave out.
    """

    def __init__(
        self,
        connection: Connection,
        identity: Signer,
        numbers: RequestNumbers,
        time: CentreTime,
        outside: Outside,
    ) -> None:
        """Take the parts."""
        self._connection, self._identity, self._numbers = connection, identity, numbers
        self._time, self._outside = time, outside
        self.rolled_back: Callable[[], None] = lambda: None

    def ask(self, path: str, epoch: str, body: bytes) -> Receipt:
        """Return the receipt. Raises ``LinkError`` without an answer, ``RefusedError`` for a refusal.

        ``InputError`` says that what answered is no centre. A wrong number or time is mended and tried again at once.
        """
        left = TRIES
        while True:
            left -= 1
            sent = self._outside.monotonic()
            answer = self._connection.post(path, self._headers(path, epoch, body), body)
            if answer.status == 200:
                receipt = Receipt.decode(answer.body)
                self._time.hear(receipt.time, sent)
                return receipt
            refusal = _refusal(answer.status, answer.body)
            if refusal.time:
                self._time.hear(refusal.time, sent)
            if not self._mend(refusal) or not left:
                raise RefusedError(refusal, max(answer.retry_after, float(refusal.wait)))

    def _headers(self, path: str, epoch: str, body: bytes) -> dict[str, str]:
        now = self._time() if abs(self._time.offset) > FAR_OFF else self._outside.clock()
        envelope = Envelope(self._identity.agent, epoch, self._numbers.following(), format_instant(now))
        return {
            "Content-Type": "application/octet-stream",
            **envelope.headers(path, body, self._identity.key),
        }

    def _mend(self, refusal: Refusal) -> bool:
        """Learn from a refusal; tell whether asking again at once may help."""
        if refusal.kind == CLOCK:
            return bool(refusal.time)
        if refusal.kind == REPLAYED and refusal.number:
            if self._numbers.raise_to(refusal.number):
                self.rolled_back()
                return False  # what was to be sent belongs to another epoch now
            return True
        return False


def _refusal(status: int, body: bytes) -> Refusal:
    """Return why a request was refused; where a proxy answers in the centre's place, its status says it."""
    refusal = Refusal.decode(body)
    if STATUS.get(refusal.kind) == status:
        return refusal
    by_status = {413: TOO_LARGE, 429: QUOTA}.get(status, BUSY)
    return Refusal(by_status, f"the answer's status is {status}", wait=refusal.wait)
