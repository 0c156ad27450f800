"""Define the tables of indicators: lists, hits, what is allowed, searches in history. Entries are in files beside."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from soc_core.state.database import Number, metadata

lists = Table(
    "indicator_lists",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("source", String(1_024), nullable=False),
    Column("format", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("entries", Number, nullable=False),
    Column("bad", Number, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("tlp", String(16), nullable=False),
    Column("severity", String(16), nullable=False, default=""),
    Column("valid_days", Integer, nullable=False, default=0),
    Column("subdomains", Boolean, nullable=False),
    Column("allow", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("columns", Text, nullable=False, default="{}"),
    Column("actor", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("updated_at", String(27), nullable=False),
    Column("hits", Number, nullable=False, default=0),
    Column("last_hit_at", String(27), nullable=False, default=""),
)
"""``sha256`` is that of the file imported last; ``last_hit_at`` is event time."""

hits = Table(
    "indicator_hits",
    metadata,
    Column("list_id", String(32), ForeignKey("indicator_lists.id"), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    Column("organization_id", String(32), primary_key=True),
    Column("value", String(255), nullable=False),
    Column("hits", Number, nullable=False),
    Column("first_at", String(27), nullable=False),
    Column("last_at", String(27), nullable=False),
    Index("ix_indicator_hits_organization_id", "organization_id"),
)
"""``indicator`` is the rule id of its detections. At most ``MOST_COUNTED`` rows a list; the list counts them all."""

allowed = Table(
    "indicator_allowed",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("value", String(512), primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("until", String(27), nullable=False, default=""),
)

hunts = Table(
    "indicator_hunts",
    metadata,
    Column("list_id", String(32), ForeignKey("indicator_lists.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("entries", Number, nullable=False),
    Column("steps", Integer, nullable=False, default=0),
    Column("done", Integer, nullable=False, default=0),
    Column("until_at", String(27), nullable=False),
    Column("from_at", String(27), nullable=False, default=""),
    Column("events", Number, nullable=False, default=0),
    Column("hits", Number, nullable=False, default=0),
    Column("created_at", String(27), nullable=False),
    Column("started_at", String(27), nullable=False, default=""),
    Column("finished_at", String(27), nullable=False, default=""),
    Column("fault", String(500), nullable=False, default=""),
)
"""A search goes from ``until_at`` back to ``from_at``, in ``steps`` steps of which ``done`` are done."""
