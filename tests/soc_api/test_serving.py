"""The web role is a process of its own: it answers while another process writes, and stops in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from edusoc.serving import bind
from soc_core.errors import UsageError
from soc_core.store.embedded import EmbeddedStore


def test_a_taken_port_is_said_so() -> None:
    first = bind("127.0.0.1", 0)
    assert first.proto == socket.IPPROTO_TCP, "answers would wait for delayed acknowledgements"
    with pytest.raises(UsageError, match="can't listen"):
        bind("127.0.0.1", first.getsockname()[1])
    first.close()


@pytest.mark.slow
def test_serving_takes_no_lock_and_ends_in_order(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "edusoc",
        "serve",
        "--only",
        "web",
        "--state",
        str(tmp_path),
        "--port",
        "0",
    ]
    environment = {**os.environ, "EDUSOC_LANGUAGE": "en", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line[line.index("http://") :].split()[0]
        store = EmbeddedStore(tmp_path / "events", writer=True)
        with urllib.request.urlopen(f"{url}/login", timeout=30) as answer:
            assert answer.status == 200
        store.close()
    finally:
        process.send_signal(signal.SIGTERM)
        _out, faults = process.communicate(timeout=30)
    assert process.returncode == 0
    assert faults == ""
