"""Convert Sigma rules for others: Elasticsearch and Kibana over our indices, DuckDB over our exports (decision 25).

A conversion says exactly what the rule says of every event here, or it is called approximate, with the reasons.
"""

from detectors.sigma.conversion.converting import TARGETS, Converted, Options, convert, write

__all__ = ["TARGETS", "Converted", "Options", "convert", "write"]
