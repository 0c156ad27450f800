"""Follow a log in a process of its own, to be killed: ``python -m … PATTERN FOLDER OUTPUT``.

What is delivered is written to OUTPUT, an id and a process id a line, as durably as a kill needs.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from collectors.base import Batch, ReadContext
from collectors.live.base import Origin
from collectors.live.files.settings import Settings
from collectors.live.files.tailing import FilesInput


class Output:
    """Append to a file by one write a delivery, so that a kill leaves whole deliveries."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def deliver(self, batch: Batch, origin: Origin) -> None:
        rows = [f"{event['event.id']} {event['process.pid']}\n" for event in batch.events]
        os.write(self._descriptor, "".join(rows).encode())

    def context(self, origin: Origin) -> ReadContext:
        return ReadContext(datetime(2026, 11, 24, tzinfo=UTC), organization_id="u")


def main(pattern: str, folder: str, output: str) -> None:
    settings = Settings((pattern,), Path(folder), poll=0.01, settle=0.2, finish=0.3)
    FilesInput("child", settings).run(Output(output), threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
