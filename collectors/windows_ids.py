"""Name Windows events by what they say of themselves, so that each is one event however it reaches us.

A live log, its archived file and an export hold the same records at different offsets; computer, log, record number and
time stay the same. Record numbers begin anew when a log is cleared, hence the time.
"""

from __future__ import annotations

from typing import Final

from collectors.base import ReadContext
from soc_core.model.event import (
    EVENT_ID,
    TIMESTAMP,
    Event,
    make_event_id,
    make_source_identity,
)

_ID_SPACE: Final = "windows"
_NAMES: Final = ("host.name", "winlog.channel", "winlog.provider_name", "event.code", TIMESTAMP)
_LARGEST: Final = 1 << 62


def give_own_id(event: Event, context: ReadContext) -> None:
    """Write the id of a Windows event that says its computer, log, number and time; leave others alone."""
    number = event.get("winlog.record_id")
    parts = [event.get(name) for name in _NAMES]
    if not isinstance(number, str) or not number.isascii() or not number.isdigit():
        return
    if not all(isinstance(part, str) for part in parts) or not 0 < int(number) < _LARGEST:
        return
    identity = make_source_identity(context.organization_id, context.zone, _ID_SPACE, b"")
    record = "\0".join(map(str, parts)).encode("utf-8", "replace")
    event[EVENT_ID] = make_event_id(str(event[TIMESTAMP]), identity, int(number), record)
