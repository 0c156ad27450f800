"""Nothing is lost between real agents and a real centre: the short form of ``benchmarks/agents.py``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

ROOT = Path(__file__).parents[2]
TRIED = "ip link && mount -t tmpfs none /mnt && nft list ruleset"


def need_namespaces() -> None:
    """Skip where network and mount namespaces or nftables are not to be had."""
    command = ["unshare", "-rnm", "sh", "-c", TRIED]
    works = (
        shutil.which("unshare") and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    need("namespaces", works or None, "no namespaces with nftables: apt-get install nftables iproute2")


@pytest.mark.slow
def test_kills_cut_links_lost_packets_and_full_disks_lose_and_double_nothing() -> None:
    need_namespaces()
    words = ["--seconds", "8", "--kills", "6", "--rate", "200", "--agents", "2", "--seed", "7"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.agents", *words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-3_000:]
    assert "6 times kill -9" in done.stdout
    assert "NOTHING LOST, NOTHING DOUBLED" in done.stdout
