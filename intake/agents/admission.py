"""Decide who may send: the checks of a request before its body is read, cheapest first.

The number is used up in the database before anything else happens, so a recorded request never passes again, not even
after a crash; an honest retry has a number of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from intake.agents import repository
from intake.agents.model import Agent, AgentState
from intake.agents.quotas import Quotas
from intake.agents.refusing import RefusedError
from intake.health import Finding, Findings
from soc_core.clock import Clock, parse_instant
from soc_core.errors import InputError, UsageError
from soc_core.keys.signing import PublicKey
from soc_core.state.database import Database
from soc_core.uplink import answers
from soc_core.uplink.wire import RECORDS, Sealed, read_envelope

KEY_REFUSED: Final = "agent_key_refused"
REPLAY: Final = "agent_replay"
QUOTA: Final = "agent_quota"
MOST_SKEW: Final = timedelta(days=1)
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Admitted:
    """Hold a request that may bring its body."""

    agent: Agent
    sealed: Sealed
    path: str
    address: str
    skew_ms: int

    @property
    def epoch(self) -> str:
        """Return the life of the agent's log."""
        return self.sealed.envelope.epoch


class Gate:
    """Admit requests; threads may share it."""

    def __init__(self, database: Database, findings: Findings, quotas: Quotas, clock: Clock) -> None:
        """Take where agents are kept, where refusals are told, and what an agent may send."""
        self._database = database
        self._findings = findings
        self._quotas = quotas
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: set[tuple[str, str]] = set()
        self._used: dict[str, deque[int]] = {}
        self._refused: dict[str, int] = {}

    def enter(self, headers: Mapping[str, str], path: str, address: str) -> Admitted:
        """Return the request when it may bring its body; ``leave`` must follow. Raises ``RefusedError``."""
        try:
            sealed = read_envelope(headers)
        except InputError as error:
            raise RefusedError(answers.MALFORMED, error.what) from error
        with self._database.read() as connection:
            agent = repository.get_agent(connection, sealed.envelope.agent)
        if agent is None:
            self._strange(address, "an agent that is not enrolled here")
            raise RefusedError(answers.UNKNOWN)
        admitted = Admitted(agent, sealed, path, address, self._skew_ms(sealed))
        self._check(admitted)
        if path == RECORDS and (wait := self._quotas.wait(agent, self._clock())):
            self._tell(admitted, QUOTA, "the agent sent more than it may")
            raise RefusedError(answers.QUOTA, wait=wait)
        with self._lock:
            if (agent.id, path) in self._inside:
                raise RefusedError(answers.BUSY, wait=1)
            self._inside.add((agent.id, path))
        try:
            self._use_number(admitted)
        except BaseException:
            self.leave(admitted)
            raise
        return admitted

    def leave(self, admitted: Admitted) -> None:
        """Let the agent's next request of this path in."""
        with self._lock:
            self._inside.discard((admitted.agent.id, admitted.path))

    def check_body(self, admitted: Admitted, body: bytes) -> None:
        """Raise ``RefusedError`` unless the body is the one that was signed."""
        if not admitted.sealed.holds(body):
            self._tell(admitted, REPLAY, "the body is not the one that was signed")
            raise RefusedError(answers.MALFORMED)

    def _check(self, admitted: Admitted) -> None:
        """Check key, state and time; a request that is older than the last one is looked at more closely."""
        agent, envelope = admitted.agent, admitted.sealed.envelope
        try:
            signed = admitted.sealed.is_from(PublicKey.parse(agent.public_key), admitted.path)
        except UsageError:  # a row that somebody changed by hand
            signed = False
        if not signed:
            self._tell(admitted, KEY_REFUSED, "a request in the agent's name was not signed by its key")
            raise RefusedError(answers.UNKNOWN)
        if agent.state is AgentState.REVOKED:
            self._tell(admitted, KEY_REFUSED, "the agent's key was revoked")
            raise RefusedError(answers.REVOKED)
        if envelope.number <= agent.last_number:
            self._refuse_number(admitted, agent.last_number)
        if abs(admitted.skew_ms) > MOST_SKEW / timedelta(milliseconds=1):
            raise RefusedError(answers.CLOCK)

    def _use_number(self, admitted: Admitted) -> None:
        number = admitted.sealed.envelope.number
        with self._database.write() as connection:
            used = repository.use_number(connection, admitted.agent.id, number)
            repository.count(connection, admitted.agent.id, refused=self._refused.pop(admitted.agent.id, 0))
            now_known = None if used else repository.get_agent(connection, admitted.agent.id)
        if not used:
            self._refuse_number(admitted, now_known.last_number if now_known else number)
        with self._lock:
            self._used.setdefault(admitted.agent.id, deque(maxlen=_REMEMBERED)).append(number)

    def _refuse_number(self, admitted: Admitted, last: int) -> None:
        """Refuse a number below the last; two requests that overtook each other are no attack."""
        number = admitted.sealed.envelope.number
        with self._lock:
            recent = self._used.get(admitted.agent.id, ())
            overtaken = bool(recent) and number > min(recent) and number not in recent
        if not overtaken:
            self._tell(admitted, REPLAY, "the request's number was used before")
        raise RefusedError(answers.REPLAYED, number=last)

    def _skew_ms(self, sealed: Sealed) -> int:
        """Return how far the sender's clock is ahead of ours; a text that is no time is far away."""
        try:
            sent = parse_instant(sealed.envelope.time)
        except (ValueError, OverflowError) as error:
            raise RefusedError(answers.MALFORMED, "the request's headers are malformed") from error
        return (sent - self._clock()) // timedelta(milliseconds=1)

    def _tell(self, admitted: Admitted, action: str, reason: str) -> None:
        agent = admitted.agent
        with self._lock:  # written with the agent's next request: a flood must not cost a transaction each
            self._refused[agent.id] = self._refused.get(agent.id, 0) + 1
        self._findings.report(
            Finding(
                action=action,
                organization_id=agent.organization_id,
                subject=agent.id,
                zone=agent.zone,
                agent_name=agent.name,
                address=admitted.address,
                reason=reason,
            )
        )

    def _strange(self, address: str, reason: str) -> None:
        subject = self._findings.stranger(address)
        self._findings.report(Finding(KEY_REFUSED, "", subject, address=address, reason=reason))
