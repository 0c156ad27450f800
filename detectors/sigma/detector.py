"""Judge events one by one by Sigma rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detectors.sigma.matcher import Matcher
from detectors.sigma.model import DEFAULT_ENTITY, Head, RuleSet, SigmaRule
from detectors.sigma.reasons import explain
from soc_core.model.detection import Detection, Entity, make_detection_id
from soc_core.model.event import EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event, values_of

RULE_KIND: Final = "sigma"
DEFAULT_ZONE: Final = "default"
NOBODY: Final = Entity("host", "?")


class SigmaDetector:
    """Be the event detector of a rule set: rules that only feed correlations say nothing here."""

    id = "sigma"

    def __init__(self, rules: RuleSet) -> None:
        """Compile the rules."""
        self._rules = [rule for rule in rules.rules if rule.alone]
        self._matcher = Matcher(self._rules)

    def detect(self, events: Sequence[Event]) -> list[Detection]:
        """Return the detections of a batch in event order, then in the order of the rules."""
        match = self._matcher.match
        return [make_detection(rule, event) for event in events for rule in match(event)]

    def costs(self) -> dict[str, tuple[int, int]]:
        """Return by rule id what judging took since this was made: µs, and how many events; estimated from a sample."""
        return {
            self._rules[number].id: (round(cost.seconds * 1e6), cost.judged)
            for number, cost in self._matcher.costs().items()
        }


def make_detection(rule: SigmaRule, event: Event) -> Detection:
    """Return the detection of ``rule`` on one event."""
    head = rule.head
    entity = entity_of(head, event)
    organization_id = str(event.get(ORGANIZATION_ID, ""))
    event_id, instant = str(event.get(EVENT_ID, "")), str(event.get(TIMESTAMP, ""))
    return Detection(
        id=make_detection_id(head.id, organization_id, entity, event_id),
        rule_id=head.id,
        rule_kind=RULE_KIND,
        kind=head.kind,
        organization_id=organization_id,
        entity=entity,
        severity=head.severity,
        first_seen=instant,
        last_seen=instant,
        reasons=explain(rule.detection, event),
        evidence=(event_id,),
        peer=peer_of(head, event),
        techniques=head.techniques,
    )


def entity_of(head: Head, event: Event) -> Entity:
    """Return what a detection on this event is about: the first of the rule's fields, or of the usual ones, it has.

    An access log does not know its own address, for example, so there it is the client's.
    """
    zone = str(event.get(ZONE, DEFAULT_ZONE))
    for field in (*head.entity, *DEFAULT_ENTITY):
        values = values_of(event, field)
        if values:
            return Entity(kind_of(field), str(values[0]), zone)
    return Entity(NOBODY.kind, NOBODY.value, zone)


def peer_of(head: Head, event: Event) -> str:
    """Return the other side, empty where the rule names none, the event has none, or it is the entity itself."""
    about = entity_of(head, event).value
    found = next((str(values[0]) for field in head.peer if (values := values_of(event, field))), "")
    return "" if found == about else found


def kind_of(field: str) -> str:
    """Return the kind of entity that a field's values name."""
    if field.endswith((".ip", ".resolved_ip")):
        return "ip"
    if field.startswith("user.") or ".user." in field:
        return "user"
    if field.startswith(("dns.", "tls.", "url.")) or field.endswith(".domain"):
        return "domain"
    return "host"
