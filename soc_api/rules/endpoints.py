"""Serve ``/api/v1/rules``: how rules stand in a unit, what they did there, and setting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from intake.rules.repository import SettingChange, change_setting
from soc_api.alerts.endpoints import seen_version
from soc_api.parameters import Language, LanguageParameter
from soc_api.problems import PreconditionFailedError, PreconditionMissingError, answers
from soc_api.rules.queries import RuleQuestion, detail_of, page_of_rules, place_of, rule_of
from soc_api.rules.schemas import RuleDetailOut, RulePageOut, RulePatch, rule_detail, rule_out
from soc_api.security import CallerDependency, TunerDependency
from soc_api.services import ServicesDependency
from soc_core.errors import ConflictError, UsageError
from soc_core.model.detection import Severity

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=answers(401, 422))
RuleId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Organisation = Annotated[
    str, Query(max_length=32, description="id of the unit; yours by default", pattern=r"^[a-z0-9]*$")
]


@dataclass(frozen=True, slots=True)
class Named:
    """Name a rule and the unit it is asked about."""

    rule_id: str
    organisation: str


def named(rule_id: RuleId, organisation: Organisation = "") -> Named:
    """Return which rule in which unit a path names."""
    return Named(rule_id, organisation)


NamedDependency = Annotated[Named, Depends(named)]
NOT_FOUND = "no such rule, or no such unit that you may see"


class RuleQuery(BaseModel):
    """Take the filters of a list; absent ones do not narrow."""

    model_config = ConfigDict(extra="forbid")
    organisation: str = Field("", max_length=32, description="id of the unit; yours by default")
    state: Literal["", "on", "silent", "off", "blind"] = ""
    severity: Severity | None = None
    q: str = Field(
        "", max_length=128, description="part of the title, the id, the file's name or a technique"
    )
    limit: int = Field(100, ge=1, le=500)
    cursor: str = Field("", max_length=512)
    language: Language | None = None


@router.get("", responses=answers(404, s404="no such unit that you may see"))
def list_(
    caller: CallerDependency, services: ServicesDependency, narrow: Annotated[RuleQuery, Query()]
) -> RulePageOut:
    """List rules as they stand in a unit, most severe first."""
    question = RuleQuestion(
        narrow.organisation,
        narrow.state,
        narrow.severity.value if narrow.severity else "",
        narrow.q,
        narrow.limit,
        narrow.cursor,
    )
    page = page_of_rules(services, caller, question, narrow.language or "")
    return RulePageOut(
        items=[rule_out(row, caller) for row in page.rows], total=page.total, cursor=page.cursor
    )


@router.get("/{rule_id}", responses=answers(404, s404=NOT_FOUND))
def show(
    asked: NamedDependency,
    response: Response,
    caller: CallerDependency,
    services: ServicesDependency,
    language: LanguageParameter = None,
) -> RuleDetailOut:
    """Show a rule with source, samples and statistics; the ``ETag`` is the version of the unit's own setting."""
    detail = detail_of(services, caller, asked.rule_id, asked.organisation, language or "")
    response.headers["ETag"] = f'"{detail.setting.version}"'
    return rule_detail(detail, caller)


@router.patch("/{rule_id}", responses=answers(400, 403, 404, 412, 428, s404=NOT_FOUND))
def change(
    asked: NamedDependency,
    patch: RulePatch,
    caller: TunerDependency,
    services: ServicesDependency,
    version: Annotated[int | None, Depends(seen_version)],
) -> RuleDetailOut:
    """Set a rule's state, severity or budget in a unit and below; ``If-Match`` carries the version you saw."""
    rule_of(services, asked.rule_id)
    place = place_of(caller, asked.organisation)
    if version is None:
        raise PreconditionMissingError("a change needs If-Match", todo="send the ETag of the rule")
    parts = frozenset(patch.model_fields_set - {"reason"})
    if not parts:
        raise UsageError("nothing is to be set", todo="send state, severity or budget")
    wanted = SettingChange(
        rule_id=asked.rule_id,
        organization_id=place,
        actor=caller.user.name,
        reason=patch.reason,
        parts=parts,
        state=patch.state,
        severity=patch.severity,
        budget=patch.budget,
        version=version,
    )
    try:
        with services.database.write() as connection:
            change_setting(connection, caller.scope, wanted, now=services.clock())
    except ConflictError as error:
        raise PreconditionFailedError(error.what, where=error.where, todo=error.todo) from error
    return rule_detail(detail_of(services, caller, asked.rule_id, place), caller)
