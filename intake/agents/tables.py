"""Define the tables of agents."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, false

from soc_core.state.database import Number, metadata

agents = Table(
    "agents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("organization_id", String(32), nullable=False, index=True),
    Column("zone", String(64), nullable=False),
    Column("below", Boolean, nullable=False, default=False, server_default=false()),
    Column("public_key", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("revoked_at", String(27), nullable=False, default=""),
    Column("version", String(128), nullable=False, default=""),
    Column("platform", String(128), nullable=False, default=""),
    Column("events_per_second", Integer, nullable=False, default=0),
    Column("bytes_per_day", Number, nullable=False, default=0),
    Column("last_number", Number, nullable=False, default=0),
    Column("last_order", Number, nullable=False, default=0),
    Column("last_seen_at", String(27), nullable=False, default=""),
    Column("last_address", String(45), nullable=False, default=""),
    Column("clock_offset_ms", Number, nullable=False, default=0),
    Column("accepted", Number, nullable=False, default=0),
    Column("duplicates", Number, nullable=False, default=0),
    Column("bad", Number, nullable=False, default=0),
    Column("refused", Number, nullable=False, default=0),
    Column("day", String(8), nullable=False, default=""),
    Column("day_bytes", Number, nullable=False, default=0),
    Column("heartbeat_at", String(27), nullable=False, default=""),
    Column("heartbeat", Text, nullable=False, default="{}"),
)

units = Table(
    "agent_units",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("organization_id", String(32), primary_key=True),
)

epochs = Table(
    "agent_epochs",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("epoch", String(64), primary_key=True),
    Column("mark", Number, nullable=False),
    Column("first_at", String(27), nullable=False),
    Column("last_at", String(27), nullable=False),
)

gaps = Table(
    "agent_gaps",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("epoch", String(64), primary_key=True),
    Column("start", Number, primary_key=True),
    Column("end", Number, nullable=False),
    Column("at", String(27), nullable=False),
)

sources = Table(
    "agent_sources",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("source", String(200), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("first_at", String(27), nullable=False),
    Column("last_at", String(27), nullable=False, default=""),
    Column("longest_seconds", Integer, nullable=False, default=0),
    Column("limit_seconds", Integer, nullable=False, default=0),
    Column("counters", Text, nullable=False, default="{}"),
    Column("fault", String(200), nullable=False, default=""),
)

senders = Table(
    "agent_senders",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("zone", String(64), primary_key=True),
    Column("address", String(45), primary_key=True),
    Column("first_at", String(27), nullable=False),
    Column("last_at", String(27), nullable=False),
    Column("events", Number, nullable=False),
)

codes = Table(
    "enrolment_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("name", String(128), nullable=False, default=""),
    Column("organization_id", String(32), nullable=False),
    Column("also", Text, nullable=False, default="[]"),
    Column("below", Boolean, nullable=False, default=False, server_default=false()),
    Column("zone", String(64), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("expires_at", String(27), nullable=False),
    Column("used_at", String(27), nullable=False, default=""),
    Column("agent_id", String(32), nullable=False, default=""),
)

orders = Table(
    "agent_orders",
    metadata,
    Column("agent_id", String(32), ForeignKey("agents.id"), primary_key=True),
    Column("number", Number, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("issued_at", String(27), nullable=False),
    Column("expires_at", String(27), nullable=False),
    Column("text", Text, nullable=False),
    Column("delivered_at", String(27), nullable=False, default=""),
    Column("result", Text, nullable=False, default=""),
    Column("result_at", String(27), nullable=False, default=""),
    Index("ix_agent_orders_state", "agent_id", "state"),
)
