"""Search events."""
