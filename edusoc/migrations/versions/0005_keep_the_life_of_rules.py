"""Keep the life of rules: settings by unit, suppressions, counts, what was held back; the journal of changes.

Revision 0005, after 0004.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MADE = (
    "audit_links",
    "held_detections",
    "rule_costs",
    "rule_counts",
    "rule_runs",
    "rule_settings",
    "rule_suppressions",
)


def upgrade() -> None:
    """Apply this step."""
    _create(
        "audit_links",
        _text("stream", 32),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        _text("at", 27),
        _text("algorithm", 16),
        _text("kind", 64),
        _text("body"),
        _text("previous", 128),
        _text("hash", 128),
        key=("stream", "number"),
    )
    _create(
        "rule_settings",
        _text("rule_id", 64),
        _text("organization_id", 32),
        _text("state", 8),
        _text("severity", 16),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("actor", 64),
        _text("reason", 500),
        _text("updated_at", 27),
        key=("rule_id", "organization_id"),
    )
    # How many of a rule's alerts were closed as false is read from this index alone.
    op.create_index("ix_alerts_rule", "alerts", ["rule_id", "close_reason", "last_seen", "organization_id"])
    _create_suppressions()
    _create_counts()
    _create_held()
    _create(
        "rule_costs",
        _text("rule_id", 64),
        sa.Column("cpu_us", NUMBER, nullable=False),
        sa.Column("judged", NUMBER, nullable=False),
        _text("updated_at", 27),
        key=("rule_id",),
    )
    _create(
        "rule_runs",
        _text("name", 64),
        sa.Column("revision", NUMBER, nullable=False),
        _text("fingerprint", 64),
        _text("loaded_at", 27),
        sa.Column("rules", sa.Integer(), nullable=False),
        sa.Column("problems", sa.Integer(), nullable=False),
        _text("fault"),
        _text("fault_at", 27),
        key=("name",),
    )


def _text(name: str, length: int = 0) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def _create(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")))


def _create_suppressions() -> None:
    _create(
        "rule_suppressions",
        _text("id", 32),
        _text("rule_id", 64),
        _text("organization_id", 32),
        _text("entity_kind", 16),
        _text("entity_value", 255),
        _text("query", 2_000),
        _text("owner", 64),
        _text("reason", 500),
        _text("created_at", 27),
        _text("expires_at", 27),
        _text("ended_at", 27),
        sa.Column("hits", NUMBER, nullable=False),
        _text("last_hit_at", 27),
        sa.Column("version", sa.Integer(), nullable=False),
        key=("id",),
    )
    for column in ("rule_id", "organization_id"):
        op.create_index(f"ix_rule_suppressions_{column}", "rule_suppressions", [column])


def _create_counts() -> None:
    _create(
        "rule_counts",
        _text("rule_id", 64),
        _text("organization_id", 32),
        _text("day", 10),
        *(
            sa.Column(name, NUMBER, nullable=False)
            for name in ("fired", "silent", "suppressed", "over_budget", "opened")
        ),
        _text("last_at", 27),
        key=("rule_id", "organization_id", "day"),
    )
    op.create_index("ix_rule_counts_day", "rule_counts", ["day", "organization_id"])


def _create_held() -> None:
    _create(
        "held_detections",
        _text("id", 32),
        _text("rule_id", 64),
        _text("organization_id", 32),
        _text("day", 10),
        _text("outcome", 16),
        _text("suppression_id", 32),
        _text("kind", 64),
        _text("entity_kind", 16),
        _text("entity_zone", 64),
        _text("entity_value", 255),
        _text("peer", 255),
        sa.Column("severity", sa.Integer(), nullable=False),
        _text("first_seen", 27),
        _text("last_seen", 27),
        sa.Column("count", NUMBER, nullable=False),
        _text("evidence"),
        key=("id",),
    )
    op.create_index("ix_held_detections_rule", "held_detections", ["rule_id", "organization_id", "day"])
    op.create_index("ix_held_detections_day", "held_detections", ["day"])


def downgrade() -> None:
    """Take this step back."""
    op.drop_index("ix_alerts_rule", "alerts")
    for name in MADE:
        op.drop_table(name)
