"""Decide what becomes of detections: rules' states and budgets by unit, suppressions, counts; keep sets of rules."""
