"""Log in and out: ``/api/v1/session``."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import Final

from fastapi import APIRouter, Depends, Request, Response

from soc_api.problems import NotLoggedInError, answers
from soc_api.security import COOKIE, CallerDependency, current_caller
from soc_api.services import Services, ServicesDependency
from soc_api.session.schemas import Credentials, SessionOut
from soc_core.access.accounts import (
    MAX_ADDRESS_FAILURES,
    SESSION_LENGTH,
    Session,
    User,
    check_password,
    close_session,
    find_session,
    open_session,
    recent_failures,
    record_failure,
)
from soc_core.errors import NotAllowedError, StoreBusyError

router = APIRouter(prefix="/api/v1/session", tags=["session"])
HASHED_AT_ONCE: Final = BoundedSemaphore(2)
"""Each check of a password takes 64 MB for a moment (argon2id): a flood of log-ins waits instead of filling memory."""
MOST_WAITING: Final = 8
WAITING: Final = BoundedSemaphore(MOST_WAITING)
"""Who waits holds a thread, and pages need threads too: more than these are sent away at once."""


def log_in(services: Services, request: Request, name: str, password: str) -> tuple[str, Session]:
    """Check the password and open a session; raise ``NotAllowedError`` (after counting it) when it is wrong.

    Failures are counted by name and by address. Absent, disabled and locked names fail like wrong passwords do. What
    is tried while it is locked counts no more, so that nobody can keep a name locked by knocking. Raises
    ``StoreBusyError`` when too many log in at once.
    """
    now = services.clock()
    address = f"@{request.client.host if request.client else ''}"
    if not WAITING.acquire(blocking=False):
        raise StoreBusyError("too many log-ins at once", todo="try again in a moment")
    try:
        with HASHED_AT_ONCE, services.database.read() as connection:
            if recent_failures(connection, address, now=now) >= MAX_ADDRESS_FAILURES:
                raise NotAllowedError("too many failed attempts", todo="wait 15 minutes and try again")
            user = check_password(connection, name, password, now=now)
    except NotAllowedError as error:
        if not error.todo:  # wrong, not locked
            _count_failure(services, name, address)
        raise
    finally:
        WAITING.release()
    return enter(services, user)


def _count_failure(services: Services, name: str, address: str) -> None:
    """Count by name and address; a name that is written like an address's counter is no account's."""
    now = services.clock()
    with services.database.write() as connection:
        record_failure(connection, address, now=now)
        if not name.startswith("@"):
            record_failure(connection, name, now=now)


def enter(services: Services, user: User) -> tuple[str, Session]:
    """Open a session for an account; raise ``NotAllowedError`` when it was disabled meanwhile."""
    now = services.clock()
    with services.database.write() as connection:
        token = open_session(connection, user, now=now)
        session = find_session(connection, token, now=now)
    if session is None:
        raise NotAllowedError("the account was disabled")
    return token, session


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Give the browser its session cookie: not readable by scripts, not sent from other sites."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION_LENGTH.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )


@router.post(
    "", responses=answers(400, 401, 403, 422, 503, s401="wrong name or password, or too many failures")
)
def create(
    credentials: Credentials, request: Request, response: Response, services: ServicesDependency
) -> SessionOut:
    """Log in: sets the session cookie and returns the CSRF token."""
    try:
        token, session = log_in(services, request, credentials.name, credentials.password)
    except NotAllowedError as error:
        raise NotLoggedInError(error.what, todo=error.todo) from error
    set_cookie(request, response, token)
    return _out(session)


@router.get("", responses=answers(401))
def show(caller: CallerDependency) -> SessionOut:
    """Say who is logged in."""
    return _out(caller.session)


@router.delete(
    "",
    status_code=204,
    dependencies=[Depends(current_caller)],
    responses=answers(401, 403),
)
def end(request: Request, response: Response, services: ServicesDependency) -> None:
    """Log out."""
    with services.database.write() as connection:
        close_session(connection, request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, path="/")


def _out(session: Session) -> SessionOut:
    user = session.user
    return SessionOut(
        name=user.name,
        display_name=user.display_name,
        role=user.role.value,
        organisation_id=user.organisation_id,
        language=user.language,
        csrf=session.csrf,
        expires_at=session.expires_at,
    )
