"""Replay a capture between two interfaces of a network namespace and print what the live input makes of it.

Run as ``unshare -rn python -m tests.collectors.live.capture_child CAPTURE DIRECTORY``: the namespace is its own.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from collectors.live.capture import CaptureInput, Settings
from collectors.opening import open_source
from collectors.packets import layout
from collectors.packets.machine import load_kernel
from collectors.packets.reader import CaptureReader
from tests.collectors.live.outlets import Kept, running, wait_until

SENDER, RECEIVER = "edusoc0", "edusoc1"


class Now(Kept):
    """Keep batches; the time is now, since the packets are."""

    def context(self, origin):  # type: ignore[no-untyped-def]
        self.now = datetime.now(UTC)
        return super().context(origin)


def frames(path: str) -> list[bytes]:
    """Return the frames of a capture."""
    found: list[bytes] = []
    with open_source(path) as source:
        reader = CaptureReader(source, load_kernel())
        index = memoryview(reader.index).cast("q")
        for count in reader.chunks():
            for row in range(0, count * layout.INDEX_COLUMNS, layout.INDEX_COLUMNS):
                start, captured = index[row + layout.IX_OFFSET], index[row + layout.IX_CAPTURED]
                # What the capture left out is sent as zeros, so that lengths are those of the wire.
                left_out = bytes(index[row + layout.IX_WIRE] - captured)
                found.append(reader.buffer[start : start + captured] + left_out)
    return found


def main(capture: str, directory: str) -> None:
    """Replay and print."""
    # The kernel's own IPv6 messages would come on top.
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    for words in (
        f"link add {SENDER} type veth peer name {RECEIVER}",
        f"link set {SENDER} mtu 65000 up",
        f"link set {RECEIVER} mtu 65000 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    sent = frames(capture)
    live = CaptureInput(
        "mirror", Settings(RECEIVER, ring_megabytes=8, keep_megabytes=64, keep_directory=Path(directory))
    )
    with running(live, Now()) as kept, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as output:
        output.bind((SENDER, 0))
        wait_until(lambda: live.keep is not None)
        for frame in sent:
            output.send(frame)
        wait_until(lambda: live.counters.snapshot().get("received", 0) >= len(sent))
    body = {
        "sent": len(sent),
        "events": kept.events,
        "bad": [bad.reason for bad in kept.bad],
        "counters": dict(live.counters.snapshot()),
    }
    sys.stdout.buffer.write(orjson.dumps(body))


if __name__ == "__main__":
    main(*sys.argv[1:])
