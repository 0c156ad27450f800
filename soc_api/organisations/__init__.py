"""Show units."""
