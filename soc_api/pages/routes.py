"""Serve the console's pages. They ask the same functions as the API and add no logic of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from soc_core.query.language import parse_query

from cases.alerts.model import CloseReason, Status
from cases.alerts.repository import AlertChange, AlertFilter, change_alert, count_by
from soc_api.alerts.queries import AlertQuestion, card_of, page_of_alerts
from soc_api.events.endpoints import narrowed
from soc_api.organisations.endpoints import OPEN, visible_units
from soc_api.pages.charts import bars
from soc_api.pages.rendering import LANGUAGE_COOKIE, View
from soc_api.security import COOKIE, Caller, check_csrf, find_caller
from soc_api.services import ServicesDependency
from soc_api.session.endpoints import log_in, set_cookie
from soc_core.access.accounts import close_session, find_session, list_users, open_session
from soc_core.clock import LOCAL_ZONE
from soc_core.errors import EdusocError, NotAllowedError, UsageError
from soc_core.i18n import LANGUAGES
from soc_core.query.tree import Everything
from soc_core.store.interface import Aggregation, Search

router = APIRouter(include_in_schema=False)
HOURS: Final = (1, 24, 24 * 7, 24 * 30, 24 * 180)
DEFAULT_HOURS: Final = 24 * 7


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
    if view.caller is None:
        raise LoginNeededError("log in first")
    return view


MemberView = Annotated[View, Depends(member_view)]


def caller_of(view: View) -> Caller:
    """Return who is logged in; raise ``LoginNeededError`` when nobody is."""
    if view.caller is None:
        raise LoginNeededError("log in first")
    return view.caller


def to_login(_request: Request, _error: Exception) -> Response:
    """Lead to the start page; htmx follows the header instead of the redirect."""
    return RedirectResponse("/login", status_code=303, headers={"HX-Redirect": "/login"})


@router.get("/")
def start(view: ViewDependency) -> Response:
    """Show the demo's doors, or lead to the overview."""
    if view.caller is not None and not view.services.demo:
        return RedirectResponse("/overview", status_code=303)
    return _doors(view) if view.services.demo else RedirectResponse("/login", status_code=303)


def _doors(view: View) -> HTMLResponse:
    with view.services.database.read() as connection:
        found = list_users(connection, demo_only=True)
    order = ("analyst", "contact", "auditor", "overseer", "developer")
    people = sorted(found, key=lambda user: (order.index(user.role.value), user.name))
    return view.page("start.html", {"people": people})


@router.get("/login")
def login(view: ViewDependency) -> Response:
    """Show the log-in form."""
    return view.page("login.html", {"problem": ""})


@router.post("/login")
def do_login(
    view: ViewDependency,
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=256)],
) -> Response:
    """Log in, or show the form with what was wrong."""
    try:
        token, _session = log_in(view.services, name, password)
    except NotAllowedError as error:
        key = "login.locked" if error.todo else "login.wrong"
        return view.page("login.html", {"problem": view.say(key)}, status=401)
    response = RedirectResponse("/overview", status_code=303)
    set_cookie(request, response, token)
    return response


@router.post("/demo/enter")
def enter_demo(view: ViewDependency, request: Request, name: Annotated[str, Form(max_length=64)]) -> Response:
    """Enter as one of the demo's people, without password: only where the installation is a demo."""
    services = view.services
    with services.database.write() as connection:
        person = next((user for user in list_users(connection, demo_only=True) if user.name == name), None)
        if not services.demo or person is None:
            raise NotAllowedError("there is no such demo account")
        token = open_session(connection, person, now=services.clock())
        if find_session(connection, token, now=services.clock()) is None:
            raise NotAllowedError("the account was disabled")
    response = RedirectResponse("/overview", status_code=303)
    set_cookie(request, response, token)
    return response


