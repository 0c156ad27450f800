"""Serve the room of rules: how they stand in a unit, what they did, why some can't see; one rule beside the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Form, Query, Response

from intake.rules.model import RuleState
from intake.rules.repository import SettingChange, change_setting
from soc_api.pages.rendering import View
from soc_api.pages.views import MemberView, Place, PlaceDependency, caller_of, frame
from soc_api.problems import ForbiddenError
from soc_api.rules.queries import (
    DETAIL_DAYS,
    RuleDetail,
    RuleQuestion,
    detail_of,
    from_where,
    page_of_rules,
    place_of,
    rows_of,
    rule_of,
)
from soc_api.security import check_csrf
from soc_core.errors import UsageError
from soc_core.reasons import error_text

router = APIRouter(include_in_schema=False)
PAGE: Final = 200
STATES: Final = ("", "on", "silent", "off", "blind")


@dataclass(frozen=True, slots=True)
class Chip:
    """Hold a state to narrow by and how many rules are in it."""

    state: str
    number: int


@router.get("/rules")
def rules(
    view: MemberView,
    place: PlaceDependency,
    state: Literal["", "on", "silent", "off", "blind"] = "",
    q: Annotated[str, Query(max_length=128)] = "",
    cursor: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """List the rules as they stand in the chosen unit."""
    caller = caller_of(view)
    question = RuleQuestion(place.organisation, state, "", q, PAGE, cursor)
    page = page_of_rules(view.services, caller, question, view.language)
    everything = rows_of(view.services, caller, RuleQuestion(place.organisation, text=q), view.language)
    chips = [Chip("", len(everything))]
    chips += [
        Chip(name, sum(row.standing.state.value == name for row in everything))
        for name in ("on", "silent", "off")
    ]
    chips.append(Chip("blind", sum(bool(row.blind) for row in everything)))
    unit = caller.tree.units.get(place_of(caller, place.organisation))
    values = {"page": page, "state": state, "q": q, "chips": chips, "unit": view.unit_name(unit)}
    return view.page("rules.html", {**frame(view, "rules", place), **values})


@router.get("/rules/{rule_id}")
def rule(view: MemberView, place: PlaceDependency, rule_id: str) -> Response:
    """Show one rule: as a panel beside the list for htmx, else as a page."""
    return _shown(view, place, rule_id)


class StateForm:
    """Take the form that sets a rule's state."""

    def __init__(
        self,
        csrf: Annotated[str, Form(max_length=64)] = "",
        state: Annotated[Literal["on", "silent", "off", "inherit"], Form()] = "inherit",
        reason: Annotated[str, Form(max_length=500)] = "",
    ) -> None:
        """Take the fields as they came."""
        self.csrf, self.state, self.reason = csrf, state, reason


@router.post("/rules/{rule_id}")
def set_rule(
    view: MemberView, place: PlaceDependency, rule_id: str, form: Annotated[StateForm, Depends()]
) -> Response:
    """Set a rule's state in the chosen unit, then show the rule; who only looks may not."""
    caller = caller_of(view)
    check_csrf(caller, form.csrf)
    if not caller.user.role.may_tune:
        raise ForbiddenError("only analysts and administrators set rules")
    rule_of(view.services, rule_id)
    wanted = SettingChange(
        rule_id=rule_id,
        organization_id=place_of(caller, place.organisation),
        actor=caller.user.name,
        reason=form.reason,
        parts=frozenset({"state"}),
        state=None if form.state == "inherit" else RuleState(form.state),
    )
    problem = ""
    try:
        with view.services.database.write() as connection:
            change_setting(connection, caller.scope, wanted, now=view.now)
    except UsageError as error:
        problem = error_text(error, view.language)
    return _shown(view, place, rule_id, problem)


def _shown(view: View, place: Place, rule_id: str, problem: str = "") -> Response:
    caller = caller_of(view)
    detail = detail_of(view.services, caller, rule_id, place.organisation, view.language)
    unit = caller.tree.units.get(place_of(caller, place.organisation))
    values: dict[str, object] = {
        "detail": detail,
        "place": place,
        "unit": view.unit_name(unit),
        "origin": _origin(view, detail),
        "top": max((hits for _day, hits in detail.days), default=0),
        "days": DETAIL_DAYS,
        "problem": problem,
    }
    if view.fragment:
        return view.page("_rule.html", values)
    return view.page("rule.html", {**frame(view, "rules", place), **values})


def _origin(view: View, detail: RuleDetail) -> str:
    """Return the name of the unit that set the rule's state, in words."""
    caller = caller_of(view)
    where = from_where(caller, detail.row.standing.state_from)
    if where in {"", "above"}:
        return view.say(f"rules.from_{where or 'start'}")
    return view.say("rules.from_unit", unit=view.unit_name(caller.tree.units.get(where)))
