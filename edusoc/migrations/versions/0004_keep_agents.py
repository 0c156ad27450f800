"""Keep agents, their codes, marks, sources and orders; give networks of units dates.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MADE = (
    "agent_units",
    "agent_sources",
    "agent_senders",
    "agent_orders",
    "agent_gaps",
    "agent_epochs",
    "enrolment_codes",
    "agents",
)


def upgrade() -> None:
    """Apply this step."""
    _create_agents()
    _create_codes()
    _create_of_agent(
        "agent_epochs",
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("mark", NUMBER, nullable=False),
        sa.Column("first_at", sa.String(length=27), nullable=False),
        sa.Column("last_at", sa.String(length=27), nullable=False),
        key=("epoch",),
    )
    _create_of_agent(
        "agent_gaps",
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("start", NUMBER, nullable=False),
        sa.Column("end", NUMBER, nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        key=("epoch", "start"),
    )
    _create_orders()
    _create_of_agent(
        "agent_senders",
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("first_at", sa.String(length=27), nullable=False),
        sa.Column("last_at", sa.String(length=27), nullable=False),
        sa.Column("events", NUMBER, nullable=False),
        key=("zone", "address"),
    )
    _create_of_agent(
        "agent_sources",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("first_at", sa.String(length=27), nullable=False),
        sa.Column("last_at", sa.String(length=27), nullable=False),
        sa.Column("longest_seconds", sa.Integer(), nullable=False),
        sa.Column("limit_seconds", sa.Integer(), nullable=False),
        sa.Column("counters", sa.Text(), nullable=False),
        sa.Column("fault", sa.String(length=200), nullable=False),
        key=("source",),
    )
    _create_of_agent(
        "agent_units",
        sa.Column("organization_id", sa.String(length=32), nullable=False),
        key=("organization_id",),
    )
    kept = _take_networks()
    _create_networks()
    if kept:
        op.bulk_insert(sa.table("organisation_zones", *_network_columns()), kept)


def _create_of_agent(name: str, *columns: sa.Column[object], key: tuple[str, ...]) -> None:
    op.create_table(
        name,
        sa.Column("agent_id", sa.String(length=32), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f(f"fk_{name}_agent_id_agents")),
        sa.PrimaryKeyConstraint("agent_id", *key, name=op.f(f"pk_{name}")),
    )


def _create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("organization_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("below", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("revoked_at", sa.String(length=27), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("platform", sa.String(length=128), nullable=False),
        sa.Column("events_per_second", sa.Integer(), nullable=False),
        sa.Column("bytes_per_day", NUMBER, nullable=False),
        sa.Column("last_number", NUMBER, nullable=False),
        sa.Column("last_order", NUMBER, nullable=False),
        sa.Column("last_seen_at", sa.String(length=27), nullable=False),
        sa.Column("last_address", sa.String(length=45), nullable=False),
        sa.Column("clock_offset_ms", NUMBER, nullable=False),
        sa.Column("accepted", NUMBER, nullable=False),
        sa.Column("duplicates", NUMBER, nullable=False),
        sa.Column("bad", NUMBER, nullable=False),
        sa.Column("refused", NUMBER, nullable=False),
        sa.Column("day", sa.String(length=8), nullable=False),
        sa.Column("day_bytes", NUMBER, nullable=False),
        sa.Column("heartbeat_at", sa.String(length=27), nullable=False),
        sa.Column("heartbeat", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index("ix_agents_organization_id", "agents", ["organization_id"])


def _create_codes() -> None:
    op.create_table(
        "enrolment_codes",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("organization_id", sa.String(length=32), nullable=False),
        sa.Column("also", sa.Text(), nullable=False),
        sa.Column("below", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("expires_at", sa.String(length=27), nullable=False),
        sa.Column("used_at", sa.String(length=27), nullable=False),
        sa.Column("agent_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_enrolment_codes")),
    )


def _create_orders() -> None:
    _create_of_agent(
        "agent_orders",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("issued_at", sa.String(length=27), nullable=False),
        sa.Column("expires_at", sa.String(length=27), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.String(length=27), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("result_at", sa.String(length=27), nullable=False),
        key=("number",),
    )
    op.create_index("ix_agent_orders_state", "agent_orders", ["agent_id", "state"])


def _network_columns() -> list[sa.ColumnClause[str]]:
    return [sa.column(name, sa.String()) for name in ("organisation_id", "zone", "network")]


def _take_networks() -> list[dict[str, object]]:
    """Return the rows of the old table and remove it: its key did not allow a network to come back later."""
    question = sa.select(*_network_columns()).select_from(sa.table("organisation_zones"))
    rows = op.get_bind().execute(question)
    kept = [dict(row) for row in rows.mappings()]
    op.drop_table("organisation_zones")
    return kept


def _create_networks() -> None:
    op.create_table(
        "organisation_zones",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=49), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_organisation_zones_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_organisation_zones")),
    )
    op.create_index("ix_organisation_zones_organisation_id", "organisation_zones", ["organisation_id"])


def downgrade() -> None:
    """Take this step back: networks lose their dates, those that ended are gone."""
    rows = op.get_bind().execute(
        sa.text(
            "SELECT DISTINCT organisation_id, zone, network FROM organisation_zones WHERE valid_to IS NULL"
        )
    )
    kept = [dict(row) for row in rows.mappings()]
    op.drop_table("organisation_zones")
    table = op.create_table(
        "organisation_zones",
        sa.Column("organisation_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=49), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_organisation_zones_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("organisation_id", "zone", "network", name=op.f("pk_organisation_zones")),
    )
    if kept:
        op.bulk_insert(table, kept)
    for name in MADE:
        op.drop_table(name)
