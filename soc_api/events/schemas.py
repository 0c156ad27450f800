"""Define what the event resource gives."""

from __future__ import annotations

from pydantic import BaseModel

from soc_core.model.event import Value


class EventPage(BaseModel):
    """Give a page of events (flat ECS fields) and the cursor of the next; ``partial`` says why some may lack."""

    items: list[dict[str, Value]]
    cursor: str
    partial: str


class CountOut(BaseModel):
    """Give how many events match."""

    count: int


class BucketOut(BaseModel):
    """Give one bucket of an aggregation."""

    key: str | int | float | bool
    count: int


class BucketsOut(BaseModel):
    """Give an aggregation; ``exact`` is false where counts are estimates."""

    buckets: list[BucketOut]
    exact: bool
    partial: str
