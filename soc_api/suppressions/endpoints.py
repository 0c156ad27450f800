"""Serve ``/api/v1/suppressions``: what is kept from alerting in your units, until when and why."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from intake.rules.model import ALL_RULES
from intake.rules.names import is_detector
from intake.rules.repository import (
    Ending,
    NewSuppression,
    add_suppression,
    end_suppression,
    get_suppression,
    list_suppressions,
)
from soc_api.alerts.endpoints import seen_version
from soc_api.problems import PreconditionFailedError, PreconditionMissingError, answers
from soc_api.rules.queries import place_of, rule_of
from soc_api.security import CallerDependency, TunerDependency
from soc_api.services import ServicesDependency
from soc_api.suppressions.schemas import (
    EndIn,
    SuppressionIn,
    SuppressionList,
    SuppressionOut,
    suppression_out,
)
from soc_core.access.answers import Asked, keep, recall
from soc_core.clock import format_instant
from soc_core.errors import ConflictError

router = APIRouter(prefix="/api/v1/suppressions", tags=["suppressions"], responses=answers(401, 422))
SuppressionId = Annotated[str, Path(max_length=32, pattern=r"^[a-z0-9]+$")]
NOT_FOUND = "no such suppression that you may see"


class SuppressionQuery(BaseModel):
    """Take the filters of a list; absent ones do not narrow."""

    model_config = ConfigDict(extra="forbid")
    organisation: str = Field("", max_length=32, description="id of a unit; units below it are included")
    rule: str = Field("", max_length=64, description="also those of all rules")
    ended: bool = Field(False, description="also those that are over")
    limit: int = Field(100, ge=1, le=500)


@router.get("")
def list_(
    caller: CallerDependency, services: ServicesDependency, narrow: Annotated[SuppressionQuery, Query()]
) -> SuppressionList:
    """List suppressions of your units, newest first."""
    now = services.clock()
    with services.database.read() as connection:
        found = list_suppressions(
            connection,
            caller.narrowed(narrow.organisation),
            active_at="" if narrow.ended else format_instant(now),
            rule_id=narrow.rule,
            limit=narrow.limit,
        )
    return SuppressionList(items=[suppression_out(item, now) for item in found])


@router.get("/{suppression_id}", responses=answers(404, s404=NOT_FOUND))
def show(
    suppression_id: SuppressionId, response: Response, caller: CallerDependency, services: ServicesDependency
) -> SuppressionOut:
    """Show a suppression; the ``ETag`` is its version."""
    with services.database.read() as connection:
        found = get_suppression(connection, caller.scope, suppression_id)
    response.headers["ETag"] = f'"{found.version}"'
    return suppression_out(found, services.clock())


@router.post(
    "", status_code=201, responses=answers(400, 403, 404, s404="no such rule or unit that you may see")
)
def create(
    wanted: SuppressionIn,
    caller: TunerDependency,
    services: ServicesDependency,
    idempotency_key: Annotated[str, Header(max_length=64, pattern=r"^[\x21-\x7e]*$")] = "",
) -> SuppressionOut:
    """Suppress from now on; the same ``Idempotency-Key`` within a day does it once."""
    now = services.clock()
    place = place_of(caller, wanted.organisation)
    if wanted.rule != ALL_RULES and not is_detector(wanted.rule):
        rule_of(services, wanted.rule)
    asked = Asked(caller.user.name, idempotency_key, f"suppressions\0{wanted.model_dump_json()}".encode())
    new = NewSuppression(
        rule_id=wanted.rule,
        organization_id=place,
        owner=caller.user.name,
        reason=wanted.reason,
        expires=wanted.expires_at,
        entity_kind=wanted.entity_kind,
        entity_value=wanted.entity,
        query=wanted.query,
    )
    with services.database.write() as connection:
        known = recall(connection, asked, now=now) if idempotency_key else None
        if known is not None:
            return SuppressionOut.model_validate_json(known)
        made = suppression_out(add_suppression(connection, caller.scope, new, now=now), now)
        if idempotency_key:
            keep(connection, asked, orjson.dumps(made.model_dump()).decode(), now=now)
    return made


@router.post("/{suppression_id}/end", responses=answers(400, 403, 404, 412, 428, s404=NOT_FOUND))
def end(
    suppression_id: SuppressionId,
    wanted: EndIn,
    caller: TunerDependency,
    services: ServicesDependency,
    version: Annotated[int | None, Depends(seen_version)],
) -> SuppressionOut:
    """Take a suppression back; ``If-Match`` carries the version you saw."""
    now = services.clock()
    with services.database.read() as connection:
        get_suppression(connection, caller.scope, suppression_id)
    if version is None:
        raise PreconditionMissingError("a change needs If-Match", todo="send the ETag of the suppression")
    ending = Ending(suppression_id, caller.user.name, wanted.reason, version)
    try:
        with services.database.write() as connection:
            return suppression_out(end_suppression(connection, caller.scope, ending, now=now), now)
    except ConflictError as error:
        raise PreconditionFailedError(error.what, where=error.where, todo=error.todo) from error
