"""Build the application that agents speak to (``docs/reference/uplink.md``).

Whoever can't sign is refused before a byte of his body is read. Bodies are bounded in size, time and number, and few
are worked on at once, so memory stays bounded whoever comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from intake.agents.admission import Admitted
from intake.agents.refusing import RefusedError
from intake.agents.service import Intake
from soc_core.clock import format_instant
from soc_core.errors import InputError, StoreError
from soc_core.uplink import answers
from soc_core.uplink.answers import STATUS, Receipt, Refusal
from soc_core.uplink.heartbeat import MAX_BYTES as MAX_HEARTBEAT
from soc_core.uplink.packets import PACKETS, packets_path
from soc_core.uplink.wire import ENROL, HEARTBEAT, MAX_BODY, RECORDS

MAX_ENROL: Final = 16_384
BODIES_AT_ONCE: Final = 32
"""Each may take ``MAX_BODY`` bytes while it arrives."""
WORK_AT_ONCE: Final = 2
"""Each may unfold to ``MAX_PLAIN`` bytes, and some five times that as objects."""
IDLE_SECONDS: Final = 60.0
"""So long a body may stand still: links of schools are thin."""
BODY_SECONDS: Final = 900.0
ENROL_SECONDS: Final = 20.0
BUSY_WAIT: Final = 5
FULL_WAIT: Final = 30
_STRANGERS: Final = frozenset({answers.UNKNOWN, answers.MALFORMED, answers.CODE, answers.REVOKED})
Take = Callable[[Admitted, bytes], Receipt]
"""Take the body of an admitted request."""
LOG: Final = logging.getLogger("edusoc.intake")


def create_intake_app(intake: Intake) -> Starlette:
    """Return the application for agents of one centre."""
    endpoints = _Endpoints(intake)
    app = Starlette(
        routes=[
            Route(ENROL, endpoints.enrol, methods=["POST"]),
            Route(RECORDS, endpoints.records, methods=["POST"]),
            Route(HEARTBEAT, endpoints.heartbeat, methods=["POST"]),
            Route(PACKETS + "/{number:int}", endpoints.packets, methods=["POST"]),
        ]
    )
    app.state.intake = intake
    return app


class _Endpoints:
    """Answer agents."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bodies = asyncio.Semaphore(BODIES_AT_ONCE)
        self._work = asyncio.Semaphore(WORK_AT_ONCE)

    async def enrol(self, request: Request) -> Response:
        """Let an agent join."""

        async def answered() -> Response:
            address, registrar = _address(request), self._intake.registrar
            registrar.check_address(address)
            async with asyncio.timeout(ENROL_SECONDS):
                body = await _body(request, MAX_ENROL)
            async with self._work:
                answer = await run_in_threadpool(registrar.enrol, body, address)
            return _json(answer.encode())

        return await self._said(answered)

    async def records(self, request: Request) -> Response:
        """Take records."""
        return await self._signed(request, RECORDS, MAX_BODY, self._intake.receiver.records)

    async def heartbeat(self, request: Request) -> Response:
        """Take a heartbeat."""
        return await self._signed(request, HEARTBEAT, MAX_HEARTBEAT, self._intake.receiver.heartbeat)

    async def packets(self, request: Request) -> Response:
        """Take the packets that an order asked for."""
        number: int = request.path_params["number"]
        take = partial(self._intake.receiver.packets, number)
        return await self._signed(request, packets_path(number), MAX_BODY, take)

    async def _signed(self, request: Request, path: str, most: int, take: Take) -> Response:
        async def answered() -> Response:
            gate = self._intake.gate
            admitted = await run_in_threadpool(gate.enter, request.headers, path, _address(request))
            try:
                if self._bodies.locked():
                    raise RefusedError(answers.BUSY, wait=BUSY_WAIT)
                async with self._bodies:
                    async with asyncio.timeout(BODY_SECONDS):
                        body = await _body(request, most)
                    await run_in_threadpool(gate.check_body, admitted, body)
                    async with self._work:
                        receipt = await run_in_threadpool(take, admitted, body)
                return _json(receipt.encode())
            finally:
                gate.leave(admitted)

        return await self._said(answered)

    async def _said(self, answered: Callable[[], Awaitable[Response]]) -> Response:
        """Turn what goes wrong into an answer that an agent understands."""
        try:
            return await answered()
        except RefusedError as error:
            return self._refuse(error.refusal(format_instant(self._intake.clock())))
        except InputError as error:
            return self._refuse(Refusal(answers.MALFORMED, error.what))
        except StoreError as error:
            LOG.warning("%s", error)
            return self._refuse(Refusal(answers.BUSY, "the centre can't take it now", wait=FULL_WAIT))
        except TimeoutError:
            return self._refuse(Refusal(answers.MALFORMED, "the request did not arrive in time"))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    def _refuse(self, refusal: Refusal) -> Response:
        answer = _json(refusal.encode(), STATUS[refusal.kind])
        if refusal.wait:
            answer.headers["Retry-After"] = str(refusal.wait)
        if refusal.kind in _STRANGERS:
            answer.headers["Connection"] = "close"  # or the rest of the body would still be read
        return answer


def _json(body: bytes, status: int = 200) -> Response:
    return Response(
        body, status_code=status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _body(request: Request, most: int) -> bytes:
    """Return a request's body; raise ``RefusedError`` when it is too large, ``TimeoutError`` when it stands still."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 12 or int(announced) > most):
        raise RefusedError(answers.TOO_LARGE)
    found = bytearray()
    chunks = request.stream()
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            chunk = await anext(chunks, None)
        if chunk is None:
            return bytes(found)
        found += chunk
        if len(found) > most:
            raise RefusedError(answers.TOO_LARGE)
