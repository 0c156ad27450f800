"""Serve the pages before the rooms: start, log-in and log-out, language and theme."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from soc_api.pages.rendering import LANGUAGE_COOKIE, THEME_COOKIE, View
from soc_api.pages.views import MemberView, ViewDependency, caller_of, home_of
from soc_api.security import COOKIE, check_csrf, find_caller
from soc_api.session.endpoints import enter, log_in, set_cookie
from soc_core.access.accounts import close_session, list_users
from soc_core.errors import NotAllowedError
from soc_core.i18n import LANGUAGES

router = APIRouter(include_in_schema=False)
THEMES: Final = ("light", "dark", "auto")
_OUR_PATH: Final = re.compile(r"/(?:[A-Za-z0-9_-][\w./?=&%:*@+-]*)?")
ONE_YEAR: Final = 31_536_000
DOORS: Final = ("analyst", "contact", "auditor", "overseer", "developer")


@router.get("/")
def start(view: ViewDependency) -> Response:
    """Show the demo's doors, or lead to the person's first page."""
    if view.services.demo:
        return _doors(view)
    return RedirectResponse(home_of(view.caller) if view.caller else "/login", status_code=303)


def _doors(view: View) -> HTMLResponse:
    with view.services.database.read() as connection:
        found = list_users(connection, demo_only=True)
    people = sorted(found, key=lambda user: (DOORS.index(user.role.value), user.name))
    tours = {tour.user_name: tour.steps for tour in view.services.tours}
    return view.page("start.html", {"people": people, "tours": tours})


@router.get("/login")
def login(view: ViewDependency) -> Response:
    """Show the log-in form."""
    return view.page("login.html", {"problem": ""})


@router.post("/login")
def do_login(
    view: ViewDependency,
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=256)],
) -> Response:
    """Log in, or show the form with what was wrong."""
    try:
        token, _session = log_in(view.services, request, name, password)
    except NotAllowedError as error:
        key = "login.locked" if error.todo else "login.wrong"
        return view.page("login.html", {"problem": view.say(key)}, status=401)
    return _welcome(view, request, token)


@router.post("/demo/enter")
def demo_enter(
    view: ViewDependency,
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    path: Annotated[str, Form(max_length=512)] = "",
) -> Response:
    """Enter through one of the demo's doors, at ``path`` where a tour's step names one; nothing else has doors."""
    with view.services.database.read() as connection:
        people = {user.name: user for user in list_users(connection, demo_only=True)}
    if not view.services.demo or name not in people:
        raise NotAllowedError(f"there is no door for '{name}'")
    token, _session = enter(view.services, people[name])
    return _welcome(view, request, token, path)


def _welcome(view: View, request: Request, token: str, path: str = "") -> Response:
    with view.services.database.read() as connection:
        caller = find_caller(view.services, connection, token)
    home = home_of(caller) if caller is not None else "/login"
    response = RedirectResponse(path if _is_ours(path) else home, status_code=303)
    set_cookie(request, response, token)
    return response


def _is_ours(path: str) -> bool:
    """Tell whether an address is a path of ours: two slashes or a backslash would lead to another host."""
    return _OUR_PATH.fullmatch(path) is not None


@router.post("/logout")
def logout(view: MemberView, request: Request, csrf: Annotated[str, Form(max_length=128)]) -> Response:
    """Log out."""
    check_csrf(caller_of(view), csrf)
    with view.services.database.write() as connection:
        close_session(connection, request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/language/{language}")
def choose_language(language: str, request: Request) -> Response:
    """Remember the language of pages and go back."""
    return _remember(request, LANGUAGE_COOKIE, language, LANGUAGES)


@router.get("/theme/{theme}")
def choose_theme(theme: str, request: Request) -> Response:
    """Remember light, dark or the device's own colours, and go back."""
    return _remember(request, THEME_COOKIE, theme, THEMES)


def _remember(request: Request, cookie: str, value: str, known: tuple[str, ...]) -> Response:
    if value not in known:
        raise NotAllowedError(f"there is no '{value}' to choose")
    back, here = request.headers.get("referer", ""), str(request.base_url)
    response = RedirectResponse(back if back.startswith(here) else "/", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie, value, max_age=ONE_YEAR, samesite="lax", path="/", httponly=True, secure=secure
    )
    return response
