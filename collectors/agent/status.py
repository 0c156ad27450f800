"""Say how the agent is: as a heartbeat to the centre, and as a file for ``edusoc doctor``."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from collectors.agent.outlet import CountingOutlet
from collectors.agent.spool import Spool, stored_at
from collectors.agent.supervisor import Runner
from collectors.uplink.sender import LinkState
from soc_core.log import LogReader
from soc_core.system import memory_bytes, replace
from soc_core.uplink.heartbeat import Heartbeat, SourceState

FILE: Final = "status.json"
FAR_OFF_MS: Final = 3_600_000
AGENT: Final = "agent"
"""The name and kind of the source in a heartbeat that stands for the agent itself."""


def oldest_waiting(spool: Spool) -> str:
    """Return when the oldest event that the centre doesn't have was stored; empty when it has all."""
    found = []
    for lane in spool.lanes:
        if lane.pending:
            reader = LogReader(lane.log_directory)  # the uplink's own is not for two threads
            record = next(iter(reader.records(lane.cursor.acknowledged)), None)
            found.append(stored_at(record) if record is not None else "")
    return min((text for text in found if text), default="")


def source_state(runner: Runner, outlet: CountingOutlet, dropped: Mapping[str, int]) -> SourceState:
    """Return how one input is; counters of the outlet stand beside its own: ``stored``, ``shed``, ``store_ms``."""
    name, condition = runner.settings.name, runner.condition
    counters = {**outlet.counters(name), **runner.counters(), "failures": condition.failures}
    if name in dropped:
        counters["shed"] = dropped[name]
    fault = condition.fault if condition.state != "running" else ""
    return SourceState(name, runner.settings.kind, counters, outlet.delivered(name).last, fault)


def own_state(link: LinkState | None, offset_ms: int, trouble: str, now: str) -> SourceState:
    """Return the state of the agent itself as a source: its link and its clock, in milliseconds behind or ahead.

    A clock that is hours off is set right for signing, so the centre can't see it by itself: it is told as a fault.
    """
    if not trouble and abs(offset_ms) >= FAR_OFF_MS:
        trouble = f"this machine's clock is {abs(offset_ms) // 3_600_000} hours off"
    counters = {"clock_behind_ms": max(offset_ms, 0), "clock_ahead_ms": max(-offset_ms, 0)}
    if link is not None:
        counters |= {
            "requests": link.requests,
            "request_failures": link.failures,
            "bytes_sent": link.bytes_sent,
            "events_sent": link.events_sent,
            "oversize": link.oversize,
            "refused_events": link.bad,
        }
    return SourceState(AGENT, AGENT, counters, now, trouble)


def heartbeat(
    spool: Spool, sources: Sequence[SourceState], shed: Mapping[str, int], *, started: str, version: str
) -> Heartbeat:
    """Return the heartbeat."""
    disk = shutil.disk_usage(spool.directory)
    return Heartbeat(
        started=started,
        version=version,
        platform=platform.platform(),
        waiting=sum(lane.pending for lane in spool.lanes),
        waiting_bytes=spool.size,
        oldest=oldest_waiting(spool),
        disk_free=disk.free,
        disk_total=disk.total,
        memory=memory_bytes(),
        shed=shed,
        sources=sources,
    )


def write_status(state: Path, status: Mapping[str, object]) -> None:
    """Write the file that ``edusoc doctor`` reads; on a full disk there is none."""
    path = state / FILE
    new = path.with_name(path.name + ".new")
    with suppress(OSError):
        new.write_bytes(orjson.dumps(status, option=orjson.OPT_INDENT_2) + b"\n")
        replace(new, path)


def read_status(state: Path) -> Mapping[str, object]:
    """Return what an agent wrote last; empty when there is none."""
    try:
        found = orjson.loads((state / FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
