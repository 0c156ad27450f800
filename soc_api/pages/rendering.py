"""Render templates with the caller's language, times and rights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cases.alerts.model import CloseReason, Status
from soc_api.security import Caller
from soc_api.services import Services
from soc_core import i18n
from soc_core.access.accounts import list_users
from soc_core.clock import LOCAL_ZONE, local_time, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.detection import Severity
from soc_core.model.event import Event, Scalar
from soc_core.model.organisation import Organisation
from soc_core.printing import printable_lines

HERE: Final = Path(__file__).parent
LANGUAGE_COOKIE: Final = "edusoc_language"
THEME_COOKIE: Final = "edusoc_theme"
SUMMARY_FIELDS: Final = (
    "dns.question.name",
    "url.original",
    "url.path",
    "tls.client.server_name",
    "process.command_line",
    "file.path",
    "user.name",
    "message",
    "event.action",
)
"""What tells most about an event, in this order; the first two that are there stand in lists."""


def _plain(value: object) -> object:
    """Return what a page shows of a value: marks that turn or hide text around them are written as numbers."""
    return printable_lines(value) if type(value) is str else value


@cache
def environment() -> Environment:
    """Return the template environment: everything is escaped, an unknown name is an error."""
    for package in ("soc_api.pages", "cases", "detectors"):
        i18n.load(package)
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
    )
    made.globals.update(
        severities=list(Severity), statuses=list(Status), close_reasons=list(CloseReason), asset=asset
    )
    return made


@cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the content, so that browsers keep no old one."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def size_text(size: int) -> str:
    """Return a number of bytes in the unit that fits (1 KB is 1,000 bytes)."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1_000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


def language_for(request: Request, caller: Caller | None) -> str:
    """Return the language of a page: the one chosen on a page before, else the account's, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in i18n.LANGUAGES:
        return chosen
    return caller.user.language if caller is not None else i18n.DEFAULT_LANGUAGE


class View:
    """Render pages for one request."""

    def __init__(self, request: Request, services: Services, caller: Caller | None) -> None:
        """Take who asks; ``caller`` is ``None`` before logging in."""
        self.request = request
        self.services = services
        self.caller = caller
        self.language = language_for(request, caller)
        chosen = request.cookies.get(THEME_COOKIE, "")
        self.theme = chosen if chosen in {"light", "dark"} else "auto"
        self.now = services.clock()
        self._names: dict[str, str] | None = None

    @property
    def fragment(self) -> bool:
        """Tell whether htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def say(self, key: str, /, **values: Scalar) -> str:
        """Return a sentence of the pages in the reader's language."""
        full = key if i18n.known(key) else f"pages.{key}"
        return i18n.text(full, self.language, **values)

    def when(self, instant: str) -> Markup:
        """Return how long ago, with the exact local time on hover."""
        moment = parse_instant(instant)
        exact = local_time(moment, LOCAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        return Markup('<time datetime="{}" title="{}">{}</time>').format(instant, exact, self._ago(moment))

    def exact(self, instant: str) -> str:
        """Return the local time to the second."""
        return local_time(parse_instant(instant), LOCAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")

    def level(self, severity: str) -> Markup:
        """Return the badge of a severity: colour, shape and word."""
        word = i18n.text(f"cases.severity.{severity}", self.language)
        return Markup('<span class="level {}">{}</span>').format(severity, word)

    def shape(self, severity: str) -> Markup:
        """Return only the shape and colour of a severity, the word for those who can't see it."""
        word = i18n.text(f"cases.severity.{severity}", self.language)
        return Markup('<span class="level bare {}" title="{}"><span class="away">{}</span></span>').format(
            severity, word, word
        )

    def link(self, path: str, parameters: Mapping[str, str], **changes: str) -> str:
        """Return an address with parameters; empty ones are left out."""
        named = {name: value for name, value in {**parameters, **changes}.items() if value}
        return f"{path}?{urlencode(named)}" if named else path

    def number(self, value: int) -> str:
        """Return a count with its thousands set apart."""
        return f"{value:,}"

    def person(self, name: str) -> str:
        """Return how a person is called; the account's name when it is gone, "system" for the pipeline."""
        if name == "system":
            return self.say("alert.system")
        if self._names is None:
            with self.services.database.read() as connection:
                self._names = {user.name: user.display_name for user in list_users(connection)}
        return self._names.get(name, name)

    def unit_name(self, unit: Organisation | None) -> str:
        """Return a unit's name in the reader's language; nothing for an unknown one."""
        if unit is None:
            return ""
        return unit.name_en if self.language == "en" else unit.name

    def summary(self, event: Event) -> str:
        """Return what happened in an event, in one line."""
        parts = [event[name] for name in SUMMARY_FIELDS if event.get(name) not in (None, "", [])]
        shown = [", ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts[:2]]
        if not shown and "network.protocol" in event:
            shown = [str(event["network.protocol"])]
        sizes = [event.get(f"{side}.bytes") for side in ("source", "destination")]
        if all(isinstance(size, int) for size in sizes):
            shown.append(" / ".join(size_text(size) for size in sizes if isinstance(size, int)))
        return " · ".join(shown)

    def side(self, event: Event, side: str) -> str:
        """Return one side of an event as ``address:port``."""
        address, port = str(event.get(f"{side}.ip", "")), event.get(f"{side}.port")
        if port is None or not address:
            return address
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def term(self, field: str, value: Scalar) -> str:
        """Return the query that finds events with this value of a field."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{field}:"{quoted}"'

    def field_name(self, field: str) -> str:
        """Return a field's description in the reader's language."""
        found = FIELDS.get(field)
        return field if found is None else found.en if self.language == "en" else found.zh

    def _ago(self, moment: datetime) -> str:
        seconds = max(0, int((self.now - moment).total_seconds()))
        for limit, size, unit in (
            (60, 60, "now"),
            (3_600, 60, "minutes"),
            (172_800, 3_600, "hours"),
            (10**12, 86_400, "days"),
        ):
            if seconds < limit:
                return self.say(f"ago.{unit}", count=seconds // size)
        return str(escape(moment.isoformat()))

    def page(
        self, template: str, values: Mapping[str, object] | None = None, *, status: int = 200
    ) -> HTMLResponse:
        """Return a rendered template."""
        text = (
            environment()
            .get_template(template)
            .render(view=self, t=self.say, caller=self.caller, **(values or {}))
        )
        return HTMLResponse(
            text, status_code=status, headers={"Cache-Control": "no-store", "Vary": "HX-Request"}
        )
