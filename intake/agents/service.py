"""Put the parts of intake together: what the application for agents and the pipeline process call."""

from __future__ import annotations

from collections.abc import Callable

from intake.agents import watching
from intake.agents.admission import Gate
from intake.agents.enrolling import Registrar, Trust
from intake.agents.quotas import Quota, Quotas
from intake.agents.receiving import Receiver
from intake.health import Findings
from intake.pipeline import Pipeline
from soc_core.clock import Clock
from soc_core.organisations.repository import load_tree, today
from soc_core.state.database import Database


class Intake:
    """Take agents in and what they send; threads may share it."""

    def __init__(
        self, pipeline: Pipeline, database: Database, trust: Trust, quota: Quota, clock: Clock
    ) -> None:
        """Take the one pipeline, where agents are kept, what new ones are told, and the usual quota."""
        self._database = database
        self.clock = clock
        # A signature is the same whenever it is made, and only who has the key can make it.
        secret = trust.order_key.sign(b"edusoc-findings-1")
        self.findings = Findings(pipeline, clock, self._home, secret)
        quotas = Quotas(quota)
        self.gate = Gate(database, self.findings, quotas, clock)
        self.receiver = Receiver(pipeline, database, self.findings, quotas, clock)
        self.registrar = Registrar(database, trust, self.findings, clock)

    def look(self) -> int:
        """Say which agents are silent; return how many had to be looked at."""
        return watching.look(self._database, self.findings, self.clock())

    def on_taken(self, call: Callable[[], None]) -> None:
        """Call this after events were stored."""
        self.receiver.taken = call

    def _home(self) -> str:
        """Return the centre's own unit, the first root of the tree; empty when there are no units yet."""
        with self._database.read() as connection:
            roots = load_tree(connection, today(self.clock())).children(None)
        return roots[0].id if roots else ""
