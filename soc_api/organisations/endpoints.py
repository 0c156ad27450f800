"""Serve ``/api/v1/organisations``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from cases.alerts.repository import count_open
from soc_api.organisations.schemas import OrganisationList, OrganisationOut
from soc_api.problems import answers
from soc_api.security import Caller, CallerDependency
from soc_api.services import ServicesDependency
from soc_core.errors import NotAllowedError
from soc_core.model.detection import Severity
from soc_core.model.organisation import Organisation

router = APIRouter(prefix="/api/v1/organisations", tags=["organisations"])
Counts = dict[str, dict[Severity, int]]


def visible_units(caller: Caller) -> list[Organisation]:
    """Return the units the caller may see, parents before children, siblings by code."""
    root = caller.user.organisation_id
    found: dict[str, Organisation] = {}
    waiting = [caller.tree.units[root]] if root in caller.tree.units else []
    while waiting:
        unit = waiting.pop()
        if caller.scope.allows(unit.id) and unit.id not in found:
            found[unit.id] = unit
            waiting.extend(reversed(caller.tree.children(unit.id)))
    return list(found.values())


@router.get("", responses=answers(401))
def list_(caller: CallerDependency, services: ServicesDependency) -> OrganisationList:
    """List the units you may see."""
    with services.database.read() as connection:
        counts = count_open(connection, caller.scope)
    return OrganisationList(items=[_out(caller, unit, counts) for unit in visible_units(caller)])


@router.get("/{organisation_id}", responses=answers(401, 404, 422, s404="no such unit that you may see"))
def show(
    organisation_id: Annotated[str, Path(max_length=32, pattern=r"^[a-z0-9]+$")],
    caller: CallerDependency,
    services: ServicesDependency,
) -> OrganisationOut:
    """Show one unit."""
    unit = caller.tree.units.get(organisation_id)
    if unit is None or not caller.scope.allows(unit.id):
        raise NotAllowedError(f"there is no unit '{organisation_id}' that you may see")
    with services.database.read() as connection:
        return _out(caller, unit, count_open(connection, caller.narrowed(unit.id)))


def below(caller: Caller, unit: Organisation, counts: Counts) -> dict[Severity, int]:
    """Return a unit's open alerts per severity, those of all units below it included."""
    total: dict[Severity, int] = {}
    for id_ in caller.tree.subtree(unit.id):
        for severity, number in counts.get(id_, {}).items():
            total[severity] = total.get(severity, 0) + number
    return total


def _out(caller: Caller, unit: Organisation, counts: Counts) -> OrganisationOut:
    return OrganisationOut(
        id=unit.id,
        code=unit.code,
        name=unit.name,
        name_en=unit.name_en,
        level=unit.level,
        kind=unit.kind,
        parent_id=unit.parent_id if caller.scope.allows(unit.parent_id or "") else None,
        codes=unit.codes,
        open_alerts={level.value: number for level, number in below(caller, unit, counts).items()},
    )
