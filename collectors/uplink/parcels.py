"""Send what orders asked for and is too large for an event: one signed request each, whatever the hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collectors.uplink.asking import Asker, RefusedError
from collectors.uplink.pacing import LONGEST_WAIT, Outside, Pauses
from soc_core.errors import EdusocError
from soc_core.uplink.answers import MALFORMED, TOO_LARGE, Receipt
from soc_core.uplink.packets import packets_path


class Parcels(Protocol):
    """Hold parcels by the number of their order."""

    def waiting(self) -> Sequence[int]:
        """Return the orders whose parcels wait, lowest first."""
        ...

    def body(self, number: int) -> bytes:
        """Return the body that is sent for an order."""
        ...

    def sent(self, number: int) -> None:
        """Forget what the centre has, or doesn't want."""
        ...


class ParcelSender:
    """Send parcels from the uplink's thread; that one can't be sent holds nothing else up."""

    def __init__(self, asker: Asker, outside: Outside) -> None:
        """Take what asks the centre; parcels come later."""
        self._asker, self._outside = asker, outside
        self._pauses, self._at = Pauses(outside.chance), 0.0
        self.parcels: Parcels | None = None
        self.bytes_sent = 0

    def next(self) -> tuple[int, bytes] | None:
        """Return the order and body to send now, ``None`` when there is nothing to do."""
        if self.parcels is None or self._outside.monotonic() < self._at:
            return None
        waiting = self.parcels.waiting()
        return (waiting[0], self.parcels.body(waiting[0])) if waiting else None

    def send(self, number: int, body: bytes, epoch: str) -> Receipt | None:
        """Send one; return the receipt, ``None`` when it failed and is tried again after a pause."""
        try:
            receipt = self._asker.ask(packets_path(number), epoch, body)
        except RefusedError as error:
            if error.refusal.kind in {MALFORMED, TOO_LARGE}:
                self._forget(number)  # asked for no more, or not like this: sending it again is no use
            self._later(min(error.wait, LONGEST_WAIT))
        except EdusocError:
            self._later(0.0)
        else:
            self._pauses.worked()
            self.bytes_sent += len(body)
            self._forget(number)
            return receipt
        return None

    def _forget(self, number: int) -> None:
        if self.parcels is not None:
            self.parcels.sent(number)

    def _later(self, wait: float) -> None:
        self._at = self._outside.monotonic() + max(self._pauses.failed(), wait)
