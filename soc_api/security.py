"""Find out who is asking and what they may see.

Browsers send the session cookie; every changing request must also carry the session's CSRF token in the header
``X-CSRF-Token`` (or the form field ``csrf``), and must not come from another site. What a caller may see comes from
``OrganisationTree.visible_to`` alone.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from sqlalchemy import Connection

from soc_api.problems import ForbiddenError, NotLoggedInError
from soc_api.services import Services, ServicesDependency
from soc_core.access.accounts import Session, User, find_session
from soc_core.organisations.repository import OrganisationTree, today
from soc_core.store.interface import Scope

COOKIE: Final = "edusoc_session"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Hold who asks, the units as they are today, and the scope that follows."""

    session: Session
    tree: OrganisationTree
    scope: Scope

    @property
    def user(self) -> User:
        """Return the caller's account."""
        return self.session.user

    def narrowed(self, organisation: str) -> Scope:
        """Return the scope, or the part of it below one unit (an id); a unit outside it gives nothing."""
        if not organisation:
            return self.scope
        below = self.tree.subtree(organisation) if organisation in self.tree.units else frozenset()
        return Scope(below if self.scope.ids is None else below & self.scope.ids)


def find_caller(services: Services, connection: Connection, token: str) -> Caller | None:
    """Return the caller of a session token, or ``None`` when the session is over."""
    now = services.clock()
    session = find_session(connection, token, now=now) if token else None
    if session is None:
        return None
    tree = services.trees.current(connection, today(now))
    return Caller(session, tree, tree.visible_to(session.user.organisation_id))


def current_caller(request: Request, services: ServicesDependency) -> Caller:
    """Return the caller; raise ``NotLoggedInError`` without a session, ``ForbiddenError`` without CSRF token."""
    with services.database.read() as connection:
        caller = find_caller(services, connection, request.cookies.get(COOKIE, ""))
    if caller is None:
        raise NotLoggedInError("log in first", todo="POST /api/v1/session")
    if request.method not in SAFE:
        check_csrf(caller, request.headers.get("x-csrf-token", ""))
    return caller


def check_csrf(caller: Caller, token: str) -> None:
    """Raise ``ForbiddenError`` unless the token is the session's."""
    if not hmac.compare_digest(token.encode(), caller.session.csrf.encode()):
        raise ForbiddenError("the CSRF token is missing or wrong", todo="send the header X-CSRF-Token")


def from_another_site(request: Request) -> bool:
    """Tell whether a browser says that another site's page sent this (Fetch Metadata, or Origin in older ones)."""
    kind = request.headers.get("sec-fetch-site", "")
    if kind:
        return kind not in {"same-origin", "none"}
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc != request.headers.get("host", "")


CallerDependency = Annotated[Caller, Depends(current_caller)]


def may_handle(caller: CallerDependency) -> Caller:
    """Return the caller when the role may change alerts; raise ``ForbiddenError`` otherwise."""
    if not caller.user.role.may_handle:
        raise ForbiddenError(f"role '{caller.user.role}' only looks")
    return caller


HandlerDependency = Annotated[Caller, Depends(may_handle)]


def may_inspect(caller: CallerDependency) -> Caller:
    """Return the caller when the role looks after the installation; raise ``ForbiddenError`` otherwise."""
    if not caller.user.role.may_inspect:
        raise ForbiddenError("only auditors and administrators look after the store")
    return caller


InspectorDependency = Annotated[Caller, Depends(may_inspect)]


def may_tune(caller: CallerDependency) -> Caller:
    """Return the caller when the role may set rules; raise ``ForbiddenError`` otherwise."""
    if not caller.user.role.may_tune:
        raise ForbiddenError("only analysts and administrators set rules")
    return caller


TunerDependency = Annotated[Caller, Depends(may_tune)]
