"""Say what the demo found: alerts in plain words, the labels' verdict, and which units' data is there.

The same ``Report`` is printed for people and, with ``--json``, for programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cases.alerts.card import AlertCard, CardMaker
from cases.alerts.model import Status
from collectors.reasons import reason_text
from edusoc.demo.build import Counts
from edusoc.demo.checking import Check, Found
from edusoc.demo.words import say
from soc_core import i18n
from soc_core.clock import LOCAL_ZONE, parse_instant
from soc_core.model.detection import Severity
from soc_core.organisations.repository import OrganisationTree, find_asset
from soc_core.state.database import Database
from soc_core.store.interface import Aggregation, EventReader, Scope, Search

RETENTION: Final = timedelta(days=183)
"""Six calendar months at least (Cybersecurity Law, article 21 (3)); days without any record are counted inside it."""
SILENT: Final = timedelta(days=3)
SHORT: Final = 40
"""So many alerts below high are listed by a line each; the console shows all."""


@dataclass(frozen=True, slots=True)
class UnitData:
    """Say how much data of a unit there is: number, last instant (empty when none), days without any record."""

    code: str
    name: str
    events: int
    last: str
    days_missing: int
    silent: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Hold all that the summary shows: cards of open alerts, how many are closed, the labels' verdict, the units."""

    language: str
    anchor: datetime
    cards: Sequence[AlertCard]
    closed: int
    checks: Sequence[Check]
    units: Sequence[UnitData]
    counts: Counts
    seconds: dict[str, float]

    @property
    def labelled(self) -> frozenset[str]:
        """Return the ids of alerts that a label wanted."""
        return frozenset(id_ for check in self.checks for id_ in check.found)

    @property
    def passed(self) -> bool:
        """Tell whether every label holds and every file was read."""
        return not self.counts.failures and all(check.passed for check in self.checks)


def make_cards(database: Database, found: Sequence[Found], maker: CardMaker) -> list[AlertCard]:
    """Return the cards of alerts that are not closed, most severe first, then by priority."""
    cards = []
    opened = [item for item in found if item.alert.status is not Status.CLOSED]
    with database.read() as connection:
        for item in opened:
            entity = item.alert.entity
            asset = find_asset(connection, item.alert.organization_id, entity.zone, entity.value)
            cards.append(maker.make(item.alert, item.detections, asset))
    return sorted(cards, key=lambda card: (-card.alert.severity.rank, -card.alert.priority, card.alert.id))


def look_at_units(
    reader: EventReader, tree: OrganisationTree, anchor: datetime, language: str
) -> list[UnitData]:
    """Return what data there is of every unit that has a network, ordered by code."""
    found = []
    for unit in sorted(tree.units.values(), key=lambda unit: unit.code):
        if not unit.zones:
            continue
        scope = Scope(frozenset({unit.id}))
        rows = reader.statistics(scope)
        last = max((row.last for row in rows), default="")
        silent = not last or anchor - parse_instant(last) > SILENT
        name = unit.name_en if language == "en" else unit.name
        missing = _days_missing(reader, scope, anchor)
        found.append(UnitData(unit.code, name, sum(row.events for row in rows), last, missing, silent))
    return found


