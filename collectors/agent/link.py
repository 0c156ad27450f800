"""Hold the uplink of an agent: one connection and one sending thread, begun, ended and begun anew."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from collectors.agent.identity import Identity, agent_key
from collectors.agent.spool import Spool
from collectors.uplink.asking import Asker, CentreTime, Signer
from collectors.uplink.connection import Centre, Connection
from collectors.uplink.numbers import RequestNumbers
from collectors.uplink.pacing import Outside, Plan
from collectors.uplink.parcels import Parcels
from collectors.uplink.sender import LinkState, Listener, Sender

END_SECONDS: Final = 4.0
NUMBERS: Final = "request-number"


class Link:
    """Send in a thread of its own while there is a centre."""

    def __init__(self, spool: Spool, state: Path, listener: Listener, outside: Outside) -> None:
        """Take what is sent, and who hears of the link."""
        self._spool, self._state, self._listener, self._outside = spool, state, listener, outside
        self.time = CentreTime(outside)
        self.parcels: Parcels | None = None
        """What orders asked for; set before the link begins."""
        self._sender: Sender | None = None
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def state(self) -> LinkState | None:
        """Return how the link is; ``None`` without one."""
        return None if self._sender is None else self._sender.state

    def begin(self, identity: Identity, centre: Centre, plan: Plan) -> None:
        """Begin to send. Raises ``UsageError`` for an address or a CA that can't be used."""
        self._connection = Connection(identity.centre(self._state, centre))
        signer = Signer(identity.agent, agent_key(self._state))
        numbers = RequestNumbers(self._state / NUMBERS)
        asker = Asker(self._connection, signer, numbers, self.time, self._outside)
        self._sender = Sender(self._spool, asker, plan, self._listener, self._outside)
        self._sender.parcels.parcels = self.parcels
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._sender.run, args=(self._stop,), name="uplink", daemon=True
        )
        self._thread.start()

    def end(self) -> bool:
        """Stop sending; tell whether the thread ended (a request may hang longer than we wait)."""
        self._stop.set()
        self._spool.changed.set()
        if self._thread is not None:
            self._thread.join(END_SECONDS)
        ended = self._thread is None or not self._thread.is_alive()
        if self._connection is not None and ended:
            self._connection.close()
        self._thread = self._connection = self._sender = None
        return ended
