"""Measure what we claim: one module a part, each run with ``python -m benchmarks.<name>``."""
