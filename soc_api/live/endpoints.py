"""Serve ``/api/v1/live``: server-sent events (WHATWG HTML, section 9.2) of the changes a caller may see.

The stream reads the outbox, so a client that comes back with ``Last-Event-ID`` misses nothing. Scope is worked out anew
for each reading: a session that ended or a unit that moved takes effect at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from soc_api.security import COOKIE, current_caller, find_caller
from soc_api.services import Services, ServicesDependency
from soc_core.jobs import outbox

router = APIRouter(tags=["live"])
PAUSE_SECONDS: Final = 0.5
HEARTBEAT_PAUSES: Final = 30


@router.get(
    "/api/v1/live",
    response_class=StreamingResponse,
    dependencies=[Depends(current_caller)],
    responses={200: {"content": {"text/event-stream": {}}}, 401: {"description": "not logged in"}},
)
async def live(
    request: Request,
    services: ServicesDependency,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,18}$")] = "",
) -> StreamingResponse:
    """Stream changes: ``event: alert.created`` or ``alert.updated`` with ``data: {"alert_id": …}``."""
    start = int(last_event_id) if last_event_id else await run_in_threadpool(_last, services)
    stream = _stream(request, services, start)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream(request: Request, services: Services, sequence: int) -> AsyncIterator[str]:
    yield f"retry: 2000\nid: {sequence}\n\n"
    quiet = 0
    while not await request.is_disconnected():
        found = await run_in_threadpool(_changes, services, request.cookies.get(COOKIE, ""), sequence)
        if found is None:
            yield "event: session.ended\ndata: {}\n\n"
            return
        for change in found:
            sequence = change.sequence
            data = orjson.dumps({**change.payload, "organisation_id": change.organization_id}).decode()
            yield f"id: {change.sequence}\nevent: {change.topic}\ndata: {data}\n\n"
        quiet = 0 if found else quiet + 1
        if quiet >= HEARTBEAT_PAUSES:
            quiet = 0
            yield ": still here\n\n"
        await asyncio.sleep(PAUSE_SECONDS)


def _changes(services: Services, token: str, sequence: int) -> list[outbox.Change] | None:
    with services.database.read() as connection:
        caller = find_caller(services, connection, token)
        if caller is None:
            return None
        return list(outbox.after(connection, sequence, caller.scope))


def _last(services: Services) -> int:
    with services.database.read() as connection:
        return outbox.last_sequence(connection)
