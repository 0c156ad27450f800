"""Define the tables of the pipeline: cursors, imported sources, records kept aside."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table

from soc_core.state.database import Number, metadata

cursors = Table(
    "intake_cursors",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("log_offset", Number, nullable=False),
)

sources = Table(
    "imported_sources",
    metadata,
    Column("identity", String(64), primary_key=True),
    Column("path", String(4096), nullable=False),
    Column("collector", String(32), nullable=False),
    Column("organization_id", String(32), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("reference", String(27), nullable=False),
    Column("first_at", String(27), nullable=False),
    Column("last_at", String(27), nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("source", String(4096), primary_key=True),
    Column("position", Number, primary_key=True),
    Column("reason", String(255), primary_key=True),
    Column("line", Number, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("organization_id", String(32), nullable=False),
    Column("at", String(27), nullable=False),
)