@router.post("/logout")
def logout(view: MemberView, request: Request, csrf: Annotated[str, Form(max_length=128)]) -> Response:
    """Log out."""
    check_csrf(caller_of(view), csrf)
    with view.services.database.write() as connection:
        close_session(connection, request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/language/{language}")
def choose_language(language: str, request: Request) -> Response:
    """Remember the language of pages and go back."""
    if language not in LANGUAGES:
        raise NotAllowedError(f"there is no language '{language}'")
    back = request.headers.get("referer", "")
    here = str(request.base_url)
    response = RedirectResponse(back if back.startswith(here) else "/", status_code=303)
    response.set_cookie(LANGUAGE_COOKIE, language, max_age=31_536_000, samesite="lax", path="/")
    return response


@router.get("/overview")
def overview(
    view: MemberView,
    organisation: Annotated[str, Query(max_length=32)] = "",
    hours: Annotated[int, Query(ge=1, le=24 * 400)] = DEFAULT_HOURS,
) -> Response:
    """Show how things stand: open alerts by severity, by unit, and how much was seen."""
    caller, services = caller_of(view), view.services
    place = narrowed(caller, organisation)
    narrow = AlertFilter(statuses=OPEN, organization_ids=place.ids)
    with services.database.read() as connection:
        by_severity = count_by(connection, caller.scope, narrow, "severity")
        by_unit = count_by(connection, caller.scope, narrow, "organization_id")
        by_status = count_by(connection, caller.scope, AlertFilter(organization_ids=place.ids), "status")
    question = AlertQuestion(status=OPEN, organisation=organisation, limit=10)
    end = view.now
    step = _step(hours)
    first = _aligned(end - timedelta(hours=hours), step)
    last = _aligned(end, step) + step
    buckets = services.reader.aggregate(
        Search(scope=place, start=first, end=last),
        Aggregation("histogram", interval_seconds=int(step.total_seconds()), offset_seconds=28_800),
    )
    values = {
        "by_severity": by_severity,
        "by_status": by_status,
        "units": sorted(
            ((caller.tree.units[id_], count) for id_, count in by_unit.items() if id_ in caller.tree.units),
            key=lambda item: (-item[1], item[0].code),
        ),
        "rows": page_of_alerts(services, caller, question, view.language).rows,
        "chart": bars(buckets.buckets, first, last, step),
        "total": sum(bucket.count for bucket in buckets.buckets),
    }
    return view.page("overview.html", {**_frame(view, "overview", organisation, hours), **values})


def _step(hours: int) -> timedelta:
    return (
        timedelta(hours=1) if hours <= 48 else timedelta(hours=6) if hours <= 24 * 14 else timedelta(days=1)
    )


def _aligned(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the local-time step that holds ``moment``."""
    local = moment.astimezone(LOCAL_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((local - midnight) // step) * step


class AlertsQuery:
    """Hold what the list of alerts is narrowed by, as it stands in the address."""

    def __init__(
        self,
        status: Annotated[str, Query(pattern="^(open|all|new|assigned|in_progress|closed)$")] = "open",
        severity: Annotated[str, Query(pattern="^(|informational|low|medium|high|critical)$")] = "",
        organisation: Annotated[str, Query(max_length=32)] = "",
        hours: Annotated[int, Query(ge=1, le=24 * 400)] = 24 * 30,
        cursor: Annotated[str, Query(max_length=512)] = "",
    ) -> None:
        """Take the parts; they are checked by their patterns."""
        self.status = status
        self.severity = severity
        self.organisation = organisation
        self.hours = hours
        self.cursor = cursor

    def question(self, now: datetime) -> AlertQuestion:
        """Return the question these parts ask; the start is cut to the hour so that cursors stay valid."""
        wanted = {"open": OPEN, "all": ()}.get(self.status, (self.status,))
        start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=self.hours)
        return AlertQuestion(
            status=wanted,
            severity=self.severity,
            organisation=self.organisation,
            start=start,
            limit=50,
            cursor=self.cursor,
        )


@router.get("/alerts")
def alerts(view: MemberView, asked: Annotated[AlertsQuery, Depends()]) -> Response:
    """Show the list of alerts; htmx gets only the rows."""
    caller = caller_of(view)
    page = page_of_alerts(view.services, caller, asked.question(view.now), view.language)
    values = {"page": page, "asked": asked, "rows": page.rows}
    template = "_alert_rows.html" if view.fragment else "alerts.html"
    return view.page(template, {**_frame(view, "alerts", asked.organisation, asked.hours), **values})


@router.get("/alerts/{alert_id}")
def alert(view: MemberView, alert_id: str) -> Response:
    """Show one alert: as a panel beside the list for htmx, else as a page."""
    return _alert_page(view, alert_id)


def _alert_page(view: View, alert_id: str, problem: str = "", status: int = 200) -> HTMLResponse:
    caller, services = caller_of(view), view.services
    card, history = card_of(services, caller, alert_id, view.language)
    events = services.reader.get(card.evidence[:20], caller.scope)
    shown = sorted(events.values(), key=lambda event: str(event["@timestamp"]))
    values = {"card": card, "history": history, "events": shown, "problem": problem}
    template = "_alert.html" if view.fragment else "alert.html"
    return view.page(template, {**_frame(view, "alerts", "", DEFAULT_HOURS), **values}, status=status)


class ChangeForm:
    """Hold the form that changes an alert."""

    def __init__(
        self,
        csrf: Annotated[str, Form(max_length=128)],
        version: Annotated[int, Form(ge=1)],
        status: Annotated[Status, Form()],
        close_reason: Annotated[str, Form(pattern="^(|true_positive|false_positive|benign|drill)$")] = "",
        comment: Annotated[str, Form(max_length=2_000)] = "",
    ) -> None:
        """Take the fields; they are checked by their types."""
        self.csrf = csrf
        self.version = version
        self.status = status
        self.close_reason = close_reason
        self.comment = comment

    def change(self, actor: str) -> AlertChange:
        """Return the change this form asks for; taking an alert up assigns it to the person."""
        reason = CloseReason(self.close_reason) if self.close_reason else None
        takes = self.status in {Status.ASSIGNED, Status.IN_PROGRESS}
        return AlertChange(
            actor=actor,
            version=self.version,
            status=self.status,
            close_reason=reason,
            assigned_to=actor if takes else None,
            comment=self.comment,
        )


@router.post("/alerts/{alert_id}")
def change(view: MemberView, alert_id: str, asked: Annotated[ChangeForm, Depends()]) -> Response:
    """Change an alert's state and show it again, with what was wrong if it could not be changed."""
    caller = caller_of(view)
    check_csrf(caller, asked.csrf)
    if not caller.user.role.may_handle:
        return _alert_page(view, alert_id, view.say("alert.only_looks"), 403)
    try:
        with view.services.database.write() as connection:
            change_alert(connection, caller.scope, alert_id, asked.change(caller.user.name), now=view.now)
    except UsageError as error:
        return _alert_page(view, alert_id, view.say("alert.refused", why=error.what), 409)
    return _alert_page(view, alert_id)


@router.get("/alerts/{alert_id}/packets")
def packets(view: MemberView, alert_id: str) -> Response:
    """Show the packets of an alert's session: how many, and their protocols where tshark is there."""
    caller = caller_of(view)
    card, _history = card_of(view.services, caller, alert_id, view.language)
    found = view.services.packets.cut(caller.scope, card.evidence) if caller.user.role.may_handle else None
    return view.page("_packets.html", {"cut": found, "alert_id": alert_id})


@router.get("/events")
def events(
    view: MemberView,
    q: Annotated[str, Query(max_length=4_000)] = "",
    organisation: Annotated[str, Query(max_length=32)] = "",
    hours: Annotated[int, Query(ge=1, le=24 * 400)] = DEFAULT_HOURS,
) -> Response:
    """Search events."""
    caller = caller_of(view)
    problem, found, partial = "", [], ""
    try:
        query = parse_query(q) if q.strip() else Everything()
        span = (view.now - timedelta(hours=hours), view.now + timedelta(minutes=5))
        search = Search(narrowed(caller, organisation), span[0], span[1], query, limit=100)
        page = view.services.reader.search(search)
        found, partial = page.events, page.partial
    except UsageError as error:
        problem = str(error)
    values = {"q": q, "events": found, "problem": problem, "partial": partial}
    return view.page("events.html", {**_frame(view, "events", organisation, hours), **values})


@router.get("/events/{event_id}")
def event(view: MemberView, event_id: str) -> Response:
    """Show all fields of one event."""
    found = view.services.reader.get([event_id], caller_of(view).scope).get(event_id)
    if found is None:
        raise NotAllowedError(f"there is no event '{event_id}' that you may see")
    return view.page("event.html", {**_frame(view, "events", "", DEFAULT_HOURS), "event": found})


def _frame(view: View, room: str, organisation: str, hours: int) -> dict[str, object]:
    """Return what every page shows around its content: the place, the rooms, the time range."""
    caller = caller_of(view)
    units = visible_units(caller)
    depth = {unit.id: len(caller.tree.path(unit.id)) for unit in units}
    least = min(depth.values(), default=0)
    with view.services.database.read() as connection:
        counts = count_by(connection, caller.scope, AlertFilter(statuses=OPEN), "organization_id")
    below = {unit.id: sum(counts.get(id_, 0) for id_ in caller.tree.subtree(unit.id)) for unit in units}
    return {
        "room": room,
        "places": [(unit, depth[unit.id] - least, below[unit.id]) for unit in units],
        "organisation": organisation,
        "hours": hours,
        "all_hours": HOURS,
    }
