"""Serve the room of alerts: the list, one alert beside it, and what is done with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from cases.alerts.model import OPEN, CloseReason, Status
from cases.alerts.repository import AlertChange, change_alert, count_alerts, count_by
from cases.whereabouts import Answer as Whereabouts
from cases.whereabouts import Question
from soc_api.alerts.packets import cut_packets
from soc_api.alerts.queries import AlertQuestion, alert_filter, card_of, page_of_alerts
from soc_api.limits import Turns
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, Place, PlaceDependency, caller_of, frame
from soc_api.people import people_for
from soc_api.security import check_csrf
from soc_api.whereabouts.endpoints import look_up
from soc_api.whereabouts.words import told
from soc_core.clock import parse_instant
from soc_core.errors import ConflictError, StoreError, UsageError
from soc_core.reasons import error_text

router = APIRouter(include_in_schema=False)
PAGE: Final = 50
SHOWN_EVENTS: Final = 50


class AlertsParameters(BaseModel):
    """Take the list's own filters; ``q`` is the beginning of an address or name."""

    status: Literal["open", "all", "new", "assigned", "in_progress", "closed"] = "open"
    severity: Literal["", "informational", "low", "medium", "high", "critical"] = ""
    q: str = Field("", max_length=64)
    help: Literal["", "1"] = ""
    cursor: str = Field("", max_length=512)


class AlertsQuery:
    """Hold what the list of alerts is narrowed by, as it stands in the address."""

    def __init__(self, place: PlaceDependency, asked: Annotated[AlertsParameters, Query()]) -> None:
        """Take the place and the list's own filters."""
        self.place = place
        self.status = asked.status
        self.severity = asked.severity
        self.q = asked.q.strip()
        self.help = asked.help
        self.cursor = asked.cursor

    @property
    def parameters(self) -> dict[str, str]:
        """Return the parts as address parameters, without the page; the usual ones are left out."""
        status = "" if self.status == "open" else self.status
        parts = {"status": status, "severity": self.severity, "q": self.q, "help": self.help}
        return {**self.place.parameters, **parts}

    def question(self) -> AlertQuestion:
        """Return the question these parts ask."""
        wanted = {"open": tuple(OPEN), "all": ()}.get(self.status, (self.status,))
        return AlertQuestion(
            status=wanted,
            levels=(self.severity,) if self.severity else (),
            organisation=self.place.organisation,
            address=self.q,
            help_wanted=bool(self.help),
            start=self.place.start,
            limit=PAGE,
            cursor=self.cursor,
        )


@router.get("/alerts")
def alerts(view: MemberView, asked: Annotated[AlertsQuery, Depends()]) -> Response:
    """Show the list of alerts; htmx gets only the list."""
    question = asked.question()
    page = page_of_alerts(view.services, caller_of(view), question, view.language)
    values = {"asked": asked, "page": page, **_counts(view, question)}
    if view.fragment:
        return view.page("_alert_list.html", {**values, "place": asked.place})
    return view.page("alerts.html", {**frame(view, "alerts", asked.place), **values})


def _counts(view: View, question: AlertQuestion) -> dict[str, object]:
    """Return how many alerts each filter would show, everything else staying as it is; closed ones aren't counted.

    Open alerts have an index of their own, so these numbers stay quick however many alerts there were.
    """
    caller = caller_of(view)
    narrow = alert_filter(question, caller)
    opened = replace(narrow, statuses=tuple(OPEN))
    with view.services.database.read() as connection:
        by_status = count_by(connection, caller.scope, opened, "status")
        help_wanted = count_alerts(connection, caller.scope, replace(opened, help_wanted=True))
        by_severity = {}
        if set(narrow.statuses) & set(OPEN):
            by_severity = count_by(connection, caller.scope, replace(narrow, severities=()), "severity")
    return {"by_status": by_status, "by_severity": by_severity, "help_count": help_wanted}


