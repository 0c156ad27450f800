"""Build the web application: API, live stream and console pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from soc_api import problems
from soc_api.alerts.endpoints import router as alerts
from soc_api.events.endpoints import router as events
from soc_api.live.endpoints import router as live
from soc_api.organisations.endpoints import router as organisations
from soc_api.pages.rendering import HERE
from soc_api.pages.routes import LoginNeededError, to_login
from soc_api.pages.routes import router as pages
from soc_api.services import Services
from soc_api.session.endpoints import router as session

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(services: Services) -> FastAPI:
    """Return the application of one installation."""
    app = FastAPI(
        title="edusoc", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    app.state.services = services
    problems.install(app)
    app.middleware("http")(_secure)
    app.add_exception_handler(LoginNeededError, to_login)
    for router in (session, alerts, events, organisations, live, pages):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app


async def _secure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.url.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
