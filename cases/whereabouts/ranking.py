"""Gather evidence by device and order the devices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from cases.whereabouts.evidence import FULL, end_leases
from cases.whereabouts.model import Candidate, Evidence, Kind
from soc_core.model.organisation import Asset

SURE: Final = 0.5
"""From this score on an answer reaches to the device."""
_TAKES_OVER: Final = frozenset({Kind.LEASE, Kind.NEIGHBOUR, Kind.ACCOUNTING})
_POINTS_TO_A_DEVICE: Final = frozenset(
    {Kind.LEASE, Kind.NEIGHBOUR, Kind.ACCOUNTING, Kind.NAME, Kind.CARD, Kind.ASSET}
)
_MOST: Final = 20
Places = Mapping[str, tuple[str, ...]]
"""Where cards are plugged in, as switches say."""


def rank(found: Iterable[Evidence], places: Places, at: datetime) -> list[Candidate]:
    """Return candidates, best first: one for each card; evidence without a card joins the card of its host's name.

    A log-in, which names a person and no device, joins the likeliest card. Who had the address before another took it
    over counts half.
    """
    groups: dict[str, list[Evidence]] = {}
    for item in sorted(end_leases(list(found), at), key=lambda item: (-item.weight, item.at, item.event_id)):
        groups.setdefault(_key(item), []).append(item)
    cards = {key: items for key, items in groups.items() if items[0].mac}
    loose = [item for key, items in groups.items() if key not in cards for item in items]
    for item in loose:
        groups_of_name = [key for key, items in cards.items() if item.host and item.host in _hosts(items)]
        target = (
            groups_of_name[0]
            if groups_of_name
            else _strongest(cards)
            if item.kind == Kind.LOGIN
            else _key(item)
        )
        cards.setdefault(target, []).append(item)
    made = [_candidate(items, places) for items in cards.values()]
    return sorted(_superseded(made, at), key=lambda one: (-one.score, one.mac))[:_MOST]


def _key(item: Evidence) -> str:
    return item.mac or item.host.lower() or "nobody"


def _strongest(cards: dict[str, list[Evidence]]) -> str:
    return max(cards, key=lambda key: _score(cards[key]), default="nobody")


def _hosts(items: Sequence[Evidence]) -> set[str]:
    return {item.host for item in items if item.host}


def _score(items: Sequence[Evidence]) -> float:
    """Return how much evidence says together: each kind counts once, by its strongest piece."""
    best: dict[Kind, float] = {}
    for item in items:
        if item.kind in _POINTS_TO_A_DEVICE:
            best[item.kind] = max(best.get(item.kind, 0.0), item.weight)
    return 1 - math.prod(1 - weight for weight in best.values())


def _candidate(items: Sequence[Evidence], places: Places) -> Candidate:
    ordered = sorted(items, key=lambda item: (-item.weight, item.at))
    mac = next((item.mac for item in ordered if item.mac), "")
    said = tuple(dict.fromkeys(item.place for item in ordered if item.place))
    return Candidate(
        mac=mac,
        hosts=tuple(dict.fromkeys(item.host for item in ordered if item.host)),
        users=tuple(dict.fromkeys(item.user for item in ordered if item.user)),
        places=(*said, *(place for place in places.get(mac, ()) if place not in said)),
        score=round(_score(ordered), 3),
        evidence=tuple(ordered),
    )


def _superseded(made: list[Candidate], at: datetime) -> list[Candidate]:
    """Halve who had the address before somebody else was given it or was seen with it."""

    def last(one: Candidate) -> datetime | None:
        return max(
            (item.at for item in one.evidence if item.kind in _TAKES_OVER and item.at <= at), default=None
        )

    latest = max((found for one in made if (found := last(one)) is not None), default=None)
    return [
        one if last(one) in {None, latest} else replace(one, score=round(one.score / 2, 3)) for one in made
    ]


def asset_evidence(asset: Asset, at: datetime) -> Evidence:
    """Return what the asset list says: it holds at any time, and may be out of date."""
    return Evidence(
        Kind.ASSET,
        at,
        mac=asset.mac,
        host=asset.name,
        user=asset.user,
        place=asset.location,
        weight=FULL[Kind.ASSET],
    )
