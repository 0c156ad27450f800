"""Keep lists of indicators, their hits, what is allowed, and searches in history.

Revision 0006, after 0005.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MADE = ("indicator_hunts", "indicator_allowed", "indicator_hits", "indicator_lists")


def upgrade() -> None:
    """Apply this step."""
    _create_lists()
    op.create_table(
        "indicator_hits",
        _text("list_id", 32),
        _text("indicator", 64),
        _text("organization_id", 32),
        _text("value", 255),
        _number("hits"),
        _text("first_at", 27),
        _text("last_at", 27),
        _of_list("indicator_hits"),
        sa.PrimaryKeyConstraint("list_id", "indicator", "organization_id", name=op.f("pk_indicator_hits")),
    )
    op.create_index("ix_indicator_hits_organization_id", "indicator_hits", ["organization_id"])
    op.create_table(
        "indicator_allowed",
        _text("kind", 16),
        _text("value", 512),
        _text("actor", 64),
        _text("reason", 500),
        _text("created_at", 27),
        _text("until", 27),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_indicator_allowed")),
    )
    op.create_table(
        "indicator_hunts",
        _text("list_id", 32),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("state", 16),
        _number("entries"),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        _text("until_at", 27),
        _text("from_at", 27),
        _number("events"),
        _number("hits"),
        _text("created_at", 27),
        _text("started_at", 27),
        _text("finished_at", 27),
        _text("fault", 500),
        _of_list("indicator_hunts"),
        sa.PrimaryKeyConstraint("list_id", "version", name=op.f("pk_indicator_hunts")),
    )


def _create_lists() -> None:
    op.create_table(
        "indicator_lists",
        _text("id", 32),
        _text("name", 128),
        _text("source", 1_024),
        _text("format", 16),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("sha256", 64),
        _number("entries"),
        _number("bad"),
        sa.Column("confidence", sa.Integer(), nullable=False),
        _text("tlp", 16),
        _text("severity", 16),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("subdomains", sa.Boolean(), nullable=False),
        sa.Column("allow", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        _text("actor", 64),
        _text("reason", 500),
        _text("created_at", 27),
        _text("updated_at", 27),
        _number("hits"),
        _text("last_hit_at", 27),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_indicator_lists")),
        sa.UniqueConstraint("name", name=op.f("uq_indicator_lists_name")),
    )


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, NUMBER, nullable=False)


def _of_list(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_list_id_indicator_lists")
    return sa.ForeignKeyConstraint(["list_id"], ["indicator_lists.id"], name=name)


def downgrade() -> None:
    """Take this step back."""
    for name in MADE:
        op.drop_table(name)