def _days_missing(reader: EventReader, scope: Scope, anchor: datetime) -> int:
    """Return how many whole local days of the retention period before the anchor's day have no record."""
    end = anchor.astimezone(LOCAL_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    days = Aggregation("histogram", interval_seconds=86_400, offset_seconds=28_800)
    buckets = reader.aggregate(Search(scope, end - RETENTION, end), days)
    return RETENTION.days - len(buckets.buckets)


def as_lines(report: Report) -> Iterator[str]:
    """Yield the summary's lines."""
    language = report.language
    yield say("summary.title", language)
    yield say("summary.note", language)
    yield from _alert_lines(report)
    yield from _unit_lines(report)
    yield from _check_lines(report)
    counts = report.counts
    yield ""
    yield say(
        "summary.counts",
        language,
        files=counts.files,
        packets=counts.packets,
        events=counts.events,
        accepted=counts.accepted,
        duplicates=counts.duplicates,
    )
    if counts.bad:
        yield say("summary.bad", language, bad=counts.bad)
    for failure in counts.failures:
        yield say("summary.unread", language, failure=reason_text(failure, language))
    yield say("summary.passed" if report.passed else "summary.failed", language)


def _alert_lines(report: Report) -> Iterator[str]:
    """Yield the open alerts by falling severity: whole cards of high and labelled ones, a line for each other."""
    language = report.language
    room = SHORT
    for severity in sorted(Severity, key=lambda level: -level.rank):
        cards = [card for card in report.cards if card.alert.severity is severity]
        if not cards:
            continue
        yield ""
        level = i18n.text(f"cases.severity.{severity.value}", language)
        yield say("summary.level", language, level=level, count=len(cards))
        serious = severity.rank >= Severity.HIGH.rank
        whole = [card for card in cards if serious or card.alert.id in report.labelled]
        short = [card for card in cards if card not in whole]
        for card in whole:
            yield from _card_lines(card, report)
        if short:
            yield ""
        yield from (f"  · {card.sentence}" for card in short[:room])
        if len(short) > room:
            yield say("summary.more", language, count=len(short) - room)
        room = max(0, room - len(short))
    if report.closed:
        yield ""
        yield say("summary.closed", language, count=report.closed)


def _card_lines(card: AlertCard, report: Report) -> Iterator[str]:
    language = report.language
    yield ""
    mark = "★" if card.alert.id in report.labelled else "·"
    yield f"{mark} {card.title}"
    yield f"   {say('card.where', language)}{' › '.join(card.unit_path[-2:])} · {card.device}"
    yield f"   {say('card.what', language)}{card.sentence}"
    if card.description:
        yield f"      {card.description}"
    yield from _listed(say("card.why", language), card.reasons, "-")
    yield from _listed(say("card.do", language), card.steps, "")
    duty = card.duty
    people = {
        "supervisor": duty.supervisor,
        "operator": duty.operator,
        "user": duty.user,
        "contact": duty.contact,
    }
    named = [f"{say(f'duty.{role}', language)} {name}" for role, name in people.items() if name]
    if named:
        yield f"   {say('card.who', language)}{' · '.join(named)}"


def _listed(title: str, texts: Iterable[str], bullet: str) -> Iterator[str]:
    rows = list(texts)
    if rows:
        yield f"   {title}"
    for number, text in enumerate(rows, start=1):
        yield f"      {bullet or f'{number}.'} {text}"


def _unit_lines(report: Report) -> Iterator[str]:
    language = report.language
    yield ""
    yield say("units.title", language)
    for unit in report.units:
        notes = []
        if unit.silent:
            days = (report.anchor - parse_instant(unit.last)).days if unit.last else 0
            notes.append(say("units.silent", language, days=days))
        if unit.days_missing:
            notes.append(say("units.gap", language, days=unit.days_missing))
        last = (
            parse_instant(unit.last).astimezone(LOCAL_ZONE).strftime("%Y-%m-%d %H:%M") if unit.last else "—"
        )
        line = say("units.row", language, name=unit.name, events=unit.events, last=last)
        yield f"  {'!' if notes else '·'} {line}{''.join(notes)}"


def _check_lines(report: Report) -> Iterator[str]:
    language = report.language
    yield ""
    yield say("checks.title", language)
    names = {"unit": {unit.code: unit.name for unit in report.units}}
    for check in report.checks:
        label = check.scene.label
        unit = names["unit"].get(check.scene.unit, check.scene.unit)
        kind = say("checks.attack" if label.attack else "checks.normal", language)
        yield f"  {'✓' if check.passed else '✗'} [{kind}] {label.title[language]} · {unit}"
        for wanted in check.missing:
            yield "      " + say(
                "checks.missing",
                language,
                kind=wanted.kind,
                entity=wanted.entity,
                level=_level(wanted.min_severity, language),
            )
        for kind_, entity, _, severity in check.forbidden:
            yield "      " + say(
                "checks.forbidden", language, kind=kind_, entity=entity, level=_level(severity, language)
            )


def _level(severity: str, language: str) -> str:
    return i18n.text(f"cases.severity.{severity}", language)


def as_json(report: Report) -> dict[str, object]:
    """Return the summary for programs."""
    labelled = report.labelled
    return {
        "passed": report.passed,
        "anchor": report.anchor.isoformat(),
        "alerts": [_card_json(card, labelled) for card in report.cards],
        "closed": report.closed,
        "checks": [
            {
                "scenario": check.scene.label.scenario,
                "unit": check.scene.unit,
                "zone": check.scene.zone,
                "attack": check.scene.label.attack,
                "passed": check.passed,
                "found": {id_: wanted.kind for id_, wanted in sorted(check.found.items())},
                "missing": [[w.kind, w.entity, w.peer, w.min_severity.value] for w in check.missing],
                "forbidden": [list(item) for item in check.forbidden],
            }
            for check in report.checks
        ],
        "units": [
            {
                "code": unit.code,
                "events": unit.events,
                "last": unit.last,
                "days_missing": unit.days_missing,
                "silent": unit.silent,
            }
            for unit in report.units
        ],
        "counts": {name: getattr(report.counts, name) for name in Counts.__slots__},
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }


def _card_json(card: AlertCard, labelled: frozenset[str]) -> dict[str, object]:
    alert = card.alert
    return {
        "id": alert.id,
        "kind": alert.kind,
        "entity": alert.entity.value,
        "zone": alert.entity.zone,
        "peer": alert.peer,
        "severity": alert.severity.value,
        "first_seen": alert.first_seen,
        "last_seen": alert.last_seen,
        "labelled": alert.id in labelled,
        "unit": card.unit,
        "device": card.device,
        "title": card.title,
        "what": card.sentence,
        "why": list(card.reasons),
        "do": list(card.steps),
    }
