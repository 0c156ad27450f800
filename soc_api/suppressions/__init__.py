"""Serve suppressions of rules."""
