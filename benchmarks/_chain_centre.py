"""Be the centre of ``chain.py``: the pipeline process, with or without detectors; print processor seconds by part.

Lines on standard output: ``ready SECONDS`` when it serves, ``served SECONDS`` when it was told to end, and ``sealed
SECONDS``, what judging the windows and sealing took then. Counted is this process with all its threads.
"""

from __future__ import annotations

import sys
import time

import edusoc.composition
from edusoc.pipelining import run_pipeline
from edusoc.sockets import bind
from intake.pipeline import Detectors
from soc_core.config import load_settings


def main(detecting: str) -> None:
    """Serve, then settle and seal."""
    if detecting != "rules":
        edusoc.composition.build_detectors = lambda *_, **__: Detectors()
    settings = load_settings()
    listener = bind(settings.intake_host, settings.intake_port)
    run_pipeline(settings, listener, lambda: print("ready", time.process_time(), flush=True))
    print("served", time.process_time(), flush=True)
    with edusoc.composition.open_writer(settings) as writer:
        began = time.process_time()
        writer.pipeline.settle()
        writer.store.seal()
        print("sealed", time.process_time() - began, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
