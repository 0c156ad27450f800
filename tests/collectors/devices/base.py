"""Give the tests of devices the samples and one way to read a message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from collectors.devices.base import Device
from collectors.syslog import SyslogParser
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT

FOLDER = Path(__file__).parent / "golden"
SENDER = "192.168.99.250"


def samples(name: str) -> list[str]:
    """Return the sample messages of a device."""
    return [
        line for line in (FOLDER / f"{name}.log").read_text(encoding="utf-8").splitlines() if line.strip()
    ]


def read(text: str, device: Device | None = None) -> Event:
    """Return the event of one received message."""
    options = {} if device is None else {"device": device.name}
    return SyslogParser(replace(CONTEXT, options=options)).parse_message(text, SENDER)
