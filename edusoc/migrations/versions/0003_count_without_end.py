"""Let offsets, sequences and sums grow beyond 32 bits, which PostgreSQL's integers have; SQLite's have 64.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GROWING = (
    ("alert_history", "number"),
    ("alerts", "detection_count"),
    ("alerts", "event_count"),
    ("detections", "count"),
    ("intake_cursors", "log_offset"),
    ("login_failures", "number"),
    ("organisation_attributes", "number"),
    ("outbox", "sequence"),
    ("quarantine", "position"),
    ("quarantine", "line"),
)
SEQUENCES = (
    "alert_history_number",
    "login_failures_number",
    "organisation_attributes_number",
    "outbox_sequence",
)


def upgrade() -> None:
    """Apply this step."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in GROWING:
        op.alter_column(
            table, column, type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=False
        )
    for name in SEQUENCES:
        op.execute(f"ALTER SEQUENCE {name}_seq AS bigint")


def downgrade() -> None:
    """Take this step back."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for name in SEQUENCES:
        op.execute(f"ALTER SEQUENCE {name}_seq AS integer")
    for table, column in GROWING:
        op.alter_column(
            table, column, type_=sa.Integer(), existing_type=sa.BigInteger(), existing_nullable=False
        )
