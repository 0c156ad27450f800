"""Log in to cameras with the password they were delivered with, from a student's PC."""

from __future__ import annotations

from pcaps.scenarios.cameras import describe, log_in_by_basic, log_in_by_digest
from pcaps.scenarios.scenario import Scenario, inside
from pcaps.wire.capture import Capture

INTRUDER = inside("192.168.20.88")
MONITOR = inside("192.168.50.2")
CAMERAS = tuple(inside(f"192.168.50.{last}") for last in (11, 12, 13))


def build(capture: Capture) -> None:
    """Build log-ins with admin and 12345 at three cameras, then the picture; the recorder logs in properly."""
    for number, camera in enumerate(CAMERAS):
        log_in_by_basic(capture, (INTRUDER, camera), capture.at(20 + number * 25), ("admin", "12345"))
        log_in_by_digest(capture, (MONITOR, camera), capture.at(3 + number * 8))
    describe(capture, (INTRUDER, CAMERAS[0]), capture.at(45), ("admin", "12345"))


SCENARIO = Scenario(
    name="default_camera_login",
    ending=".pcap.gz",
    hour=16.6,
    zh="用出厂口令登录摄像头",
    en="Cameras are entered by the password they were delivered with",
    build=build,
    addresses={
        "192.168.20.88": ("登录摄像头的学生电脑", "the student's PC"),
        "192.168.50.11": ("仍用出厂口令的摄像头", "a camera with its first password"),
        "192.168.50.12": ("仍用出厂口令的摄像头", "a camera with its first password"),
        "192.168.50.13": ("仍用出厂口令的摄像头", "a camera with its first password"),
        "192.168.50.2": ("录像机", "the recorder"),
    },
    must_find=tuple(("default_credentials", camera.ip, "high", INTRUDER.ip) for camera in CAMERAS),
    must_not=({"min_severity": "high", "entity": "192.168.50.2"},),
)