@router.get("/alerts/{alert_id}")
def alert(
    view: MemberView, place: PlaceDependency, alert_id: str, tab: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """Show one alert: as a panel beside the list for htmx, else as a page; ``tab`` says which part is open."""
    return alert_page(view, place, alert_id, Answer(tab=tab))


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold how an alert is shown: the open tab, what was wrong with a change, the HTTP status."""

    tab: str = ""
    problem: str = ""
    status: int = 200


def alert_page(view: View, place: Place, alert_id: str, answer: Answer) -> HTMLResponse:
    """Return an alert's panel or page."""
    caller, services = caller_of(view), view.services
    card, history = card_of(services, caller, alert_id, view.language)
    events = services.reader.get(card.evidence[:SHOWN_EVENTS], caller.scope)
    values = {
        "card": card,
        "history": history,
        "events": sorted(events.values(), key=lambda event: str(event["@timestamp"])),
        "people": people_for(services, caller, card.alert.organization_id)
        if caller.user.role.may_handle
        else [],
        "problem": answer.problem,
        "tab": answer.tab,
    }
    if view.fragment:
        return view.page("_alert.html", values, status=answer.status)
    return view.page("alert.html", {**frame(view, "alerts", place), **values}, status=answer.status)


class ChangeForm(BaseModel):
    """Take the form that changes an alert; ``action`` is the button that was pressed."""

    csrf: str = Field(max_length=128)
    version: int = Field(ge=1)
    action: Literal["take", "close", "reopen", "hand", "note", "help", "no_help"]
    reason: CloseReason | Literal[""] = ""
    person: str = Field("", max_length=64)
    comment: str = Field("", max_length=2_000)

    def change(self, actor: str) -> AlertChange:
        """Return the change this form asks for; taking an alert up makes it one's own."""
        status = {
            "take": Status.IN_PROGRESS,
            "reopen": Status.IN_PROGRESS,
            "close": Status.CLOSED,
            "hand": Status.ASSIGNED,
        }.get(self.action)
        owner = {"take": actor, "reopen": actor, "hand": self.person}.get(self.action)
        return AlertChange(
            actor=actor,
            version=self.version,
            status=status,
            close_reason=self.reason or None,
            assigned_to=owner,
            help_wanted={"help": True, "no_help": False}.get(self.action),
            comment=self.comment.strip(),
        )


ChangeDependency = Annotated[ChangeForm, Form()]


def apply_change(view: View, alert_id: str, asked: ChangeForm) -> tuple[str, int]:
    """Change the alert; return what was wrong in the reader's words and the HTTP status (empty and 200: done)."""
    caller = caller_of(view)
    check_csrf(caller, asked.csrf)
    if not caller.user.role.may_handle:
        return view.say("alert.only_looks"), 403
    card, _history = card_of(view.services, caller, alert_id)
    names = {user.name for user in people_for(view.services, caller, card.alert.organization_id)}
    if asked.action == "hand" and asked.person not in names:
        return view.say("alert.no_person"), 422
    if asked.action == "close" and not asked.reason:
        return view.say("alert.needs_reason"), 422
    try:
        with view.services.database.write() as connection:
            change_alert(connection, caller.scope, alert_id, asked.change(caller.user.name), now=view.now)
    except ConflictError:
        return view.say("alert.changed_meanwhile"), 409
    except UsageError:
        return view.say("alert.refused"), 409
    return "", 200


@router.post("/alerts/{alert_id}")
def change(view: MemberView, place: PlaceDependency, alert_id: str, asked: ChangeDependency) -> Response:
    """Change an alert and show it again, with what was wrong if it could not be changed."""
    problem, status = apply_change(view, alert_id, asked)
    return alert_page(view, place, alert_id, Answer(problem=problem, status=status))


@router.get("/alerts/{alert_id}/packets")
def packets(view: MemberView, alert_id: str) -> Response:
    """Show the packets of an alert's session: how many, and their protocols where tshark is there."""
    caller = caller_of(view)
    found = None
    if caller.user.role.may_handle:
        found = cut_packets(view.services, caller, alert_id, "packets.seen")
    else:
        card_of(view.services, caller, alert_id)
    return view.page("_packets.html", {"cut": found, "alert_id": alert_id})


@router.get("/alerts/{alert_id}/whereabouts")
def whereabouts(request: Request, view: MemberView, alert_id: str) -> Response:
    """Show who had the alert's address when it was first seen, and how sure that is."""
    caller = caller_of(view)
    card, _history = card_of(view.services, caller, alert_id)
    alert, found, problem = card.alert, list[Whereabouts](), ""
    turns: Turns = request.app.state.questions
    if alert.entity.kind == "ip":
        scope = caller.narrowed(alert.organization_id)
        asked = Question(alert.entity.value, parse_instant(alert.first_seen), scope, alert.entity.zone)
        try:
            with turns.take(caller.user.name):
                found = look_up(view.services, asked)
        except (StoreError, UsageError) as error:
            problem = error_text(error, view.language)
    own = [answer for answer in found if answer.organization_id == alert.organization_id]
    return view.page("_whereabouts.html", {"answers": own, "problem": problem, "told": told})
