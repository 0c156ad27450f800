from __future__ import annotations

from collectors.devices.registry import NAMES
from tests.collectors.base import TextCollectorTests


class TestDevices(TextCollectorTests):
    name = "syslog"
    samples = tuple(f"../devices/golden/{name}.log" for name in NAMES)
