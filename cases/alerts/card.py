"""Put an alert into words a person can act on: where, which device, what happened, why we think so, what to do.

The card is made when it is shown, in the reader's language, from the alert, its detections, the unit and the asset. A
Sigma rule brings its own texts; other detectors' texts stand in ``cases/messages.toml`` under ``cases.kinds``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cases.alerts.model import Alert
from soc_core import i18n
from soc_core.clock import LOCAL_ZONE, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.detection import Detection, Reason
from soc_core.model.organisation import Asset
from soc_core.organisations.repository import OrganisationTree
from soc_core.reasons import reason_text

MAX_REASONS = 8
MAX_EVIDENCE = 100


class RuleWords(Protocol):
    """Hold a rule's texts in one language; lists may be empty."""

    @property
    def title(self) -> str:
        """Return the rule's name."""
        ...

    @property
    def description(self) -> str:
        """Return what it means."""
        ...

    @property
    def falsepositives(self) -> Sequence[str]:
        """Return harmless causes."""
        ...

    @property
    def triage(self) -> str:
        """Return how to judge it."""
        ...

    @property
    def steps(self) -> Sequence[str]:
        """Return what the school should do."""
        ...

    @property
    def graded_protection(self) -> Sequence[str]:
        """Return GB/T 22239-2019 clause ids."""
        ...


class RuleBook(Protocol):
    """Give the texts of Sigma rules."""

    def describe(self, rule_id: str, language: str) -> RuleWords | None:
        """Return the rule's texts, or ``None`` for an unknown rule."""
        ...


@dataclass(frozen=True, slots=True)
class Duty:
    """Hold the three duty holders of an asset, and the unit's contact; empty where not recorded."""

    supervisor: str = ""
    operator: str = ""
    user: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class AlertCard:
    """Hold everything a person needs to act on an alert, in one language. Times stay canonical UTC text."""

    alert: Alert
    language: str
    title: str
    sentence: str
    unit: str
    unit_path: tuple[str, ...]
    device: str
    device_known: bool
    description: str
    reasons: tuple[str, ...]
    falsepositives: tuple[str, ...]
    triage: str
    steps: tuple[str, ...]
    duty: Duty
    techniques: tuple[str, ...]
    graded_protection: tuple[str, ...]
    evidence: tuple[str, ...]


class CardMaker:
    """Make cards in one language."""

    def __init__(self, tree: OrganisationTree, rules: RuleBook, language: str) -> None:
        """Take the units as of today and the rules' texts."""
        self._tree = tree
        self._rules = rules
        self.language = language
        i18n.load("cases")
        i18n.load("detectors")

    def title(self, alert: Alert) -> str:
        """Return the alert's name."""
        words = self._words(alert)
        return words.title if words is not None else self._say(alert.kind, "title") or alert.kind

    def unit(self, alert: Alert) -> str:
        """Return the unit's name."""
        unit = self._tree.units.get(alert.organization_id)
        if unit is None:
            return alert.organization_id
        return unit.name_en if self.language == "en" else unit.name

    def device(self, alert: Alert, asset: Asset | None) -> str:
        """Return what the alert is about: the asset's name, place and address, or just the address."""
        value = alert.entity.value
        if alert.entity.kind == "rule":
            return self._rule(value)
        if asset is None:
            return value
        name = asset.name_en if self.language == "en" and asset.name_en else asset.name
        place = f" · {asset.location}" if asset.location else ""
        return i18n.text("cases.card.device", self.language, name=name, place=place, address=value)

    def make(self, alert: Alert, found: Sequence[Detection], asset: Asset | None) -> AlertCard:
        """Return the whole card."""
        words = self._words(alert)
        title, device = self.title(alert), self.device(alert, asset)
        unit = self._tree.units.get(alert.organization_id)
        say = self._say
        return AlertCard(
            alert=alert,
            language=self.language,
            title=title,
            sentence=self._sentence(alert, title, device),
            unit=self.unit(alert),
            unit_path=tuple(
                place.name_en if self.language == "en" else place.name
                for place in self._tree.path(alert.organization_id)
            ),
            device=device,
            device_known=asset is not None,
            description=words.description if words else say(alert.kind, "description"),
            reasons=self._reasons(found),
            falsepositives=tuple(
                words.falsepositives if words else _lines(say(alert.kind, "falsepositives"))
            ),
            triage=words.triage if words else say(alert.kind, "triage"),
            steps=tuple(words.steps if words else _lines(say(alert.kind, "steps"))),
            duty=Duty(
                supervisor=asset.supervisor if asset else "",
                operator=asset.operator if asset else "",
                user=asset.user if asset else "",
                contact=unit.people.get("contact", "") if unit else "",
            ),
            techniques=tuple(dict.fromkeys(name for item in found for name in item.techniques)),
            graded_protection=tuple(words.graded_protection if words else _lines(say(alert.kind, "graded"))),
            evidence=tuple(dict.fromkeys(id_ for item in found for id_ in item.evidence))[:MAX_EVIDENCE],
        )

    def _sentence(self, alert: Alert, title: str, device: str) -> str:
        first = parse_instant(alert.first_seen).astimezone(LOCAL_ZONE)
        key = "cases.card.sentence_peer" if alert.peer else "cases.card.sentence"
        return i18n.text(
            key,
            self.language,
            time=first.strftime("%Y-%m-%d %H:%M"),
            unit=self.unit(alert),
            device=device,
            title=title,
            peer=alert.peer,
            count=alert.event_count,
        )

    def _reasons(self, found: Sequence[Detection]) -> tuple[str, ...]:
        texts = (self._reason(reason) for item in found for reason in item.reasons)
        return tuple(dict.fromkeys(texts))[:MAX_REASONS]

    def _reason(self, reason: Reason) -> str:
        """Render a reason; a field of the dictionary is named in words, as people know it."""
        values = dict(reason.values)
        name = str(values.get("field", ""))
        known = FIELDS.get(name)
        if "rule" in values:
            values["rule"] = self._rule(str(values["rule"]))
        if "reason" in values:  # what the program said in English when it happened
            values["reason"] = reason_text(str(values["reason"]), self.language)
        if known is None and name:
            values["field"] = name.removeprefix("winlog.event_data.")
        if known is not None:
            values["field"] = known.en if self.language == "en" else known.zh
            if known.type == "boolean" and values.get("value") in {"true", "false"}:
                values["value"] = i18n.text(f"cases.card.{values['value']}", self.language)
        return i18n.text(reason.key, self.language, **values)

    def _rule(self, rule_id: str) -> str:
        """Return the name of a rule, or its id where nobody knows it; ``*`` are all together."""
        words = self._rules.describe(rule_id, self.language)
        if words is not None:
            return words.title
        key = "cases.card.all_rules" if rule_id == "*" else f"cases.kinds.{_spoken(rule_id)}.title"
        return i18n.text(key, self.language) if i18n.known(key) else rule_id

    def _words(self, alert: Alert) -> RuleWords | None:
        return self._rules.describe(alert.rule_id, self.language) if alert.rule_kind == "sigma" else None

    def _say(self, kind: str, part: str) -> str:
        key = f"cases.kinds.{_spoken(kind)}.{part}"
        return i18n.text(key, self.language) if i18n.known(key) else ""


def _spoken(kind: str) -> str:
    """Return the name under which a kind's texts stand: those of indicators name the indicator too."""
    return kind.rpartition(".")[0].replace(".", "_") if kind.startswith("indicator.") else kind


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
