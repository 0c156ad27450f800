"""Define the tables of detections and alerts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from soc_core.state.database import Number, metadata

OPEN: Final = text("status <> 'closed'")
HELP: Final = text("help_wanted")
"""The conditions of the partial indices. A question must say them literally, or SQLite does not use them."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("entity_kind", String(16), nullable=False),
    Column("entity_zone", String(64), nullable=False),
    Column("entity_value", String(255), nullable=False),
    Column("peer", String(255), nullable=False, default=""),
    Column("rule_id", String(64), nullable=False),
    Column("rule_kind", String(16), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("close_reason", String(32), nullable=False, default=""),
    Column("assigned_to", String(64), nullable=False, default=""),
    Column("help_wanted", Boolean, nullable=False, default=False),
    Column("first_seen", String(27), nullable=False),
    Column("last_seen", String(27), nullable=False),
    Column("detection_count", Number, nullable=False, default=0),
    Column("event_count", Number, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=1),
    Column("created_at", String(27), nullable=False),
    Column("updated_at", String(27), nullable=False),
    # Lists page in the order (priority, last_seen, id). The columns after it let filters be checked in the index alone.
    # Most alerts are closed ones of the past: what is open has indices of its own, so that it stays quick for years.
    Index("ix_alerts_order", "priority", "last_seen", "id", "organization_id", "status", "severity"),
    Index("ix_alerts_unit_order", "organization_id", "priority", "last_seen", "id", "status", "severity"),
    Index(
        "ix_alerts_open_order",
        *("priority", "last_seen", "id", "organization_id", "status", "severity"),
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
    Index(
        "ix_alerts_open_unit",
        *("organization_id", "priority", "last_seen", "id", "status", "severity"),
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
    Index("ix_alerts_help", "organization_id", sqlite_where=HELP, postgresql_where=HELP),
    Index("ix_alerts_entity", "entity_value", "organization_id"),
    Index("ix_alerts_peer", "peer", "organization_id"),
    Index("ix_alerts_rule", "rule_id", "close_reason", "last_seen", "organization_id"),
    Index("ix_alerts_attach", "organization_id", "kind", "entity_value", "entity_zone"),
)

detections = Table(
    "detections",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("alert_id", String(32), ForeignKey("alerts.id"), nullable=False, index=True),
    Column("rule_id", String(64), nullable=False, index=True),
    Column("rule_kind", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("organization_id", String(32), nullable=False),
    Column("entity_kind", String(16), nullable=False),
    Column("entity_zone", String(64), nullable=False),
    Column("entity_value", String(255), nullable=False),
    Column("peer", String(255), nullable=False, default=""),
    Column("severity", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("first_seen", String(27), nullable=False),
    Column("last_seen", String(27), nullable=False),
    Column("count", Number, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("techniques", Text, nullable=False),
    Column("model_version", String(64), nullable=False, default=""),
    Column("created_at", String(27), nullable=False),
)

alert_history = Table(
    "alert_history",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("alert_id", String(32), ForeignKey("alerts.id"), nullable=False, index=True),
    Column("at", String(27), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("detail", Text, nullable=False, default="{}"),
)
