"""Put the console's pages together. They ask the same functions as the API and add no logic of their own."""

from __future__ import annotations

from fastapi import APIRouter

from soc_api.pages import agents, alerts, audit, entry, events, overview, rules, tasks

router = APIRouter(include_in_schema=False)
for part in (entry, overview, alerts, events, agents, rules, audit, tasks):
    router.include_router(part.router)
