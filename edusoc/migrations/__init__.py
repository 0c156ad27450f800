"""Hold the migrations of operational state (alembic)."""
