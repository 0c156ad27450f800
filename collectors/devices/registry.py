"""List the devices we understand and ask the right one: the openings of messages, tried all at once, decide.

A message that is of no device costs one match of a regular expression and one count (measured by
``benchmarks/device_dispatch.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final, cast

from collectors.devices.base import Device
from collectors.devices.cef import Cef
from collectors.devices.cisco import Cisco
from collectors.devices.dbappsecurity import Dbappsecurity
from collectors.devices.dptech import Dptech
from collectors.devices.fortinet import Fortinet
from collectors.devices.h3c import H3c
from collectors.devices.hillstone import Hillstone
from collectors.devices.huawei import Huawei
from collectors.devices.keyvalue import KeyValue
from collectors.devices.leef import Leef
from collectors.devices.nsfocus import Nsfocus
from collectors.devices.qianxin import Qianxin
from collectors.devices.ruijie import Ruijie
from collectors.devices.sangfor import Sangfor
from collectors.devices.topsec import Topsec
from collectors.honeypots.hfish import HFishSyslog
from soc_core.errors import UsageError
from soc_core.model.event import EXTRA, TIMESTAMP, Event, Value

_FALLBACK: Final = KeyValue()
DEVICES: Final[tuple[Device, ...]] = (
    # asked in this order where several openings fit; KeyValue is asked last and only where no other spoke
    Huawei(),
    H3c(),
    Dptech(),
    Sangfor(),
    Topsec(),
    Qianxin(),
    Hillstone(),
    Nsfocus(),
    Dbappsecurity(),
    Fortinet(),
    Ruijie(),
    Cisco(),
    HFishSyslog(),
    Cef(),
    Leef(),
    _FALLBACK,
)
NAMES: Final[tuple[str, ...]] = tuple(device.name for device in DEVICES)
DATASETS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(dataset for device in DEVICES for dataset in device.datasets)
)

_ANY: Final = re.compile("|".join(f"(?:{device.opening})" for device in DEVICES if device is not _FALLBACK))
_EACH: Final = tuple((device, re.compile(device.opening)) for device in DEVICES if device is not _FALLBACK)
_PROGRAMS: Final[Mapping[str, Device]] = {
    program: device for device in DEVICES for program in device.programs
}


def device(name: str) -> Device:
    """Return the device called ``name``, for senders that are configured. Raises ``UsageError`` for an unknown one."""
    for known in DEVICES:
        if known.name == name:
            return known
    raise UsageError(f"there is no device '{name}'", todo=f"known are: {', '.join(sorted(NAMES))}")


def interpret(event: Event, zone: tzinfo, fixed: Device | None = None) -> bool:
    """Add to a syslog event what its message says, where a device is known to speak so; tell whether one was.

    ``zone`` is that of times without one; ``fixed`` is the sender's device where it is configured: then only that one
    is asked.
    """
    message = event.get("message")
    if not isinstance(message, str):
        return False
    if fixed is not None:
        return _ask(fixed, event, message, zone)
    program = event.get("log.syslog.appname")
    if _ANY.match(message) is None and (program is None or cast("str", program).lower() not in _PROGRAMS):
        return _FALLBACK.recognise(message, event) and _ask(_FALLBACK, event, message, zone)
    for known, opening in _EACH:
        fits = opening.match(message) is not None or str(program).lower() in known.programs
        if fits and known.recognise(message, event) and _ask(known, event, message, zone):
            return True
    return _FALLBACK.recognise(message, event) and _ask(_FALLBACK, event, message, zone)


def recognise(message: str) -> Device | None:
    """Return the device whose messages open like this one, for the recognition of files without syslog headers."""
    if _ANY.match(message) is None:
        return None
    for known, opening in _EACH:
        if opening.match(message) is not None and known.recognise(message, {}):
            return known
    return None


def _ask(asked: Device, event: Event, message: str, zone: tzinfo) -> bool:
    found = asked.interpret(message, event, zone)
    if found is None:
        return False
    _merge(event, found, asked.name)
    return True


def _merge(event: Event, found: Event, name: str) -> None:
    """Take over what a device found: its values win over the header's, other fields are added to those there."""
    more = found.pop(EXTRA, None)
    if isinstance(more, list):
        present = event.get(EXTRA)
        event[EXTRA] = cast("Value", [*present, *more] if isinstance(present, list) else more)
    if TIMESTAMP in found and event.get("edusoc.time.fault") == "missing":
        del event["edusoc.time.fault"]
    event.update(found)
    event["event.module"] = name
    if "observer.name" not in event and "log.syslog.hostname" in event:
        event["observer.name"] = event["log.syslog.hostname"]
