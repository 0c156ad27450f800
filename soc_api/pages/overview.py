"""Serve the overview: how things stand and what to look at first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from cases.alerts.model import OPEN
from cases.alerts.repository import AlertFilter, count_alerts, count_by, count_open
from soc_api.alerts.queries import AlertQuestion, page_of_alerts
from soc_api.limits import Turns
from soc_api.organisations.endpoints import Counts, visible_units
from soc_api.pages.charts import events_over_time
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, PlaceDependency, caller_of, frame
from soc_api.store.kept import reasons_of
from soc_core.clock import format_instant
from soc_core.model.detection import Severity
from soc_core.model.organisation import Organisation
from soc_core.store.interface import Scope, Search

router = APIRouter(include_in_schema=False)
SILENT: Final = timedelta(hours=24)
FIRST: Final = 15
MOST_TILES: Final = 120


@dataclass(frozen=True, slots=True)
class UnitTile:
    """Hold a unit as the overview's grid shows it.

    ``worst`` is the highest severity that is open, ``last`` the time of its newest event (empty: never any).
    """

    unit: Organisation
    open_alerts: int
    worst: Severity | None
    last: str
    silent: bool


@router.get("/overview")
def overview(request: Request, view: MemberView, place: PlaceDependency) -> Response:
    """Show open alerts by severity, the units, how much was seen, and the alerts to begin with."""
    caller = caller_of(view)
    scope = caller.narrowed(place.organisation)
    narrow = AlertFilter(statuses=tuple(OPEN), start=format_instant(place.start))
    with view.services.database.read() as connection:
        by_severity = count_by(connection, scope, narrow, "severity")
        help_wanted = count_alerts(
            connection, scope, AlertFilter(statuses=tuple(OPEN), help_wanted=True, start=narrow.start)
        )
        per_unit = count_open(connection, scope, narrow.start)
    question = AlertQuestion(
        status=tuple(OPEN), organisation=place.organisation, start=place.start, limit=FIRST
    )
    turns: Turns = request.app.state.questions
    with turns.take(caller.user.name):
        search = Search(scope, place.start, place.end)
        chart, total = events_over_time(view.services.reader, search, place.hours)
    health = view.services.reader.health() if caller.user.role.may_inspect else None
    values = {
        "health": health,
        "reasons": reasons_of(health, view.language) if health else [],
        "by_severity": by_severity,
        "help_wanted": help_wanted,
        "tiles": _tiles(view, scope, per_unit, place.organisation),
        "rows": page_of_alerts(view.services, caller, question, view.language).rows,
        "chart": chart,
        "total": total,
    }
    return view.page("overview.html", {**frame(view, "overview", place), **values})


def _tiles(view: View, scope: Scope, per_unit: Counts, organisation: str) -> list[UnitTile]:
    """Return a tile for each unit that holds data or could; of very many units, for those right below the place."""
    caller = caller_of(view)
    newest: dict[str, str] = {}
    for row in view.services.reader.statistics(scope):
        newest[row.organization_id] = max(newest.get(row.organization_id, ""), row.last)
    visible = [unit for unit in visible_units(caller) if scope.allows(unit.id)]
    shown = [
        unit
        for unit in visible
        if unit.id in per_unit or unit.id in newest or not caller.tree.children(unit.id)
    ]
    parts = {unit.id: frozenset({unit.id}) for unit in shown}
    if len(shown) > MOST_TILES:
        shown = caller.tree.children(organisation or visible[0].id)
        parts = {unit.id: caller.tree.subtree(unit.id) for unit in shown}
    quiet = format_instant(view.now - SILENT)
    return [_tile(unit, parts[unit.id], per_unit, newest, quiet) for unit in shown]


def _tile(
    unit: Organisation, parts: frozenset[str], per_unit: Counts, newest: Mapping[str, str], quiet: str
) -> UnitTile:
    levels = [level for id_ in parts for level in per_unit.get(id_, {})]
    number = sum(sum(per_unit.get(id_, {}).values()) for id_ in parts)
    last = max((newest.get(id_, "") for id_ in parts), default="")
    return UnitTile(unit, number, max(levels, key=lambda level: level.rank, default=None), last, last < quiet)
