"""Name the indices of one store in one cluster, and how to ask of them."""

from __future__ import annotations

from dataclasses import dataclass

from elasticsearch import Elasticsearch


@dataclass(frozen=True, slots=True)
class Place:
    """Hold the client, the prefix of all index names, and how errors name the cluster (nothing secret)."""

    client: Elasticsearch
    prefix: str
    where: str = ""

    @property
    def pattern(self) -> str:
        """Return the pattern of all indices of events."""
        return f"{self.prefix}-events-*"

    @property
    def state(self) -> str:
        """Return the index that holds the state of the log."""
        return f"{self.prefix}-state"
