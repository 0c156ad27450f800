"""Serve the room of events: search, and one event beside the list."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from soc_api.cursors import seal, unseal
from soc_api.limits import Turns
from soc_api.pages.charts import events_over_time
from soc_api.pages.rendering import SUMMARY_FIELDS, View
from soc_api.pages.views import MemberView, Place, PlaceDependency, caller_of, frame
from soc_core.errors import NotAllowedError, StoreError, UsageError
from soc_core.query.language import parse_query
from soc_core.query.tree import Query as Tree
from soc_core.reasons import error_text, parts_text
from soc_core.store.interface import Page, Search

router = APIRouter(include_in_schema=False)
PAGE: Final = 100
LISTED: Final = (
    *("@timestamp", "event.id", "event.dataset", "organization.id", "network.protocol"),
    *(f"{side}.{part}" for side in ("source", "destination") for part in ("ip", "port", "bytes")),
    *SUMMARY_FIELDS,
)
"""What a row shows; whole events of two hundred columns cost twice as much to read."""


@router.get("/events")
def events(
    request: Request,
    view: MemberView,
    place: PlaceDependency,
    q: Annotated[str, Query(max_length=4_000)] = "",
    cursor: Annotated[str, Query(max_length=1_024)] = "",
) -> Response:
    """Search events, newest first."""
    problem, page, chart, total, partial = "", Page([]), None, 0, ""
    try:
        query = parse_query(q, now=view.services.clock())
    except UsageError as error:
        problem = error_text(error, view.language)
    else:
        turns: Turns = request.app.state.questions
        scope = caller_of(view).narrowed(place.organisation)
        search = Search(scope, place.start, place.end, query)
        with turns.take(caller_of(view).user.name):
            page, cursor = _page(view, place, query, (q, cursor))
            try:
                chart, total = events_over_time(view.services.reader, search, place.hours)
            except StoreError as error:  # the page itself is there
                partial = error_text(error, view.language)
        reasons = "; ".join(filter(None, (page.partial, chart.partial if chart else "")))
        partial = partial or parts_text(reasons, view.language)
    values = {"q": q, "page": page, "cursor": cursor, "problem": problem, "chart": chart, "total": total}
    values["partial"] = partial
    return view.page("events.html", {**frame(view, "events", place), **values})


def _page(view: View, place: Place, query: Tree, asked: tuple[str, str]) -> tuple[Page, str]:
    """Return the page of events and the sealed cursor of the next; a cursor of another question begins anew."""
    question = f"page:{asked[0]}\0{place.organisation}\0{place.hours}\0{place.at}"
    inner = ""
    if asked[1]:
        try:
            inner = str(unseal(view.services.keys, question, asked[1])[0])
        except UsageError:
            inner = ""
    scope = caller_of(view).narrowed(place.organisation)
    search = Search(scope, place.start, place.end, query, limit=PAGE, cursor=inner, fields=LISTED)
    page = view.services.reader.search(search)
    return page, seal(view.services.keys, question, (page.cursor,)) if page.cursor else ""


@router.get("/events/{event_id}")
def event(view: MemberView, place: PlaceDependency, event_id: str) -> Response:
    """Show all fields of one event: as a panel beside the list for htmx, else as a page."""
    found = view.services.reader.get([event_id], caller_of(view).scope).get(event_id)
    if found is None:
        raise NotAllowedError(f"there is no event '{event_id}' that you may see")
    if view.fragment:
        return view.page("_event.html", {"event": found, "place": place})
    return view.page("event.html", {**frame(view, "events", place), "event": found})
