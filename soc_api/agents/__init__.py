"""Serve agents (on a listener of their own) and show them to people."""
