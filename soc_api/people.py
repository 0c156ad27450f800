"""Say to whom an alert can be handed."""

from __future__ import annotations

from soc_api.security import Caller
from soc_api.services import Services
from soc_core.access.accounts import User, list_users


def people_for(services: Services, caller: Caller, organisation_id: str) -> list[User]:
    """Return who may handle alerts of a unit, as far as the caller may know them: accounts inside the own scope."""
    with services.database.read() as connection:
        everybody = list_users(connection)
    return [
        user
        for user in everybody
        if user.role.may_handle
        and caller.scope.allows(user.organisation_id or "")
        and caller.tree.visible_to(user.organisation_id).allows(organisation_id)
    ]
