"""Measure live metering: ``python -m benchmarks.live_packets [--rate 100000] [--seconds 10]`` (Linux, ``unshare``).

Replays the bundled day of a classroom between two interfaces of a network namespace at a rate, as fast as one sender
process can where the rate is 0, and meters it with our live input (flows and applications, then flows only) and with
scapy's sniffer in turn. Prints packets received of those sent, drops, and processor seconds of the receiver.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

SENDER, RECEIVER = "edusoc0", "edusoc1"
CAPTURE = Path(__file__).parents[1] / "pcaps" / "normal_class_day.pcap.zst"
KINDS = ("flows and applications", "flows only", "scapy")


def set_up() -> None:
    """Make the two interfaces."""
    for name in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "add", SENDER, "type", "veth", "peer", "name", RECEIVER], check=True)
    for name in (SENDER, RECEIVER):
        subprocess.run(["ip", "link", "set", name, "mtu", "65000", "up"], check=True)


def send(rate: int, seconds: float) -> None:
    """Send frames at a rate; print how many."""
    from tests.collectors.live.capture_child import frames

    sent, made = 0, frames(str(CAPTURE))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as output:
        output.bind((SENDER, 0))
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            due = int(passed * rate) - sent if rate else 1_000
            for frame in made[sent % len(made) :][: max(0, min(due, 2_000))]:
                output.send(frame)
                sent += 1
            if due <= 0:
                time.sleep(0.0005)
    print(sent, flush=True)


def receive(kind: str, ring: int) -> dict[str, float]:
    """Receive until a line comes on standard input; return what was counted."""
    cpu = time.process_time()
    if kind == "scapy":
        from scapy.sendrecv import AsyncSniffer

        counted = [0]

        def count(_packet: object) -> None:
            counted[0] += 1

        sniffer = AsyncSniffer(iface=RECEIVER, store=False, prn=count)
        sniffer.start()
        time.sleep(1)
        print("ready", flush=True)
        sys.stdin.readline()
        sniffer.stop()
        return {"received": counted[0], "dropped": 0, "cpu": time.process_time() - cpu, "events": 0}
    from collectors.live.capture import CaptureInput, Settings
    from tests.collectors.live.outlets import Kept

    class Counting(Kept):
        """Count events and let them go."""

        total = 0

        def deliver(self, batch, _origin):  # type: ignore[no-untyped-def]
            self.total += len(batch.events)

        def context(self, origin):  # type: ignore[no-untyped-def]
            self.now = datetime.now(UTC)
            return super().context(origin)

    only = "packets.flow" if kind == "flows only" else ""
    live, outlet, stop = (
        CaptureInput("x", Settings(RECEIVER, ring_megabytes=ring, only=only)),
        Counting(),
        threading.Event(),
    )
    thread = threading.Thread(target=live.run, args=(outlet, stop))
    thread.start()
    time.sleep(1)
    cpu = time.process_time()
    print("ready", flush=True)
    sys.stdin.readline()
    time.sleep(0.5)
    stop.set()
    thread.join()
    counters = live.counters.snapshot()
    return {
        "received": counters.get("received", 0),
        "dropped": counters.get("dropped", 0),
        "cpu": time.process_time() - cpu,
        "events": outlet.total,
    }


def run(arguments: argparse.Namespace) -> None:
    """Measure each kind in turn, inside the namespace."""
    set_up()
    this = [sys.executable, "-m", "benchmarks.live_packets"]
    for kind in KINDS:
        receiver = subprocess.Popen(
            [*this, "--receive", kind, "--ring", str(arguments.ring)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert receiver.stdout is not None
        receiver.stdout.readline()
        sender = [*this, "--send", "--rate", str(arguments.rate), "--seconds", str(arguments.seconds)]
        sent = int(subprocess.run(sender, check=True, capture_output=True, text=True).stdout)
        output, _ = receiver.communicate("\n")
        found = json.loads(output.splitlines()[-1])
        cpu, received = found["cpu"], found["received"]
        parts = (
            f"{kind:24} sent {sent:9,} ({sent / arguments.seconds:9,.0f}/s)  received {received:9,}",
            f"dropped {found['dropped']:7,}  lost {sent - received:8,}",
            f"processor {cpu:6.2f} s ({cpu / arguments.seconds:4.0%} of a core, {received / max(cpu, 0.01):9,.0f}/s)",
            f"events {found['events']:,}",
        )
        print("  ".join(parts), flush=True)


def main() -> int:
    """Run; enters a network namespace by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--ring", type=int, default=64)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send(arguments.rate, arguments.seconds)
    elif arguments.receive:
        print(json.dumps(receive(arguments.receive, arguments.ring)))
    elif arguments.inside:
        run(arguments)
    else:
        return subprocess.call(
            ["unshare", "-rn", sys.executable, "-m", "benchmarks.live_packets", *sys.argv[1:], "--inside"]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
