"""Run migrations on the connection the composition root hands over."""

from __future__ import annotations

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, String
from sqlalchemy.types import TypeEngine

import cases.alerts.tables
import intake.agents.tables
import intake.indicators.tables
import intake.rules.tables
import intake.tables
import soc_core.access.answers
import soc_core.access.tables
import soc_core.audit.journal
import soc_core.jobs.jobs
import soc_core.jobs.outbox
import soc_core.organisations.tables
from soc_core.state.database import metadata

TABLES = (
    cases.alerts.tables,
    intake.agents.tables,
    intake.indicators.tables,
    intake.rules.tables,
    intake.tables,
    soc_core.access.answers,
    soc_core.access.tables,
    soc_core.audit.journal,
    soc_core.jobs.jobs,
    soc_core.jobs.outbox,
    soc_core.organisations.tables,
)
"""Imported so that ``metadata`` knows every table."""


def differs(
    _context: MigrationContext,
    _inspected_column: Column[object],
    _metadata_column: Column[object],
    inspected: TypeEngine[object],
    declared: TypeEngine[object],
) -> bool | None:
    """Tell that all text is alike on PostgreSQL (``postgresql_columns``); leave other types to alembic (``None``)."""
    if (
        connection.dialect.name == "postgresql"
        and isinstance(inspected, String)
        and isinstance(declared, String)
    ):
        return False
    return None


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=differs)
context.run_migrations()
