"""Serve ``/api/v1/live``: server-sent events (WHATWG HTML, section 9.2) of the changes a caller may see.

The stream reads the outbox, so a client that comes back with ``Last-Event-ID`` misses nothing. Session and scope are
worked out anew for each reading: a session that ended or a unit that moved takes effect at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from soc_api.limits import Turns
from soc_api.live.pulse import Pulse
from soc_api.problems import TooManyError, answers
from soc_api.security import COOKIE, CallerDependency, find_caller
from soc_api.services import Services, ServicesDependency
from soc_core.jobs import outbox

router = APIRouter(tags=["live"])
PAUSE_SECONDS: Final = 0.3
QUIET_PAUSES: Final = 50
"""After this many pauses without a change the session is looked at again and the client hears that we are there."""
MOST: Final = 500


@router.get(
    "/api/v1/live",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **answers(401, 422, 429),
    },
)
async def live(
    request: Request,
    services: ServicesDependency,
    caller: CallerDependency,
    after: Annotated[
        int | None, Query(ge=0, le=10**18, description="sequence to go on from; now by default")
    ] = None,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,18}$")] = "",
) -> StreamingResponse:
    """Stream changes: ``event: alert.created`` or ``alert.updated`` with ``data: {"alert_id": …}``."""
    pulse: Pulse = request.app.state.pulse
    turns: Turns = request.app.state.streams
    if turns.full(caller.user.name):
        raise TooManyError("too many streams at once", todo="close some pages")
    start = int(last_event_id) if last_event_id else after
    if start is None:
        start = await pulse.newest()
    return StreamingResponse(
        _counted(turns, caller.user.name, _stream(request, services, pulse, start)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _counted(turns: Turns, name: str, stream: AsyncIterator[str]) -> AsyncIterator[str]:
    """Hold one of the account's turns from the first message on: a stream that nobody ever reads holds none."""
    with suppress(TooManyError), turns.take(name):
        async for message in stream:
            yield message


async def _stream(request: Request, services: Services, pulse: Pulse, sequence: int) -> AsyncIterator[str]:
    token = request.cookies.get(COOKIE, "")
    yield f"retry: 2000\nid: {sequence}\n\n"
    quiet = 0
    while not (request.app.state.closing.is_set() or await request.is_disconnected()):
        newest = await pulse.newest()
        quiet += 1
        if newest > sequence or quiet >= QUIET_PAUSES:
            found = await run_in_threadpool(_changes, services, token, sequence)
            if found is None:
                yield "event: session.ended\ndata: {}\n\n"
                return
            for change in found:
                yield _message(change)
            # What others' units changed is passed over, or it would be read again with every pause.
            last = found[-1].sequence if found else sequence
            sequence = last if len(found) == MOST else max(newest, last)
            if not found and quiet >= QUIET_PAUSES:
                yield ": still here\n\n"
            quiet = 0
        await asyncio.sleep(PAUSE_SECONDS)


def _message(change: outbox.Change) -> str:
    data = orjson.dumps({**change.payload, "organisation_id": change.organization_id}).decode()
    return f"id: {change.sequence}\nevent: {change.topic}\ndata: {data}\n\n"


def _changes(services: Services, token: str, sequence: int) -> list[outbox.Change] | None:
    with services.database.read() as connection:
        caller = find_caller(services, connection, token)
        if caller is None:
            return None
        return list(outbox.after(connection, sequence, caller.scope, limit=MOST))
