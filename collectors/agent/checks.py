"""Look what is wrong with an agent, from outside: configuration, room, link, clock, inputs, ports, files, drops.

Each check gives findings: a word for the sentence (``edusoc.doctor.…``), its values, how bad it is. Nothing is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from collectors.agent.aside import read_aside
from collectors.agent.configuration import Configuration, with_managed
from collectors.agent.finding import BAD, OK, WARNING, Check
from collectors.agent.identity import agent_key, read_identity
from collectors.agent.looking import Machine
from collectors.agent.status import AGENT, read_status
from collectors.uplink.connection import Connection, LinkError
from soc_core.clock import parse_instant
from soc_core.errors import EdusocError
from soc_core.model.event import Scalar
from soc_core.system import process_runs
from soc_core.uplink.wire import HEARTBEAT

STALE: Final = timedelta(minutes=1)
QUIET: Final = timedelta(hours=1)
MOST_OFFSET_MS: Final = 60_000
LONG_WAIT: Final = timedelta(hours=1)
_BAD_SHOWN: Final = 3
_RAW_SHOWN: Final = 200
_MB: Final = 1 << 20


def check_all(configuration: Configuration, now: datetime, machine: Machine) -> Iterator[Check]:
    """Yield what was found, everything that is well included."""
    full, trouble = with_managed(configuration)
    yield Check(OK, "configuration", {"file": str(configuration.path), "inputs": len(full.inputs)})
    if sys.platform == "win32":
        yield Check(WARNING, "windows")
    if trouble:
        yield Check(BAD, "managed", {"reason": trouble})
    if not full.inputs:
        yield Check(WARNING, "no_inputs", {"file": str(configuration.path)})
    yield from _state(configuration)
    status = read_status(configuration.state)
    running = _is_running(status, now)
    yield from _process(status, running=running)
    yield from _room(configuration, machine)
    yield from _link(configuration)
    if status:
        yield from _told(status, now, running=running)
    yield from machine.ports(full.inputs, _number(status.get("pid")) if running else 0)
    yield from machine.files(full.inputs, configuration.state)
    yield from _aside(configuration)


def _state(configuration: Configuration) -> Iterator[Check]:
    state = configuration.state
    if not state.exists():
        yield Check(WARNING, "state_new", {"path": str(state)})
    elif not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        yield Check(BAD, "state_denied", {"path": str(state)})


def _is_running(status: Mapping[str, object], now: datetime) -> bool:
    try:
        age = abs(now - parse_instant(str(status.get("at", ""))))
    except (ValueError, OverflowError):
        return False
    pid = status.get("pid")
    alive = isinstance(pid, int) and process_runs(pid)
    return bool(status.get("running")) and alive and age < STALE


def _process(status: Mapping[str, object], *, running: bool) -> Iterator[Check]:
    if running:
        beat = status.get("heartbeat")
        memory = beat.get("memory", 0) if isinstance(beat, dict) else 0
        yield Check(OK, "running", {"pid": _number(status.get("pid")), "memory": _number(memory) // _MB})
    elif status.get("running"):
        yield Check(BAD, "died", {"at": str(status.get("at", ""))})
    else:
        yield Check(WARNING, "not_running")


def _room(configuration: Configuration, machine: Machine) -> Iterator[Check]:
    directory = next(path for path in (configuration.state, *configuration.state.parents) if path.exists())
    free, wanted = machine.free_bytes(directory), configuration.spool.reserve
    values: dict[str, Scalar] = {"free": free // _MB, "reserve": wanted // _MB, "path": str(directory)}
    if free < wanted:
        yield Check(BAD, "disk_full", values)
    elif free < 2 * wanted:
        yield Check(WARNING, "disk_short", values)
    else:
        yield Check(OK, "disk", values)


def _link(configuration: Configuration) -> Iterator[Check]:
    """Try to reach the centre by an unsigned request, which uses up no number: so it only says whether it is there."""
    centre = configuration.centre
    if centre is None:
        yield Check(WARNING, "no_centre")
        return
    try:
        identity = read_identity(configuration.state)
        if identity is None:
            yield Check(BAD, "not_joined", {"url": centre.url})
            return
        known = identity.centre(configuration.state, centre)
        fingerprint = agent_key(configuration.state).public.fingerprint
        unit = identity.organization_name or identity.organization_id
        yield Check(OK, "joined", {"unit": unit, "agent": identity.agent, "fingerprint": fingerprint})
        with Connection(known, connect_seconds=5, read_seconds=10) as connection:
            answer = connection.post(HEARTBEAT, {}, b"")
    except LinkError as error:
        yield Check(BAD, f"link_{error.kind}", {"url": centre.url, "reason": error.what})
    except (EdusocError, OSError) as error:
        yield Check(BAD, "link_broken", {"reason": str(error)})
    else:
        if answer.status in {400, 401}:
            yield Check(OK, "reached", {"url": centre.url})
        else:
            yield Check(BAD, "no_centre_there", {"url": centre.url, "status": answer.status})


def _told(status: Mapping[str, object], now: datetime, *, running: bool) -> Iterator[Check]:
    """Yield what the agent itself told."""
    beat = status.get("heartbeat")
    beat = beat if isinstance(beat, dict) else {}
    link = status.get("link")
    if isinstance(link, dict) and link.get("trouble"):
        yield Check(BAD, "link_told", {"reason": str(link["trouble"]), "since": str(link.get("since", ""))})
    offset = _number(status.get("clock_offset_ms"))
    if status.get("clock_known") and abs(offset) > MOST_OFFSET_MS:
        yield Check(BAD, "clock", {"seconds": abs(offset) // 1_000})
    elif status.get("clock_known"):
        yield Check(OK, "clock_right", {"milliseconds": abs(offset)})
    yield from _waiting(beat, now)
    conditions = status.get("conditions")
    conditions = conditions if isinstance(conditions, dict) else {}
    for source in beat.get("sources", []):
        if isinstance(source, dict) and source.get("name") != AGENT:
            yield from _source(source, conditions.get(source.get("name")), now, running=running)


def _waiting(beat: Mapping[str, object], now: datetime) -> Iterator[Check]:
    count, oldest = _number(beat.get("waiting")), str(beat.get("oldest", ""))
    late = bool(oldest) and now - parse_instant(oldest) > LONG_WAIT
    values: dict[str, Scalar] = {
        "events": count,
        "megabytes": _number(beat.get("waiting_bytes")) // _MB,
        "oldest": oldest,
    }
    yield Check(WARNING if late else OK, "waiting_long" if late else "waiting", values)
    shed = beat.get("shed")
    dropped = sum(_number(item) for item in shed.values()) if isinstance(shed, dict) else 0
    if dropped:
        yield Check(BAD, "shed", {"events": dropped})


def _source(
    source: Mapping[str, object], condition: object, now: datetime, *, running: bool
) -> Iterator[Check]:
    name, counters = str(source.get("name", "")), source.get("counters")
    counters = counters if isinstance(counters, dict) else {}
    state = condition.get("state") if isinstance(condition, dict) else ""
    fault = str(source.get("fault", ""))
    if running and state == "waiting" and fault:
        yield Check(BAD, "input_failed", {"name": name, "reason": fault})
        return
    last = str(source.get("last", ""))
    values: dict[str, Scalar] = {"name": name, "stored": _number(counters.get("stored")), "last": last or "–"}
    if running and (not last or now - parse_instant(last) > QUIET):
        yield Check(WARNING, "input_quiet" if last else "input_never", values)
    else:
        yield Check(OK, "input", values)
    dropped = _number(counters.get("dropped"))
    if dropped:
        yield Check(BAD, "kernel_drops", {"name": name, "count": dropped, "rmem": Machine.rmem_max()})
    if refused := _number(counters.get("refused")):
        yield Check(WARNING, "input_refused", {"name": name, "count": refused})


def _aside(configuration: Configuration) -> Iterator[Check]:
    try:
        kept = list(read_aside(configuration.state / "aside"))
    except (EdusocError, OSError):
        return
    for item in kept[-_BAD_SHOWN:]:
        values = {"source": item.source, "sender": item.sender or "–", "reason": item.reason, "at": item.at}
        yield Check(WARNING, "bad_record", {**values, "raw": item.raw[:_RAW_SHOWN]})


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def worst(checks: Sequence[Check]) -> str:
    """Return the worst level among findings."""
    levels = {item.level for item in checks}
    return BAD if BAD in levels else WARNING if WARNING in levels else OK
