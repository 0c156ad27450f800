"""Build the web application: API, live stream and console pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soc_api import limits, problems
from soc_api.agents.endpoints import router as agents
from soc_api.alerts.endpoints import router as alerts
from soc_api.events.endpoints import router as events
from soc_api.indicators.endpoints import router as indicators
from soc_api.live.endpoints import router as live
from soc_api.live.pulse import Pulse
from soc_api.organisations.endpoints import router as organisations
from soc_api.pages.rendering import HERE
from soc_api.pages.routes import router as pages
from soc_api.pages.views import on_page_error
from soc_api.rules.endpoints import router as rules
from soc_api.rules.hunting import router as hunting
from soc_api.security import SAFE, from_another_site
from soc_api.services import Services
from soc_api.session.endpoints import router as session
from soc_api.store.endpoints import router as store
from soc_api.suppressions.endpoints import router as suppressions
from soc_api.whereabouts.endpoints import router as whereabouts

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
ROUTERS: Final = (
    *(session, alerts, events, organisations, agents, store, whereabouts),
    *(rules, hunting, suppressions, indicators, live, pages),
)
ONE_YEAR: Final = 31_536_000


def create_app(services: Services) -> FastAPI:
    """Return the application of one installation."""
    app = FastAPI(
        title="edusoc", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    app.state.services = services
    app.state.pulse = Pulse(services)
    app.state.closing = threading.Event()  # set when the server stops, so that streams end
    app.state.questions = limits.Turns(limits.QUESTIONS_AT_ONCE, limits.QUESTIONS_OF_ALL)
    app.state.streams = limits.Turns(limits.STREAMS_AT_ONCE)
    answer = problems.install(app, on_page_error)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)  # leaves event streams alone
    app.add_middleware(Guard, on_error=answer)
    for router in (
        session,
        alerts,
        events,
        organisations,
        agents,
        store,
        whereabouts,
        rules,
        hunting,
        suppressions,
        indicators,
        live,
        pages,
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the documented way to extend the schema
    return app


def _openapi(app: FastAPI) -> dict[str, object]:
    """Return the API's description; FastAPI's own form of validation errors is replaced by problem details."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        described = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(described.pop("$defs"))
        schemas["Problem"] = described
        app.openapi_schema = made
    return app.openapi_schema


class Guard:
    """Refuse changes that another site's page sends and bodies without bound; give every answer its headers."""

    def __init__(self, app: ASGIApp, on_error: Callable[[Request, Exception], Response]) -> None:
        """Take what to guard, and what answers errors."""
        self._app = app
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI, so that streams pass through as they come)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), request)
            await send(message)

        try:
            whole = await _admitted(request, receive)
            if whole is not None:
                await self._app(scope, whole, guarded)
        except Exception as error:
            # Nothing outside adds headers any more; the server still logs what was not foreseen.
            if not started:
                await self._on_error(request, error)(scope, receive, guarded)
            if problems.status_of(error) == 500:
                raise


async def _admitted(request: Request, receive: Receive) -> Receive | None:
    """Return what gives the request's body, ``None`` when the client went away; raise when it may not come in."""
    if request.method in SAFE:
        return receive
    if from_another_site(request):
        raise problems.ForbiddenError("the request comes from another site")
    return await limits.read_body(receive, request.headers.get("content-length", ""))


def _add_headers(headers: MutableHeaders, request: Request) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if request.url.scheme == "https":
        headers.setdefault("Strict-Transport-Security", f"max-age={ONE_YEAR}")
    public = request.url.path.startswith("/static/")
    headers.setdefault("Cache-Control", "public, max-age=3600" if public else "no-store")
