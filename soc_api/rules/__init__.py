"""Serve rules: how they stand in a unit, what they did, and setting them."""
