"""Measure the parsers of devices: ``python -m benchmarks.device_dispatch [--rounds N]``.

Messages of no device are Unix daemons', invented here; those of devices are the samples of our tests. Prints processor
microseconds a message

- *no device*: what the chain costs a message that no device knows, the header having been read (goal: at most 2 µs);
- *with header*: the whole way of such a message through the syslog parser, for comparison;
- per device: the whole way of its samples, to an event.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from collectors.base import ReadContext
from collectors.devices import registry
from collectors.syslog import SyslogParser
from soc_core.clock import LOCAL_ZONE

SAMPLES = Path(__file__).parents[1] / "tests" / "collectors" / "devices" / "golden"
SENDER = "192.168.99.250"
UNIX = (
    "<38>Nov 20 10:11:12 web1 sshd[4711]: Failed password for invalid user admin from 203.0.113.9 port 51515 ssh2",
    "<38>Nov 20 10:11:12 web1 sshd[4711]: pam_unix(sshd:session): session opened for user li by (uid=0)",
    "<85>Nov 20 10:11:13 web1 sudo:   li : TTY=pts/0 ; PWD=/home/li ; USER=root ; COMMAND=/usr/bin/apt update",
    "<78>Nov 20 10:15:01 web1 CRON[800]: (root) CMD (/usr/local/bin/rotate --quiet)",
    "<30>Nov 20 10:15:02 web1 systemd[1]: Started Session 12 of User li.",
    "<22>Nov 20 10:15:03 mail postfix/smtpd[90]: connect from host.example.org[198.51.100.7]",
    "<4>Nov 20 10:15:04 web1 kernel: [12345.678] eth0: link is up",
    "<14>Nov 20 10:15:05 db1 app[77]: request finished status=200 time=12ms path=/a/b",
)


def per_message(work: Callable[[], object], messages: int, rounds: int) -> float:
    """Return the median over ``rounds`` of the processor microseconds a message."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) / messages * 1e6)
    return median(found)


def parsing(parser: SyslogParser, texts: list[str]) -> Callable[[], object]:
    """Return the work of parsing all ``texts``."""

    def work() -> None:
        for text in texts:
            parser.parse_message(text, SENDER)

    return work


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument(
        "--rounds", type=int, default=9, help="rounds, of which the median is told (default 9)"
    )
    rounds = asked.parse_args().rounds
    parser = SyslogParser(ReadContext(datetime(2026, 11, 24, 12, tzinfo=UTC), zone_info=LOCAL_ZONE))
    events = [parser.parse_message(text, SENDER) for text in UNIX] * 1_000

    def dispatching() -> None:
        for event in events:
            registry.interpret(event, LOCAL_ZONE)

    print(f"no device    {per_message(dispatching, len(events), rounds):6.2f} µs")
    print(f"with header  {per_message(parsing(parser, [*UNIX] * 500), len(UNIX) * 500, rounds):6.2f} µs")
    for device in registry.DEVICES:
        texts = (SAMPLES / f"{device.name}.log").read_text(encoding="utf-8").splitlines() * 50
        print(f"{device.name:13}{per_message(parsing(parser, texts), len(texts), rounds):6.2f} µs")


if __name__ == "__main__":
    main()
