"""Run migrations on the connection the composition root hands over."""

from __future__ import annotations

from alembic import context

import cases.alerts.tables
import intake.tables
import soc_core.access.answers
import soc_core.access.tables
import soc_core.jobs.jobs
import soc_core.jobs.outbox
import soc_core.organisations.tables
from soc_core.state.database import metadata

TABLES = (
    cases.alerts.tables,
    intake.tables,
    soc_core.access.answers,
    soc_core.access.tables,
    soc_core.jobs.jobs,
    soc_core.jobs.outbox,
    soc_core.organisations.tables,
)
"""Imported so that ``metadata`` knows every table."""

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
context.run_migrations()
