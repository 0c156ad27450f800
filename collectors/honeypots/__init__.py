"""Understand what honeypots report: whoever touches one has no business there. One product a module."""
