"""Answer errors as problem details (RFC 9457), in words a client can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cases.alerts.repository import ConflictError
from soc_core.errors import EdusocError, InputError, NotAllowedError, StoreBusyError, StoreError, UsageError

MEDIA_TYPE: Final = "application/problem+json"
STATUS: Final[tuple[tuple[type[EdusocError], int], ...]] = (
    (ConflictError, 409),
    (NotAllowedError, 404),  # what you may not see looks like it does not exist
    (UsageError, 422),
    (InputError, 422),
    (StoreBusyError, 503),
    (StoreError, 503),
)


class NotLoggedInError(EdusocError):
    """Report a request without a valid session."""


class ForbiddenError(EdusocError):
    """Report that the caller's role does not allow the action."""


def problem(
    status: int, title: str, detail: str = "", extra: Mapping[str, object] | None = None
) -> JSONResponse:
    """Return a problem+json answer."""
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    body.update(extra or {})
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make the application answer all errors as problem details."""
    app.add_exception_handler(EdusocError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


def _on_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, NotLoggedInError):
        return problem(401, "not logged in", str(error))
    if isinstance(error, ForbiddenError):
        return problem(403, "your role does not allow this", str(error))
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    return problem(status, error.what if isinstance(error, EdusocError) else "error", str(error))


def _on_validation(_request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    faults = [{"where": ".".join(str(part) for part in item["loc"]), "what": item["msg"]} for item in details]
    return problem(422, "the request is not valid", extra={"errors": faults})


def _on_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return problem(500, "error")
    answer = problem(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer
