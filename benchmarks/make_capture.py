"""Make a large capture from small ones: ``python -m benchmarks.make_capture TARGET [--megabytes 700] CAPTURE…``.

Every round plays all captures at once, moved to the round's time and to new IPv4 addresses (checksums kept right), so
that flow tables see new flows and packets of many flows mixed. Only Ethernet captures are taken.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

from collectors.opening import find_inputs, open_source
from collectors.packets import layout
from collectors.packets.machine import load_kernel
from collectors.packets.reader import CaptureReader

ROUND_US = 120_000_000
START_US = 1_790_000_000_000_000
Packet = tuple[int, int, bytes]


def read_packets(path: str) -> list[Packet]:
    """Return (microseconds since the capture's first packet, length on the wire, bytes) of Ethernet packets."""
    found: list[Packet] = []
    with open_source(path) as source:
        reader = CaptureReader(source, load_kernel())
        first = -1
        for count in reader.chunks():
            words = memoryview(reader.index).cast("q")
            for row in range(0, count * layout.INDEX_COLUMNS, layout.INDEX_COLUMNS):
                at, captured, wire, time_us, link = words[row : row + layout.INDEX_COLUMNS].tolist()
                if link == 1:
                    first = time_us if first < 0 else first
                    moment = min(max(time_us - first, 0), ROUND_US - 1)
                    found.append((moment, wire, reader.buffer[at : at + captured]))
    return found


def _adjusted(checksum: int, old: int, new: int) -> int:
    """Return an Internet checksum after one 16-bit word changed (RFC 1624)."""
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def moved(data: bytes, number: int) -> bytes:
    """Return an Ethernet frame with both IPv4 addresses moved by ``number``; anything else as it is."""
    if number == 0 or len(data) < 34 or data[12:14] != b"\x08\x00" or data[14] >> 4 != 4:
        return data
    packet = bytearray(data)
    header = (packet[14] & 15) * 4
    place = 14 + header + {6: 16, 17: 6}.get(packet[23], 1 << 16)
    first_fragment = struct.unpack_from(">H", packet, 20)[0] & 0x1FFF == 0
    for at in (26, 30):
        if packet[at] >= 224:
            continue
        (old,) = struct.unpack_from(">H", packet, at)
        new = (old & 0xFF00) | (old + number & 0xFF)
        new ^= (number >> 8 & 0x3F) << 8 if packet[at] != 10 else 0
        struct.pack_into(">H", packet, at, new)
        for target in (24, place if first_fragment else 1 << 16):
            if target + 2 <= len(packet):
                (checksum,) = struct.unpack_from(">H", packet, target)
                if checksum or target == 24:
                    struct.pack_into(">H", packet, target, _adjusted(checksum, old, new))
    return bytes(packet)


def make(target: Path, captures: list[str], size: int) -> int:
    """Write rounds until ``target`` has ``size`` bytes; return how many packets it holds."""
    packets = sorted((p for path in captures for p in read_packets(path)), key=lambda packet: packet[0])
    if not packets:
        raise SystemExit("no Ethernet packets in these captures")
    count = written = number = 0
    with target.open("wb") as output:
        output.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        while written < size:
            parts = []
            for moment, wire, data in packets:
                seconds, fraction = divmod(START_US + number * ROUND_US + moment, 1_000_000)
                parts.append(struct.pack("<IIII", seconds, fraction, len(data), wire))
                parts.append(moved(data, number))
            block = b"".join(parts)
            output.write(block)
            written += len(block)
            count += len(packets)
            number += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("captures", nargs="+")
    parser.add_argument("--megabytes", type=int, default=700)
    arguments = parser.parse_args()
    paths = [
        item.path
        for item in find_inputs(arguments.captures)
        if item.path.endswith((".pcap", ".pcapng", ".cap"))
    ]
    count = make(arguments.target, paths, arguments.megabytes * 1_000_000)
    print(f"{arguments.target}: {count} packets, {arguments.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
