"""Break a store in every way we can think of; nothing acknowledged may be lost or doubled, and what is broken is named.

Run it: ``./run bench faults [--kills 100] [--seed 1] [--only kill,disk,readonly,bytes]``. Kills are ``kill -9`` at
random moments of ingest, sealing and merging, retention, backup, and migration to and from Elasticsearch (named by
``EDUSOC_TEST_ELASTICSEARCH_URL``; left out, and said so, without one). Full disks and read-only file systems are small
tmpfs mounts, for which one must be root. Exit code 0 when everything held.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks._fault_bytes import spoil_bytes
from benchmarks._fault_disks import fill_disks, forbid_writing
from benchmarks._fault_kills import kill_often
from benchmarks._fault_report import Report

PARTS: Final[Mapping[str, Callable[[Path, argparse.Namespace, Report], None]]] = {
    "kill": lambda directory, options, report: kill_often(directory, options.kills, options.seed, report),
    "disk": lambda directory, options, report: fill_disks(directory, options.seed, report),
    "readonly": lambda directory, _, report: forbid_writing(directory, report),
    "bytes": lambda directory, options, report: spoil_bytes(directory, options.seed, report),
}


def main() -> int:
    """Run the parts that were asked for, print a table, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="edusoc-faults-") as made:
        for name in options.only.split(","):
            if name in {"disk", "readonly"} and os.getuid():
                print(f"{name}: left out, only root may mount")
                continue
            PARTS[name](Path(made), options, report)
    report.print()
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
