"""Define the tables of units and assets."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, String, Table

from soc_core.state.database import Number, metadata

organisations = Table(
    "organisations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", String(27), nullable=False),
)

attributes = Table(
    "organisation_attributes",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("organisation_id", String(32), ForeignKey("organisations.id"), nullable=False, index=True),
    Column("name", String(32), nullable=False),
    Column("value", String(255), nullable=False),
    Column("valid_from", Date, nullable=True),
    Column("valid_to", Date, nullable=True),
    Index("ix_organisation_attributes_name_value", "name", "value"),
)

zones = Table(
    "organisation_zones",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("organisation_id", String(32), ForeignKey("organisations.id"), nullable=False, index=True),
    Column("zone", String(64), nullable=False),
    Column("network", String(49), nullable=False),
    Column("valid_from", Date, nullable=True),
    Column("valid_to", Date, nullable=True),
)

assets = Table(
    "assets",
    metadata,
    Column("organisation_id", String(32), ForeignKey("organisations.id"), primary_key=True),
    Column("zone", String(64), primary_key=True),
    Column("address", String(45), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("name_en", String(128), nullable=False, default=""),
    Column("kind", String(32), nullable=False, default=""),
    Column("mac", String(17), nullable=False, default=""),
    Column("location", String(128), nullable=False, default=""),
    Column("supervisor", String(64), nullable=False, default=""),
    Column("operator", String(64), nullable=False, default=""),
    Column("user", String(64), nullable=False, default=""),
    Column("protection_level", Integer, nullable=False, default=0),
    Column("importance", Integer, nullable=False, default=1),
)
