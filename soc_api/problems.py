"""Answer errors as problem details (RFC 9457), in words a client can show and in the language it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from soc_api.faults import faults_of
from soc_api.negotiation import language_of
from soc_core import i18n
from soc_core.errors import (
    ConflictError,
    EdusocError,
    InputError,
    NotAllowedError,
    StoreBusyError,
    StoreError,
    UsageError,
)
from soc_core.reasons import error_text, reason_text

MEDIA_TYPE: Final = "application/problem+json"


class NotLoggedInError(EdusocError):
    """Report a request without a valid session."""


class ForbiddenError(EdusocError):
    """Report that the caller's role does not allow the action."""


class TooManyError(EdusocError):
    """Report that an account has too much under way at once (RFC 6585, 429)."""


class TooLargeError(EdusocError):
    """Report a body larger than anything that is asked for here (RFC 9110, 413)."""


class TooSlowError(EdusocError):
    """Report a body that does not end (RFC 9110, 408)."""


class PreconditionMissingError(UsageError):
    """Report a change without ``If-Match`` (RFC 6585, 428)."""


class PreconditionFailedError(UsageError):
    """Report that ``If-Match`` names an old version (RFC 9110, 412)."""


STATUS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (NotLoggedInError, 401, "not logged in"),
    (ForbiddenError, 403, "not allowed"),
    (NotAllowedError, 404, "not found"),  # what you may not see looks like it does not exist
    (PreconditionMissingError, 428, "precondition required"),
    (PreconditionFailedError, 412, "precondition failed"),
    (ConflictError, 409, "changed meanwhile"),
    (UsageError, 422, "not valid"),
    (InputError, 422, "not valid"),
    (TooLargeError, 413, "too large"),
    (TooSlowError, 408, "too slow"),
    (TooManyError, 429, "too many requests"),
    (StoreBusyError, 503, "busy"),
    (StoreError, 503, "store not available"),
    (OperationalError, 503, "busy"),
)
WORDS: Final = {
    400: "the body can't be read",
    401: "not logged in",
    403: "your role does not allow it, or the CSRF token is missing",
}
LANGUAGE_HEADERS: Final = {
    "Content-Language": {
        "description": "language of the texts, chosen by Accept-Language (zh or en; English without it)",
        "schema": {"type": "string", "enum": list(i18n.LANGUAGES)},
    }
}


class Fault(BaseModel):
    """Name one part of a request that is not valid."""

    where: str
    what: str


class Problem(BaseModel):
    """Say what went wrong: ``title`` is the kind, ``detail`` this case, ``errors`` the parts of a bad request."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Fault] | None = None


def answers(*statuses: int, **words: str) -> dict[int | str, dict[str, object]]:
    """Return the documentation of a route's problem answers; ``words`` such as ``s404="no such alert"`` explain."""
    named = {name.removeprefix("s"): text for name, text in words.items()}
    return {
        status: {
            "description": named.get(str(status), WORDS.get(status, title_of(status))),
            "headers": LANGUAGE_HEADERS,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def title_of(status: int) -> str:
    """Return the short name of a problem's kind."""
    return next((title for _, code, title in STATUS if code == status), "error")


def problem(
    status: int, title: str, detail: str = "", *, language: str, faults: list[dict[str, str]] | None = None
) -> JSONResponse:
    """Return a problem+json answer; ``title`` is put into ``language``, ``detail`` and ``faults`` are in it."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": reason_text(title, language),
        "status": status,
    }
    if detail:
        body["detail"] = detail
    if faults is not None:
        body["errors"] = faults
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(
    app: FastAPI, on_page_error: Callable[[Request, Exception], Response]
) -> Callable[[Request, Exception], Response]:
    """Make the API answer all errors as problem details, and pages as ``on_page_error`` says; return what does so."""
    for package in ("cases", "detectors", "intake", "soc_api"):
        i18n.load(package)

    def answer(request: Request, error: Exception) -> Response:
        api = request.url.path.startswith("/api/")
        return on_error(request, error) if api else on_page_error(request, error)

    for kind in (EdusocError, OperationalError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
    return answer


def status_of(error: Exception) -> int:
    """Return the HTTP status that an error stands for."""
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, RequestValidationError):
        return 422
    return next((code for kind, code, _ in STATUS if isinstance(error, kind)), 500)


def on_error(request: Request, error: Exception) -> Response:
    """Return the problem details of an error; what is not ours gives nothing away."""
    status, language = status_of(error), language_of(request)
    if isinstance(error, HTTPException):
        answer = problem(status, str(error.detail), language=language)
        answer.headers.update(error.headers or {})
        if status == 405:
            answer.headers["Allow"] = ", ".join(_methods_of(request))
        return answer
    if isinstance(error, RequestValidationError):
        faults = faults_of(error.errors(), language)
        return problem(status, "the request is not valid", language=language, faults=faults)
    return problem(status, title_of(status), _detail(error, language), language=language)


def _detail(error: Exception, language: str) -> str:
    """Return what the client may know: what happens to a store names files of the server."""
    if isinstance(error, StoreError):
        return reason_text(error.todo, language)
    return error_text(error, language) if isinstance(error, EdusocError) else ""


def _methods_of(request: Request) -> list[str]:
    """Return all methods of a path (RFC 9110, 10.2.1): the router itself names those of the first route only."""
    paths: Mapping[str, Mapping[str, object]] = request.app.openapi()["paths"]
    for template, item in paths.items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), request.url.path):
            return sorted(method.upper() for method in item)
    return []
