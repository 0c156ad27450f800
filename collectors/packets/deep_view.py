"""Print the packets of a small capture as a protocol tree: ``python -m collectors.packets.deep_view CAPTURE``.

A process of its own around pyshark and tshark; see ``collectors.packets.session``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC
from typing import Final

PACKETS: Final = 200
FIELDS: Final = 40
VALUE: Final = 200


def lines_of(capture: str) -> Iterator[str]:
    """Yield one line a packet and, indented below it, its layers with their fields."""
    import pyshark  # noqa: PLC0415 - optional, and only this process pays for it

    packets = pyshark.FileCapture(capture, keep_packets=False, custom_parameters=["-n", "-c", str(PACKETS)])
    try:
        for packet in packets:
            moment = packet.sniff_time.astimezone(UTC).isoformat(timespec="microseconds")
            yield f"#{packet.number} {moment} {packet.highest_layer} {packet.length}"
            for layer in packet.layers:
                yield f"  {layer.layer_name}"
                for name in layer.field_names[:FIELDS]:
                    value = str(getattr(layer, name, "")).replace("\n", " ")
                    yield f"    {name}: {value[:VALUE]}"
    finally:
        packets.close()


def main() -> int:
    """Print the tree; return 0."""
    for line in lines_of(sys.argv[1]):
        sys.stdout.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
