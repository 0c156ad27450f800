"""Serve the school contact's pages: one column, one task, three steps; made for a phone held in one hand."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from cases.alerts.model import OPEN
from soc_api.alerts.queries import AlertQuestion, card_of, page_of_alerts
from soc_api.pages.alerts import ChangeDependency, apply_change
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, caller_of

router = APIRouter(include_in_schema=False)
SHOWN: Final = 50
STEPS: Final = "^(|done|help)$"


@router.get("/tasks")
def tasks(view: MemberView) -> Response:
    """Show what is to be done: the open alerts of the person's units, the most urgent first."""
    question = AlertQuestion(status=tuple(OPEN), limit=SHOWN)
    page = page_of_alerts(view.services, caller_of(view), question, view.language)
    return view.page("tasks.html", {"page": page})


@router.get("/tasks/{alert_id}")
def task(view: MemberView, alert_id: str, form: Annotated[str, Query(pattern=STEPS)] = "") -> Response:
    """Show one task; ``form`` opens what is asked before it is done, or before help is called."""
    return _task(view, alert_id, form)


def _task(view: View, alert_id: str, form: str, problem: str = "", status: int = 200) -> Response:
    caller = caller_of(view)
    card, history = card_of(view.services, caller, alert_id, view.language)
    above = caller.tree.path(card.alert.organization_id)[:-1]
    # Whom to ring: the nearest unit above that names its contact. The name and number are there to be called.
    helper = next((unit for unit in reversed(above) if unit.people.get("contact")), None)
    values = {"card": card, "history": history, "form": form, "helper": helper, "problem": problem}
    return view.page("task.html", values, status=status)


@router.post("/tasks/{alert_id}")
def change(view: MemberView, alert_id: str, asked: ChangeDependency) -> Response:
    """Do what a button says; then show the task again, so that going back in the browser repeats nothing."""
    problem, status = apply_change(view, alert_id, asked)
    if problem:
        form = {"close": "done", "help": "help"}.get(asked.action, "")
        return _task(view, alert_id, form, problem, status)
    return RedirectResponse(f"/tasks/{alert_id}", status_code=303)
