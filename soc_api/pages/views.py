"""Find out who looks at a page, and gather what every page shows around its content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from cases.alerts.model import OPEN
from cases.alerts.repository import AlertFilter, count_by
from soc_api.organisations.endpoints import visible_units
from soc_api.pages.rendering import View
from soc_api.problems import status_of
from soc_api.security import COOKIE, Caller, find_caller
from soc_api.services import ServicesDependency
from soc_core.access.accounts import Role
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import EdusocError
from soc_core.jobs import outbox
from soc_core.model.organisation import Organisation

HOURS: Final = (1, 24, 24 * 7, 24 * 30, 24 * 180)
DEFAULT_HOURS: Final = 24 * 30
MOST_LEAVES: Final = 80
"""A tree of more units than this is shown as far as the way to the chosen one goes."""
AHEAD: Final = timedelta(minutes=5)
EARLIEST: Final = datetime(1971, 6, 1, tzinfo=UTC)
PROBLEMS: Final = {
    401: "forbidden",
    403: "forbidden",
    404: "missing",
    422: "bad",
    429: "busy",
    503: "busy",
}


class LoginNeededError(EdusocError):
    """Report that the page needs a session: the answer leads to the log-in page."""


def view_of(request: Request, services: ServicesDependency) -> View:
    """Return the view of a request, logged in or not."""
    with services.database.read() as connection:
        caller = find_caller(services, connection, request.cookies.get(COOKIE, ""))
    return View(request, services, caller)


ViewDependency = Annotated[View, Depends(view_of)]


def member_view(view: ViewDependency) -> View:
    """Return the view of somebody logged in; raise ``LoginNeededError`` otherwise."""
    caller_of(view)
    return view


MemberView = Annotated[View, Depends(member_view)]


def caller_of(view: View) -> Caller:
    """Return who is logged in; raise ``LoginNeededError`` when nobody is."""
    if view.caller is None:
        raise LoginNeededError("log in first")
    return view.caller


def home_of(caller: Caller) -> str:
    """Return the page a person begins with: a school's contact sees one task at a time."""
    return "/tasks" if caller.user.role == Role.CONTACT else "/overview"


class Place:
    """Hold what all rooms are narrowed by, as it stands in the address: a unit and a time range.

    ``at`` is the moment the question was first asked, carried along while paging; now by default.
    """

    def __init__(
        self,
        view: MemberView,
        organisation: Annotated[str, Query(max_length=32)] = "",
        hours: Annotated[int, Query(ge=1, le=24 * 400)] = DEFAULT_HOURS,
        at: Annotated[str, Query(max_length=27)] = "",
    ) -> None:
        """Take the parts; a moment that is none is now."""
        self.organisation = organisation
        self.hours = hours
        self.until = _moment(at, view.now)
        self.start = self.until - timedelta(hours=hours)

    @property
    def end(self) -> datetime:
        """Return the end of the range for events: clocks of collectors may be a little ahead of ours."""
        return self.until + AHEAD

    @property
    def at(self) -> str:
        """Return the moment as canonical text."""
        return format_instant(self.until)

    @property
    def parameters(self) -> dict[str, str]:
        """Return the parts as address parameters, the usual ones left out."""
        parts = {"organisation": self.organisation}
        return parts if self.hours == DEFAULT_HOURS else {**parts, "hours": str(self.hours)}


def _moment(text: str, now: datetime) -> datetime:
    try:
        return min(max(parse_instant(text), EARLIEST), now) if text else now
    except (ValueError, OverflowError):
        return now


PlaceDependency = Annotated[Place, Depends()]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Hold a unit as the tree at the left shows it: ``open_alerts`` counts all units below it too."""

    unit: Organisation
    depth: int
    open_alerts: int


def frame(view: View, room: str, place: Place) -> dict[str, object]:
    """Return what every room shows around its content: the tree, the rooms, the time range."""
    caller = caller_of(view)
    narrow = AlertFilter(statuses=tuple(OPEN), start=format_instant(place.start))
    with view.services.database.read() as connection:
        counts = count_by(connection, caller.scope, narrow, "organization_id")
        sequence = outbox.last_sequence(connection)
    units = visible_units(caller)
    least = len(caller.tree.path(units[0].id)) if units else 0
    if len(units) > MOST_LEAVES:
        units = _near(caller, units, place.organisation)
    leaves = [
        Leaf(
            unit,
            len(caller.tree.path(unit.id)) - least,
            sum(counts.get(id_, 0) for id_ in caller.tree.subtree(unit.id)),
        )
        for unit in units
    ]
    return {
        "room": room,
        "place": place,
        "leaves": leaves,
        "all_open": sum(counts.values()),
        "all_hours": HOURS,
        "sequence": sequence,
    }


def _near(caller: Caller, units: list[Organisation], organisation: str) -> list[Organisation]:
    """Return of a large tree what leads to the chosen unit, with what lies right below each step on the way."""
    chosen = organisation if caller.scope.allows(organisation) else units[0].id
    way = {unit.id for unit in caller.tree.path(chosen)} | {units[0].id}
    return [unit for unit in units if unit.id in way or unit.parent_id in way]


def on_page_error(request: Request, error: Exception) -> Response:
    """Lead to the log-in page, or say what went wrong; htmx follows its header instead of a redirect."""
    if isinstance(error, LoginNeededError):
        return RedirectResponse("/login", status_code=303, headers={"HX-Redirect": "/login"})
    status = status_of(error)
    kind = PROBLEMS.get(status, "failed")
    view = View(request, request.app.state.services, None)
    template = "_problem.html" if view.fragment else "problem.html"
    return view.page(template, {"kind": kind}, status=status)
