"""Notice that rules changed while the pipeline runs, and let the new ones run without losing events or state.

What is set by unit takes effect through the policy by itself. Files are looked at here: the rules are loaded and
compiled beside the running ones and swapped between two chunks. A change that breaks a rule that runs is not taken
over: the old rules go on, and that is said until the files are right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from detectors.sigma import SigmaDetector
from detectors.sigma.model import RuleSet
from intake.health import Finding, Findings
from intake.pipeline import Detectors, Pipeline
from intake.rules.counting import put_costs
from intake.rules.library import RuleLibrary, Shelf, lost_files
from intake.rules.model import STREAM
from intake.rules.policy import RulePolicy
from intake.rules.running import Run, put_fault, put_run
from soc_core.audit.journal import revision_of
from soc_core.clock import Clock, format_instant
from soc_core.errors import EdusocError, StoreError

LOG: Final = logging.getLogger("edusoc.rules")
NAMED: Final = 5
Build = Callable[[RuleSet], Detectors]
"""Make all detectors of an installation around a rule set."""


class RuleWatch:
    """Keep a pipeline's rules up to date."""

    def __init__(
        self, library: RuleLibrary, pipeline: Pipeline, policy: RulePolicy, build: Build, clock: Clock
    ) -> None:
        """Take what rules are read from and what runs them; nothing runs before ``begin``."""
        self.library, self._pipeline, self._policy = library, pipeline, policy
        self._database, self._build, self._clock = policy.database, build, clock
        self._shelf: Shelf | None = None
        self._refused = ""
        self._off: frozenset[str] = frozenset()
        self._revision = -1
        self._noted: dict[int, dict[str, tuple[int, int]]] = {}
        self.findings: Findings | None = None

    def begin(self) -> Shelf:
        """Load the rules for the first time and return them; what is broken is left out and named by ``rules list``."""
        shelf = self.library.load()
        self._take(shelf)
        return shelf

    def look(self) -> bool:
        """Take over what changed; return whether other rules run now. Never raises for rules that can't be used."""
        shelf = self._shelf
        if shelf is None:
            return False
        fingerprint = self.library.fingerprint()
        if fingerprint not in {shelf.fingerprint, self._refused}:
            return self._change(shelf, fingerprint)
        if fingerprint == shelf.fingerprint and self._refused:
            self._refused = ""
            self._say("")
        if self._switched(shelf):
            self._take(shelf)
            return True
        return False

    def note_costs(self) -> None:
        """Add what rules cost since the last time to the table; called by the thread that detects."""
        detectors = [item for item in self._pipeline.detectors.events if isinstance(item, SigmaDetector)]
        grown: dict[str, tuple[int, int]] = {}
        for detector in detectors:
            before = self._noted.get(id(detector), {})
            found = detector.costs()
            for rule_id, (cpu_us, judged) in found.items():
                known = before.get(rule_id, (0, 0))
                grown[rule_id] = (cpu_us - known[0], judged - known[1])
            self._noted = {id(detector): found}
        grown = {rule_id: cost for rule_id, cost in grown.items() if cost[1] > 0}
        if grown:
            with self._database.write() as connection:
                put_costs(connection, grown, format_instant(self._clock()))

    def _change(self, shelf: Shelf, fingerprint: str) -> bool:
        """Load what changed; ``fingerprint`` is from before, so that what changes meanwhile is looked at again."""
        try:
            found = self.library.load()
            broken = lost_files(shelf.rules, found.rules)
            if broken or (shelf.rules.everything and not found.rules.everything):
                raise EdusocError(_named(broken) or "no rule is left")
            self._take(found)
        except StoreError:
            raise
        except Exception as error:  # a rule may break its compiler in ways nobody foresaw; the old ones go on
            LOG.debug("changed rules can't be used", exc_info=True)
            self._refused = fingerprint
            self._say(str(error) or type(error).__name__)
            return False
        self._refused = ""
        return True

    def _switched(self, shelf: Shelf) -> bool:
        """Tell whether rules were switched off or on everywhere, so that others need evaluating."""
        with self._database.read() as connection:
            revision = revision_of(connection, STREAM)
        if revision == self._revision:
            return False
        self._revision = revision
        return self._off_now(shelf) != self._off

    def _off_now(self, shelf: Shelf) -> frozenset[str]:
        standings = self._policy.standings()
        return frozenset(rule.id for rule in shelf.rules.everything if standings.is_off_everywhere(rule.id))

    def _take(self, shelf: Shelf) -> None:
        """Compile and let run; the pipeline goes on with the old rules meanwhile."""
        with self._database.read() as connection:
            revision = revision_of(connection, STREAM)
        before, self._policy.defaults = self._policy.defaults, shelf.defaults
        try:
            off = self._off_now(shelf)
            detectors = self._build(without(shelf.rules, off))
        except BaseException:
            self._policy.defaults = before
            raise
        self._pipeline.replace(detectors)
        self._shelf, self._off, self._revision = shelf, off, revision
        fatal = sum(problem.fatal for problem in shelf.rules.problems)
        at = format_instant(self._clock())
        run = Run(detectors.cursor, self._revision, shelf.fingerprint, at, len(shelf.rules.everything), fatal)
        with self._database.write() as connection:
            put_run(connection, run)

    def _say(self, fault: str) -> None:
        with self._database.write() as connection:
            put_fault(connection, self._pipeline.cursor, fault, now=self._clock())
        if not fault:
            LOG.warning("the rules are in order again")
            return
        LOG.warning("changed rules are not taken over: %s", fault)
        if self.findings is not None:
            self.findings.report(Finding("rules_broken", "", "rules", agent_name="rules", reason=fault))


def without(rules: RuleSet, off: frozenset[str]) -> RuleSet:
    """Return the rules that need evaluating: those that are off everywhere are left out, but feed correlations."""
    if not off:
        return rules
    kept = tuple(rule for rule in rules.rules if rule.id not in off or not rule.alone)
    correlations = tuple(rule for rule in rules.correlations if rule.id not in off or not rule.alone)
    return RuleSet.of(kept, correlations, rules.problems, rules.filters)


def _named(places: object) -> str:
    found = list(places) if isinstance(places, list | tuple) else []
    more = f" (+{len(found) - NAMED})" if len(found) > NAMED else ""
    return ("a rule that runs is broken now: " + ", ".join(found[:NAMED]) + more) if found else ""
