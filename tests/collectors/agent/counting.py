"""A live input for tests: it delivers numbered events and remembers in a file how far it came, as file inputs do.

Run as a program it is ``edusoc collect`` with this kind of input: ``python -m tests.collectors.agent.counting CONFIG``.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from collectors.base import Batch
from collectors.live import registry
from collectors.live.base import Counters, LiveInput, Origin, Outlet
from collectors.live.options import Options
from tests.collectors.agent.helpers import events

BATCH = 7


class Counting:
    """Deliver ``count`` events, one batch after another."""

    kind = "counting"

    def __init__(self, name: str, path: Path, count: int) -> None:
        self.name, self.counters = name, Counters()
        self._path, self._count = path, count

    def run(self, outlet: Outlet, stop: threading.Event) -> None:
        done = int(self._path.read_text()) if self._path.exists() else 0
        while done < self._count and not stop.is_set():
            size = min(BATCH, self._count - done)
            half = size // 2
            mixed = events(half, done) + events(size - half, done + half, "x", "iam")
            outlet.deliver(Batch(events=mixed), Origin(self.name))
            done += size
            new = self._path.with_suffix(".new")
            new.write_text(str(done))
            new.replace(self._path)
            self.counters.add("delivered", size)
        stop.wait()


def build(name: str, options: Options) -> LiveInput:
    return Counting(name, options.path("path"), options.number("count", 100))


if __name__ == "__main__":
    from edusoc import cli

    registry.KINDS["counting"] = "tests.collectors.agent.counting"
    raise SystemExit(cli.main(["collect", "--config", sys.argv[1]]))
