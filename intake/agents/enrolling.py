"""Let agents join: give out codes, and take an agent that shows one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from intake.agents import repository
from intake.agents.model import Agent, NewCode
from intake.agents.refusing import RefusedError
from intake.agents.watching import begin
from intake.health import Finding, Findings
from soc_core.clock import Clock, format_instant
from soc_core.errors import InputError
from soc_core.keys.signing import SigningKey
from soc_core.model.organisation import Organisation
from soc_core.organisations.repository import load_tree, today
from soc_core.printing import is_printable
from soc_core.state.database import Database
from soc_core.uplink import answers
from soc_core.uplink.enrolment import EnrolAnswer, EnrolmentCode, EnrolRequest

CODE_REFUSED: Final = "agent_code_refused"
MOST_FAILURES: Final = 20
WINDOW: Final = timedelta(minutes=10)
MOST_ADDRESSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Trust:
    """Hold what a new agent is given: the key that signs orders, the certificate (PEM) of our CA, the bureau's key.

    ``correlation_key`` makes tokens of the same person the same in all schools (``collectors.privacy``).
    """

    order_key: SigningKey
    authority: str
    correlation_key: bytes = field(default=b"", repr=False)


def give_code(
    connection: Connection,
    certificate: bytes,
    units: Sequence[Organisation],
    wanted: NewCode,
    *,
    now: datetime,
) -> EnrolmentCode:
    """Return a new code; its secret is not kept. The first of ``units`` is the agent's own."""
    code = EnrolmentCode.make(certificate)
    repository.forget_codes(connection, now=now)
    kept = NewCode(
        organization_id=units[0].id,
        zone=wanted.zone,
        expires_at=wanted.expires_at,
        also=[unit.id for unit in units[1:]],
        below=wanted.below,
        name=wanted.name,
    )
    repository.add_code(connection, code.secret_hash, kept, now=now)
    return code


class Registrar:
    """Enrol agents; threads may share it. Guessing codes is slowed down by address."""

    def __init__(self, database: Database, trust: Trust, findings: Findings, clock: Clock) -> None:
        """Take where agents are kept and what they are told."""
        self._database = database
        self._trust = trust
        self._findings = findings
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, deque[datetime]] = {}

    def check_address(self, address: str) -> None:
        """Raise ``RefusedError`` when an address guessed too often, before its body is read."""
        now = self._clock()
        with self._lock:
            failed = self._failures.get(address, deque())
            while failed and failed[0] <= now - WINDOW:
                failed.popleft()
            if len(failed) >= MOST_FAILURES:
                raise RefusedError(answers.BUSY, wait=int(WINDOW.total_seconds()))

    def enrol(self, body: bytes, address: str) -> EnrolAnswer:
        """Return what a new agent is told. Raises ``RefusedError`` for a code that is not good, ``InputError``."""
        request = EnrolRequest.decode(body)
        name = request.name[:128].strip()
        if not name or not is_printable(name):
            raise InputError("the request to join is malformed", todo="update the agent")
        now = self._clock()
        asked = Agent(
            id="",
            name=name,
            organization_id="",
            zone="",
            public_key=request.public_key,
            version=request.version[:128],
            platform=request.system[:128],
        )
        with self._database.write() as connection:
            agent = repository.enrol(connection, request.code.secret_hash, asked, now=now)
            if agent is not None:
                begin(connection, agent.id, now)
                unit = load_tree(connection, today(now)).units.get(agent.organization_id)
        if agent is None:
            self._fail(address, now)
            raise RefusedError(answers.CODE)
        return EnrolAnswer(
            agent=agent.id,
            organization_id=agent.organization_id,
            organization_name=unit.name if unit else agent.organization_id,
            zone=agent.zone,
            order_key=self._trust.order_key.public.text,
            ca=self._trust.authority,
            time=format_instant(now),
            correlation_key=self._trust.correlation_key.hex(),
        )

    def _fail(self, address: str, now: datetime) -> None:
        with self._lock:
            if len(self._failures) >= MOST_ADDRESSES:
                self._failures.clear()
            self._failures.setdefault(address, deque(maxlen=MOST_FAILURES)).append(now)
        subject = self._findings.stranger(address)
        reason = "the code is unknown, used or expired"
        self._findings.report(Finding(CODE_REFUSED, "", subject, address=address, reason=reason))
