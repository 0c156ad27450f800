"""Define the tables of the life of rules: settings by unit, suppressions, counts, what was held back, costs, status.

``organization_id`` is empty for what holds in the whole installation. Days are local calendar days of event time,
written ``2026-11-20``.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from soc_core.state.database import Number, metadata

settings = Table(
    "rule_settings",
    metadata,
    Column("rule_id", String(64), primary_key=True),
    Column("organization_id", String(32), primary_key=True),
    Column("state", String(8), nullable=False, default=""),
    Column("severity", String(16), nullable=False, default=""),
    Column("budget", Integer, nullable=True),
    Column("version", Integer, nullable=False, default=1),
    Column("actor", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("updated_at", String(27), nullable=False),
)
"""``rule_id`` is ``*`` for all rules together. An empty state or severity and a budget of NULL are inherited."""

suppressions = Table(
    "rule_suppressions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rule_id", String(64), nullable=False, index=True),
    Column("organization_id", String(32), nullable=False, index=True),
    Column("entity_kind", String(16), nullable=False, default=""),
    Column("entity_value", String(255), nullable=False, default=""),
    Column("query", String(2_000), nullable=False, default=""),
    Column("owner", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("expires_at", String(27), nullable=False),
    Column("ended_at", String(27), nullable=False, default=""),
    Column("hits", Number, nullable=False, default=0),
    Column("last_hit_at", String(27), nullable=False, default=""),
    Column("version", Integer, nullable=False, default=1),
)
"""``rule_id`` is ``*`` for every rule. ``last_hit_at`` is event time."""

counts = Table(
    "rule_counts",
    metadata,
    Column("rule_id", String(64), primary_key=True),
    Column("organization_id", String(32), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("fired", Number, nullable=False, default=0),
    Column("silent", Number, nullable=False, default=0),
    Column("suppressed", Number, nullable=False, default=0),
    Column("over_budget", Number, nullable=False, default=0),
    Column("opened", Number, nullable=False, default=0),
    Column("last_at", String(27), nullable=False, default=""),
    Index("ix_rule_counts_day", "day", "organization_id"),
)
"""``opened`` counts the alerts a rule opened: what the budget bounds. ``last_at`` is event time."""

held = Table(
    "held_detections",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rule_id", String(64), nullable=False),
    Column("organization_id", String(32), nullable=False),
    Column("day", String(10), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("suppression_id", String(32), nullable=False, default=""),
    Column("kind", String(64), nullable=False),
    Column("entity_kind", String(16), nullable=False),
    Column("entity_zone", String(64), nullable=False),
    Column("entity_value", String(255), nullable=False),
    Column("peer", String(255), nullable=False, default=""),
    Column("severity", Integer, nullable=False),
    Column("first_seen", String(27), nullable=False),
    Column("last_seen", String(27), nullable=False),
    Column("count", Number, nullable=False),
    Column("evidence", Text, nullable=False),
    Index("ix_held_detections_rule", "rule_id", "organization_id", "day"),
    Index("ix_held_detections_day", "day"),
)
"""Detections that opened no alert: silent rules, suppressions, spent budgets. ``outcome`` is the column of counts."""

costs = Table(
    "rule_costs",
    metadata,
    Column("rule_id", String(64), primary_key=True),
    Column("cpu_us", Number, nullable=False),
    Column("judged", Number, nullable=False),
    Column("updated_at", String(27), nullable=False),
)

runs = Table(
    "rule_runs",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("revision", Number, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("loaded_at", String(27), nullable=False),
    Column("rules", Integer, nullable=False),
    Column("problems", Integer, nullable=False),
    Column("fault", Text, nullable=False, default=""),
    Column("fault_at", String(27), nullable=False, default=""),
)
"""What the running pipelines run, by the name of their cursor: which settings and files, and why newer ones not."""
