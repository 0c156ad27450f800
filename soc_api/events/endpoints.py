"""Serve ``/api/v1/events``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from soc_api.cursors import seal, unseal
from soc_api.events.schemas import BucketOut, BucketsOut, CountOut, EventPage
from soc_api.limits import QUESTION_TURN
from soc_api.negotiation import language_of
from soc_api.parameters import Instant
from soc_api.problems import answers
from soc_api.security import Caller, CallerDependency
from soc_api.services import Services, ServicesDependency
from soc_core.clock import format_instant, parse_instant
from soc_core.errors import NotAllowedError, UsageError
from soc_core.fields import FIELDS
from soc_core.model.event import Value
from soc_core.query.language import parse_query
from soc_core.reasons import parts_text
from soc_core.store.interface import Aggregation, Search

router = APIRouter(
    prefix="/api/v1/events",
    tags=["events"],
    responses=answers(401, 422, 429, 503),
    dependencies=[QUESTION_TURN],
)
LONGEST = timedelta(days=400)
MOST_BARS = 10_000


class EventQuery(BaseModel):
    """Take what to look for: ``q`` in the query language, a time range (the last 24 hours by default), a unit."""

    model_config = ConfigDict(extra="forbid")
    q: str = Field(
        "", max_length=4_000, description="e.g. source.ip:192.168.1.0/24 and dns.question.name:*.example"
    )
    organisation: str = Field("", max_length=32)
    start: Instant | None = None
    end: Instant | None = None

    def search(self, services: Services, caller: Caller) -> Search:
        """Return the search inside the caller's scope; raise ``UsageError`` for a bad query or range."""
        end = self.end or services.clock() + timedelta(minutes=5)
        start = self.start or end - timedelta(days=1)
        if start >= end or end - start > LONGEST:
            raise UsageError(f"'start' must lie before 'end', at most {LONGEST.days} days")
        query = parse_query(self.q, now=services.clock())
        return Search(scope=caller.narrowed(self.organisation), start=start, end=end, query=query)


class EventListQuery(EventQuery):
    """Take a question and how to page through the answer."""

    limit: int = Field(50, ge=1, le=500)
    ascending: bool = False
    cursor: str = Field("", max_length=1_024)


class AggregateQuery(EventQuery):
    """Take a question and what to count."""

    kind: Literal["terms", "histogram", "distinct"] = "histogram"
    field: str = Field("", max_length=128)
    size: int = Field(10, ge=1, le=200)
    interval_seconds: int = Field(3_600, ge=1, le=31 * 86_400)


@router.get("")
def list_(
    request: Request,
    caller: CallerDependency,
    services: ServicesDependency,
    asked: Annotated[EventListQuery, Query()],
) -> EventPage:
    """Search events, newest first."""
    base = asked.search(services, caller)
    bounds, inner = (format_instant(base.start), format_instant(base.end)), ""
    if asked.cursor:
        # The cursor carries the range, so that pages of "until now" all mean the same now.
        low, high, inner = (str(part) for part in unseal(services.keys, question_of(asked), asked.cursor))
        bounds = (low, high)
    page = services.reader.search(
        replace(
            base,
            start=parse_instant(bounds[0]),
            end=parse_instant(bounds[1]),
            limit=asked.limit,
            ascending=asked.ascending,
            cursor=inner,
        )
    )
    cursor = seal(services.keys, question_of(asked), (*bounds, page.cursor)) if page.cursor else ""
    partial = parts_text(page.partial, language_of(request))
    return EventPage(items=list(page.events), cursor=cursor, partial=partial)


def question_of(asked: EventListQuery) -> str:
    """Return what a cursor is bound to: the question without the page."""
    bounds = tuple(format_instant(bound) if bound else "" for bound in (asked.start, asked.end))
    return repr((asked.q, asked.organisation, asked.ascending, bounds))


@router.get("/count")
def count(
    caller: CallerDependency, services: ServicesDependency, asked: Annotated[EventQuery, Query()]
) -> CountOut:
    """Count events."""
    return CountOut(count=services.reader.count(asked.search(services, caller)))


@router.get("/aggregate")
def aggregate(
    request: Request,
    caller: CallerDependency,
    services: ServicesDependency,
    asked: Annotated[AggregateQuery, Query()],
) -> BucketsOut:
    """Count events by the values of a field, by time, or count a field's distinct values."""
    if asked.kind != "histogram" and asked.field not in FIELDS:
        raise UsageError(f"there is no field '{asked.field}'")
    search = asked.search(services, caller)
    bars = (search.end - search.start).total_seconds() / asked.interval_seconds
    if asked.kind == "histogram" and bars > MOST_BARS:
        raise UsageError(f"the range has more than {MOST_BARS} intervals", todo="take longer intervals")
    wanted = Aggregation(asked.kind, asked.field, asked.size, asked.interval_seconds)
    found = services.reader.aggregate(search, wanted)
    buckets = [BucketOut(key=bucket.key, count=bucket.count) for bucket in found.buckets]
    return BucketsOut(
        buckets=buckets, exact=found.exact, partial=parts_text(found.partial, language_of(request))
    )


@router.get("/{event_id}", responses=answers(404, s404="no such event that you may see"))
def show(
    event_id: Annotated[str, Path(pattern=r"^[0-9]{8}-[0-9a-v]{26}$")],
    caller: CallerDependency,
    services: ServicesDependency,
) -> dict[str, Value]:
    """Show one event with all its fields."""
    found = services.reader.get([event_id], caller.scope).get(event_id)
    if found is None:
        raise NotAllowedError(f"there is no event '{event_id}' that you may see")
    return found
