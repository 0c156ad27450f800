"""Define the tables of accounts and sessions."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, String, Table

from soc_core.state.database import Number, metadata

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("display_name", String(64), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("organisation_id", String(32), ForeignKey("organisations.id"), nullable=True),
    Column("language", String(2), nullable=False, default="zh"),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("demo", Boolean, nullable=False, default=False),
    Column("created_at", String(27), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_name", String(64), ForeignKey("users.name"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("expires_at", String(27), nullable=False, index=True),
)

failures = Table(
    "login_failures",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("user_name", String(64), nullable=False, index=True),
    Column("at", String(27), nullable=False, index=True),
)
