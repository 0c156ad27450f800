"""Load all rules of an installation, and again when they change: our own or the site's folder, and imported sets.

Looking whether something changed costs a look at names, sizes and times; contents are read only then.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.sigma.cached import load_rules_cached
from detectors.sigma.files import find_files
from detectors.sigma.mapping import bundled_rules
from detectors.sigma.model import RuleSet, Words
from detectors.sigma.units import Units
from intake.rules.model import Defaults
from intake.rules.sets import RuleSets
from intake.rules.standings import states_at_start
from intake.units import KnownUnits, nobody
from soc_core.config import Settings

CACHE: Final = "cache"
LOOK_SECONDS: Final = 5.0
"""A reader of texts looks no more often whether rules changed."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Hold the rules as they were at one time: ``fingerprint`` changes with any file of theirs.

    ``origins`` names the imported set of each foreign rule; others are the program's or the site's own.
    """

    rules: RuleSet
    fingerprint: str
    defaults: Defaults
    origins: dict[str, str]


class RuleLibrary:
    """Know where an installation's rules are, load them, and give their texts (``cases.alerts.card.RuleBook``)."""

    def __init__(
        self, settings: Settings, units: KnownUnits = nobody, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the settings, and what tells of the units that filters and placeholders name; nothing is read yet."""
        self._units = units
        self._signed: tuple[Units, bytes] | None = None
        self._own = Path(settings.rules) if settings.rules else bundled_rules()
        self._state = settings.state_directory
        self.sets = RuleSets(self._state)
        self._now = now
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None
        self._looked = 0.0

    @property
    def paths(self) -> list[Path]:
        """Return the folders in the order in which their rules win: our own, then the newest set."""
        return [self._own, *self.sets.directories()]

    @property
    def own(self) -> Path:
        """Return the folder of the program's or the site's own rules."""
        return self._own

    def fingerprint(self) -> str:
        """Return what changes when a rule file or a set does, or what rules know of the units."""
        digest = hashlib.blake2b(digest_size=16)
        for name in _signs(self._own):
            digest.update(name.encode("utf-8", "surrogatepass"))
        digest.update(repr(self.sets.state()).encode())
        digest.update(self._sign(self._units()))
        return digest.hexdigest()

    def _sign(self, units: Units) -> bytes:
        """Return a digest of what is known of the units, made anew when that is another object."""
        signed = self._signed
        if signed is None or signed[0] is not units:
            text = repr(units).encode("utf-8", "surrogatepass")
            signed = self._signed = (units, hashlib.blake2b(text, digest_size=16).digest())
        return signed[1]

    def load(self) -> Shelf:
        """Load everything as it is now; rules with problems are left out and stand among the problems."""
        fingerprint, paths = self.fingerprint(), self.paths
        rules = load_rules_cached(paths, self._state / CACHE, units=self._units(), walled=paths[1:])
        origins = self._origins(rules)
        heads = {rule.id: (rule.head.severity, rule.head.status) for rule in rules.everything}
        ours = {id_: head for id_, head in heads.items() if id_ not in origins}
        foreign = {id_: head for id_, head in heads.items() if id_ in origins}
        states = states_at_start(ours, foreign=False) | states_at_start(foreign, foreign=True)
        return Shelf(rules, fingerprint, Defaults(states), origins)

    def _origins(self, rules: RuleSet) -> dict[str, str]:
        folders = [(f"{self.sets.directory(info)}{os.sep}", info.name) for info in self.sets.all()]
        return {
            rule.id: name
            for rule in rules.everything
            for folder, name in folders
            if rule.head.file.startswith(folder)
        }

    def current(self) -> Shelf:
        """Return the rules, loaded again when they changed; threads may share this."""
        with self._lock:
            now = self._now()
            if self._shelf is None or (
                now - self._looked >= LOOK_SECONDS and self.fingerprint() != self._shelf.fingerprint
            ):
                self._shelf = self.load()
            self._looked = now if now - self._looked >= LOOK_SECONDS else self._looked
            return self._shelf

    def describe(self, rule_id: str, language: str) -> Words | None:
        """Return a rule's texts, or ``None`` for an unknown rule."""
        return self.current().rules.describe(rule_id, language)


def _signs(directory: Path) -> Iterator[str]:
    """Yield names, sizes and times of the files rules are read from."""
    for file in find_files([directory], []):
        try:
            known = file.stat()
        except OSError:
            continue
        yield f"{file}\0{known.st_size}\0{known.st_mtime_ns}\n"


def lost_files(before: RuleSet, after: RuleSet) -> Sequence[str]:
    """Return ``file:line`` of what is broken now in files whose rules ran: such a change is not taken over."""
    ran = {rule.head.file for rule in before.everything}
    return [
        item.where
        for item in after.problems
        if item.fatal and item.file in ran and item not in before.problems
    ]
