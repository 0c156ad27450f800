"""Serve ``/api/v1/organisations``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from cases.alerts.model import Status
from cases.alerts.repository import AlertFilter, count_by
from soc_api.organisations.schemas import OrganisationList, OrganisationOut
from soc_api.security import Caller, CallerDependency
from soc_api.services import Services, ServicesDependency
from soc_core.errors import NotAllowedError
from soc_core.model.organisation import Organisation

router = APIRouter(
    prefix="/api/v1/organisations",
    tags=["organisations"],
    responses={401: {"description": "not logged in"}, 422: {"description": "not valid"}},
)
OPEN = tuple(status.value for status in Status if status != Status.CLOSED)


def visible_units(caller: Caller) -> list[Organisation]:
    """Return the units the caller may see, parents before children, siblings by code."""
    root = caller.user.organisation_id
    found: list[Organisation] = []
    waiting = [caller.tree.units[root]] if root in caller.tree.units else []
    while waiting:
        unit = waiting.pop()
        if caller.scope.allows(unit.id) and unit not in found:
            found.append(unit)
            waiting.extend(reversed(caller.tree.children(unit.id)))
    return found


@router.get("")
def list_(caller: CallerDependency, services: ServicesDependency) -> OrganisationList:
    """List the units you may see."""
    return OrganisationList(items=[_out(services, caller, unit) for unit in visible_units(caller)])


@router.get("/{organisation_id}", responses={404: {"description": "no such unit that you may see"}})
def show(
    organisation_id: Annotated[str, Path(max_length=32, pattern=r"^[a-z0-9]+$")],
    caller: CallerDependency,
    services: ServicesDependency,
) -> OrganisationOut:
    """Show one unit."""
    unit = caller.tree.units.get(organisation_id)
    if unit is None or not caller.scope.allows(unit.id):
        raise NotAllowedError(f"there is no unit '{organisation_id}' that you may see")
    return _out(services, caller, unit)


def _out(services: Services, caller: Caller, unit: Organisation) -> OrganisationOut:
    narrow = AlertFilter(statuses=OPEN, organization_ids=caller.tree.subtree(unit.id))
    with services.database.read() as connection:
        counts = count_by(connection, caller.scope, narrow, "severity")
    return OrganisationOut(
        id=unit.id,
        code=unit.code,
        name=unit.name,
        name_en=unit.name_en,
        level=unit.level,
        kind=unit.kind,
        parent_id=unit.parent_id,
        codes=unit.codes,
        open_alerts=counts,
    )
