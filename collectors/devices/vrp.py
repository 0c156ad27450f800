"""Read the layout that Huawei's VRP and H3C's Comware share: ``%%nnMODULE/level/BRIEF(flag)[count]: text``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from soc_core.model.event import Event

_LAYOUT: Final = re.compile(
    r"(?:(\S{1,64}) )?(?:%%: ?)?%%(\d\d) ?(?:SN:\S{1,40} )?([A-Za-z][\w\-]{0,40})/([0-7])/(\w{1,60})"
    r"(?:\(\w\))?(?:\[\d{1,10}\])?: ?"
)
_TRAP: Final = re.compile(r"([A-Za-z][\w\-]{0,40})/([0-7])/(\w{1,60})(?:\(\w\))?: ?(?:OID [\d.]{5,128}:? ?)?")
_CONTEXT: Final = re.compile(r"(?:CID=0x[0-9a-fA-F]{1,16};|Slot=[^;]{1,32};|VS=[^;]{1,64};)+ ?")
_LEVELS: Final = (
    "emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug",
)  # fmt: skip


class Message(NamedTuple):
    """Hold the parts of a message. ``host`` is set where the device sent no time, only its name."""

    host: str
    module: str
    level: int
    brief: str
    text: str


def read_message(message: str, version: str) -> Message | None:
    """Return the parts of a message of this layout version, also of a trap without one; ``None`` if it is none."""
    match = _LAYOUT.match(message)
    if match is not None and match[2] == version:
        host, _, module, level, brief = match.groups()
    else:
        match = _TRAP.match(message)
        if match is None:
            return None
        host, (module, level, brief) = "", match.groups()
    text = message[match.end() :].strip("\0 \r\n")
    context = _CONTEXT.match(text)
    text = text[context.end() :] if context is not None else text
    return Message(host or "", module.upper(), int(level), brief, text)


def put_message(found: Event, read: Message) -> None:
    """Write what the layout says; the level of the message counts, not that of the PRI."""
    found["event.code"] = f"{read.module}/{read.level}/{read.brief}"
    found["event.provider"] = read.module
    found["event.action"] = read.brief.lower()
    found["log.level"] = _LEVELS[read.level]
    if read.host:
        found["observer.name"] = read.host
    found["event.category"] = ["host"]
    found["event.type"] = ["info"]
