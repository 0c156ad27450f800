"""Make the tours of the start page: what each role should look at, with links that lead there.

Texts stand in ``messages.toml`` under ``edusoc.demo.tour.<role>.<step>``. A path may name ``{top}``, the id of the most
urgent open alert that the account may see, and ``{school}``, the id of the unit that this alert is at; a step whose
path can't be filled is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cases.alerts.model import Status
from cases.alerts.repository import AlertFilter, list_alerts
from edusoc.demo.words import say
from soc_api.services import Services, Tour, TourStep
from soc_core.access.accounts import User, list_users
from soc_core.i18n import LANGUAGES
from soc_core.organisations.repository import OrganisationTree, load_tree, today

STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "analyst": {
        "overview": "/overview?hours=168",
        "urgent": "/alerts?severity=high",
        "alert": "/alerts/{top}",
        "hunt": "/events?q=event.dataset%3Apackets.dns%20AND%20dns.question.name%3A*.example&hours=168",
        "months": "/overview?hours=4320",
    },
    "contact": {
        "tasks": "/tasks",
        "task": "/tasks/{top}",
        "alert": "/alerts/{top}",
        "events": "/events?hours=168",
    },
    "auditor": {
        "closed": "/alerts?status=all",
        "alert": "/alerts/{top}",
        "gaps": "/overview?hours=4320",
    },
    "overseer": {
        "overview": "/overview?hours=720",
        "school": "/alerts?organisation={school}",
        "months": "/overview?hours=4320",
    },
    "developer": {
        "openapi": "/api/v1/openapi.json",
        "alerts": "/api/v1/alerts?severity=high",
        "events": "/api/v1/events?limit=10",
        "units": "/api/v1/organisations",
    },
}
"""Role → step → path, in the order in which they are shown."""


def make_tours(services: Services) -> list[Tour]:
    """Return a tour for each demo account."""
    with services.database.read() as connection:
        tree = load_tree(connection, today(services.clock()))
        people = list_users(connection, demo_only=True)
    return [_tour(services, tree, person) for person in people]


def _tour(services: Services, tree: OrganisationTree, person: User) -> Tour:
    opened = AlertFilter(statuses=(Status.NEW, Status.ASSIGNED, Status.IN_PROGRESS))
    with services.database.read() as connection:
        found = list_alerts(connection, tree.visible_to(person.organisation_id), opened, limit=1)
    places = {"top": found[0].id, "school": found[0].organization_id} if found else {}
    steps = []
    for name, path in STEPS[person.role.value].items():
        if not places and "{" in path:
            continue
        key = f"tour.{person.role.value}.{name}"
        steps.append(
            TourStep({language: say(key, language) for language in LANGUAGES}, path.format(**places))
        )
    return Tour(person.name, steps)
