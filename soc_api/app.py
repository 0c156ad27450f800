"""Build the web application: API, live stream and console pages."""

from __future__ import annotations

import threading
from typing import Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soc_api import problems
from soc_api.alerts.endpoints import router as alerts
from soc_api.events.endpoints import router as events
from soc_api.live.endpoints import router as live
from soc_api.live.pulse import Pulse
from soc_api.organisations.endpoints import router as organisations
from soc_api.pages.rendering import HERE
from soc_api.pages.routes import router as pages
from soc_api.pages.views import on_page_error
from soc_api.security import SAFE, from_another_site
from soc_api.services import Services
from soc_api.session.endpoints import router as session

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
ONE_YEAR: Final = 31_536_000


def create_app(services: Services) -> FastAPI:
    """Return the application of one installation."""
    app = FastAPI(
        title="edusoc", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    app.state.services = services
    app.state.pulse = Pulse(services)
    app.state.closing = threading.Event()  # set when the server stops, so that streams end
    problems.install(app, on_page_error)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)  # leaves event streams alone
    app.add_middleware(Guard)
    for router in (session, alerts, events, organisations, live, pages):
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
    """Refuse changes that another site's page sends, and add the security headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Take what to guard."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI, so that streams pass through as they come)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), request)
            await send(message)

        if request.method not in SAFE and from_another_site(request):
            refusal = problems.problem(403, "not allowed", "the request comes from another site")
            await refusal(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)


def _add_headers(headers: MutableHeaders, request: Request) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if request.url.scheme == "https":
        headers.setdefault("Strict-Transport-Security", f"max-age={ONE_YEAR}")
    path = request.url.path
    kept = (
        "no-store"
        if path.startswith("/api/")
        else "public, max-age=3600"
        if path.startswith("/static/")
        else ""
    )
    if kept:
        headers.setdefault("Cache-Control", kept)
