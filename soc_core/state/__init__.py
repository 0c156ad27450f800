"""Keep operational state (units, people, alerts, jobs): SQLite by default, PostgreSQL by URL."""
