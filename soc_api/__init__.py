"""Serve the API, the console pages and the live stream. No domain logic lives here."""
