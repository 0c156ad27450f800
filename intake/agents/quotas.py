"""Bound what one agent may send, so that one that runs wild doesn't keep the others out."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from intake.agents.model import Agent

BURST_SECONDS: Final = 60
"""So many seconds' worth may come at once."""
LONGEST_WAIT: Final = 3_600


@dataclass(frozen=True, slots=True)
class Quota:
    """Hold what an agent may send: events a second, on average, and bytes (compressed) a day (UTC)."""

    events_per_second: int
    bytes_per_day: int

    def of(self, agent: Agent) -> Quota:
        """Return the quota of an agent: its own where it has one, else these usual ones."""
        return Quota(
            agent.events_per_second or self.events_per_second, agent.bytes_per_day or self.bytes_per_day
        )


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


class Quotas:
    """Tell how long an agent must wait; threads may share it. Who comes anew after a restart has a full bucket."""

    def __init__(self, usual: Quota) -> None:
        """Take the usual quota."""
        self._usual = usual
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def wait(self, agent: Agent, now: datetime) -> int:
        """Return the seconds after which the agent may send again; 0: at once."""
        quota = self._usual.of(agent)
        if agent.day == now.strftime("%Y%m%d") and agent.day_bytes >= quota.bytes_per_day:
            left = 86_400 - (now.hour * 3_600 + now.minute * 60 + now.second)
            return min(LONGEST_WAIT, left)
        with self._lock:
            left_events = self._filled(agent.id, quota, now).left
        return (
            0 if left_events > 0 else min(LONGEST_WAIT, math.ceil(1 - left_events / quota.events_per_second))
        )

    def spend(self, agent: Agent, events: int, now: datetime) -> None:
        """Count events that were taken; a bucket may go below zero once, so that any batch gets through."""
        with self._lock:
            self._filled(agent.id, self._usual.of(agent), now).left -= events

    def _filled(self, agent_id: str, quota: Quota, now: datetime) -> _Bucket:
        most = float(quota.events_per_second * BURST_SECONDS)
        bucket = self._buckets.setdefault(agent_id, _Bucket(most, now))
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.left = min(most, bucket.left + passed * quota.events_per_second)
        bucket.at = now
        return bucket
