"""Ask the store and the lists of units and assets who had an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from sqlalchemy import Connection

from cases.whereabouts.evidence import ACCOUNTING, LEASES, NEIGHBOURS, read_evidence
from cases.whereabouts.model import Answer, Candidate, Certainty, Evidence, Hint, Translation
from cases.whereabouts.ranking import SURE, asset_evidence, rank
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import UsageError
from soc_core.model.event import DATASET, EVENT_ID, ORGANIZATION_ID, TIMESTAMP, ZONE, Event
from soc_core.organisations.repository import OrganisationTree, find_assets_at
from soc_core.query.tree import And, Exists, Not, OneOf, Or, Query, equal
from soc_core.store.interface import Aggregation, EventReader, Scope, Search

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MOST: Final = 200
"""Events of one kind that are looked at, the latest before the time first."""
_TRANSLATED: Final = timedelta(minutes=5)
_PORTS_ASKED: Final = 12
_ADDRESSES_INSIDE: Final = 20
Place = tuple[str, str]
"""Unit and network zone."""


@dataclass(frozen=True, slots=True)
class Question:
    """Ask about ``address`` at ``at`` within what ``scope`` may see; ``port`` tells sessions behind one address apart.

    ``zone`` narrows to a network zone; the same private address exists in every school, so answers come by place.
    """

    address: str
    at: datetime
    scope: Scope
    zone: str = ""
    port: int = 0


def who_was(
    reader: EventReader, connection: Connection, tree: OrganisationTree, question: Question
) -> list[Answer]:
    """Return an answer for each unit and zone that knows the address, the surest first; at least one.

    Raises ``UsageError`` for what is no address.
    """
    try:
        question = replace(question, address=str(ip_address(question.address.strip())))
    except ValueError:
        raise UsageError(f"'{question.address}' is no address", todo="write it like 10.1.2.3") from None
    asker = _Asker(reader, question)
    found = asker.evidence()
    for asset in find_assets_at(connection, question.address, question.scope):
        if question.zone in {"", asset.zone}:
            found.append(((asset.organization_id, asset.zone), asset_evidence(asset, question.at)))
    places = {place for place, _ in found} | set(_owners(tree, question))
    translations = asker.translations()
    places |= translations.keys()
    if not places:
        return [
            Answer(
                question.address,
                question.at,
                "",
                question.zone,
                Certainty.UNKNOWN,
                hints=(Hint("nothing", {}),),
            )
        ]
    answers = [
        asker.answer(place, [item for at, item in found if at == place], translations.get(place, []))
        for place in places
    ]
    order = {Certainty.DEVICE: 0, Certainty.EXIT: 1, Certainty.UNKNOWN: 2}
    return sorted(
        answers,
        key=lambda one: (order[one.certainty], -_best(one.candidates), one.organization_id, one.zone),
    )


def _best(candidates: Sequence[Candidate]) -> float:
    return candidates[0].score if candidates else 0.0


def _owners(tree: OrganisationTree, question: Question) -> Iterable[Place]:
    """Yield the places whose networks hold a public address: it is the exit of theirs."""
    if not ip_address(question.address).is_global:
        return
    for unit in tree.units.values():
        if question.scope.allows(unit.id):
            for zone in unit.zones:
                if question.zone in {"", zone} and tree.plan(unit.id, zone).is_inside(question.address):
                    yield unit.id, zone


class _Asker:
    """Ask the store for one question."""

    def __init__(self, reader: EventReader, question: Question) -> None:
        self._reader, self._question = reader, question
        self._partial: list[str] = []

    def evidence(self) -> list[tuple[Place, Evidence]]:
        """Return all evidence by place."""
        address, at = self._question.address, self._question.at
        found: dict[str, Event] = {}
        for query, before, after in _questions(address):
            for event in self._events(query, before, after):
                found[str(event.get(EVENT_ID, ""))] = event
        read = ((_place(event), read_evidence(event, address, at)) for event in found.values())
        return [(place, item) for place, item in read if item is not None]

    def _events(self, query: Query, before: timedelta, after: timedelta) -> list[Event]:
        """Return the latest events up to the time, then the first ones after it."""
        at, scope = self._question.at, self._question.scope
        if self._question.zone:
            query = And((query, equal(ZONE, self._question.zone)))
        moment = at + timedelta(microseconds=1)
        found: list[Event] = []
        for search in (
            Search(scope, at - before, moment, query, limit=_MOST),
            Search(scope, moment, moment + after, query, limit=_MOST, ascending=True),
        ):
            page = self._reader.search(search)
            found += page.events
            if page.partial:
                self._partial.append(page.partial)
        return found

    def translations(self) -> dict[Place, list[Translation]]:
        """Return the sessions whose outside address it is, near the time, by place."""
        question = self._question
        parts: list[Query] = [equal("source.nat.ip", question.address), Exists("source.ip")]
        if question.port:
            parts.append(equal("source.nat.port", question.port))
        found: dict[Place, list[Translation]] = {}
        for event in self._events(And(tuple(parts)), _TRANSLATED, _TRANSLATED):
            port = event.get("source.nat.port")
            session = Translation(
                inside=str(event["source.ip"]),
                port=port if isinstance(port, int) else 0,
                at=parse_instant(str(event[TIMESTAMP])),
                event_id=str(event.get(EVENT_ID, "")),
                device=str(event.get("observer.name") or event.get("host.name") or event.get(DATASET, "")),
            )
            found.setdefault(_place(event), []).append(session)
        return found

    def answer(self, place: Place, found: Sequence[Evidence], sessions: Sequence[Translation]) -> Answer:
        """Return the answer of one place."""
        question, (unit, zone) = self._question, place
        candidates = rank(found, self._ports(place, {item.mac for item in found if item.mac}), question.at)
        answer = Answer(
            question.address,
            question.at,
            unit,
            zone,
            Certainty.DEVICE if _best(candidates) >= SURE else Certainty.UNKNOWN,
            tuple(candidates),
            tuple(sessions[:_MOST]),
            partial="; ".join(dict.fromkeys(self._partial)),
        )
        if answer.certainty == Certainty.DEVICE:
            return answer
        if sessions or ip_address(question.address).is_global:
            return self._behind(answer)
        return replace(answer, hints=tuple(self._missing(place)))

    def _behind(self, answer: Answer) -> Answer:
        """Look behind the translation: one address inside is asked about, several are named."""
        inside = list(dict.fromkeys(session.inside for session in answer.translations))
        if len(inside) == 1:
            within = self._question.scope.only(answer.organization_id)
            asked = replace(self._question, address=inside[0], port=0, scope=within, zone=answer.zone)
            asker = _Asker(self._reader, asked)
            found = asker.answer(
                (answer.organization_id, answer.zone), [item for _, item in asker.evidence()], []
            )
            return replace(answer, certainty=found.certainty, candidates=found.candidates, hints=found.hints)
        values = {
            "from": format_instant(answer.at - _TRANSLATED),
            "to": format_instant(answer.at + _TRANSLATED),
            "address": answer.address,
            "port": self._question.port or "",
        }
        if inside:
            key, values["inside"] = "several", ", ".join(inside[:_ADDRESSES_INSIDE])
        else:
            devices = self._translators((answer.organization_id, answer.zone))
            key, values["devices"] = ("ask_device" if devices else "no_translation"), ", ".join(devices)
        hints = [Hint(key, values)] + ([] if self._question.port else [Hint("need_port", values)])
        return replace(answer, certainty=Certainty.EXIT, hints=tuple(hints))

    def _translators(self, place: Place) -> list[str]:
        """Return the devices of a place that write translation logs, by what they wrote in the week before."""
        query = And((Exists("source.nat.ip"), equal(ZONE, place[1])))
        at = self._question.at
        found = self._reader.aggregate(
            Search(self._question.scope.only(place[0]), at - 7 * _DAY, at + _DAY, query),
            Aggregation("terms", "observer.name", 5),
        )
        return [str(bucket.key) for bucket in found.buckets]

    def _missing(self, place: Place) -> Iterable[Hint]:
        """Say which log would have told: those of which the place sent nothing in the week before."""
        at, scope = self._question.at, self._question.scope.only(place[0])
        for key, names in (
            ("no_leases", LEASES),
            ("no_neighbours", (NEIGHBOURS,)),
            ("no_accounting", (ACCOUNTING,)),
        ):
            query = And((OneOf(DATASET, names), equal(ZONE, place[1])))
            if not self._reader.search(Search(scope, at - 7 * _DAY, at + _DAY, query, limit=1)).events:
                yield Hint(key, {})

    def _ports(self, place: Place, macs: set[str]) -> Mapping[str, tuple[str, ...]]:
        """Return where switches saw the cards, the port with the fewest cards first: uplinks have many."""
        if not macs:
            return {}
        at, scope = self._question.at, self._question.scope.only(place[0])
        query = And(
            (equal(DATASET, NEIGHBOURS), OneOf("client.mac", tuple(sorted(macs))), Not(Exists("client.ip")))
        )
        seen: dict[str, dict[Place, None]] = {}
        for event in self._reader.search(Search(scope, at - _DAY, at + 6 * _HOUR, query, limit=_MOST)).events:
            port = (
                str(event.get("observer.name", "")),
                str(event.get("observer.ingress.interface.name", "")),
            )
            seen.setdefault(str(event["client.mac"]), {})[port] = None
        ports = list(dict.fromkeys(port for found in seen.values() for port in found))[:_PORTS_ASKED]
        cards = {port: self._cards_at(scope, port) for port in ports}
        ordered = {mac: sorted(found, key=lambda port: cards.get(port, _MOST)) for mac, found in seen.items()}
        return {mac: tuple(" ".join(port) for port in found) for mac, found in ordered.items()}

    def _cards_at(self, scope: Scope, port: Place) -> int:
        query = And(
            (
                equal(DATASET, NEIGHBOURS),
                equal("observer.name", port[0]),
                equal("observer.ingress.interface.name", port[1]),
                Not(Exists("client.ip")),
            )
        )
        at = self._question.at
        found = self._reader.aggregate(
            Search(scope, at - _DAY, at + 6 * _HOUR, query), Aggregation("distinct", "client.mac")
        )
        return found.buckets[0].count if found.buckets else 0


def _place(event: Event) -> Place:
    return str(event.get(ORGANIZATION_ID, "")), str(event.get(ZONE, "default"))


def _questions(address: str) -> tuple[tuple[Query, timedelta, timedelta], ...]:
    """Return what to ask, and how far before and after the time."""
    client, source, host = (equal(f"{side}.ip", address) for side in ("client", "source", "host"))
    either = Or((client, source))
    login = And(
        (equal("event.category", "authentication"), equal("event.outcome", "success"), Exists("user.name"))
    )
    return (
        (And((OneOf(DATASET, LEASES), Or((client, host)))), 8 * _DAY, _HOUR),
        (And((equal(DATASET, NEIGHBOURS), client)), _DAY / 2, _DAY / 4),
        (And((equal(DATASET, ACCOUNTING), either)), 2 * _DAY, _DAY / 2),
        (And((login, either)), _DAY / 4, _HOUR),
        (And((host, Exists("host.name"))), 2 * _DAY, _DAY / 2),
        (And((source, Exists("source.mac"))), _HOUR, _HOUR),
    )
