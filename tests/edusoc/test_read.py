"""Run ``edusoc read`` as users do: in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

_ROOT = Path(__file__).parents[2]
_LINE = "Nov 20 10:03:04 gw sshd[5]: Failed password for root from 203.0.113.9 port 4022 ssh2\n"
_PROGRAM = (
    "import argparse, sys; from edusoc.commands import read; parser = argparse.ArgumentParser(); "
    "read.add(parser.add_subparsers()); arguments = parser.parse_args(); sys.exit(arguments.run(arguments))"
)


def _read(
    *arguments: str, stdin: bytes = b"", user: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    command = [*user, sys.executable, "-c", _PROGRAM, "read", "--language", "en", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=_ROOT, check=False, timeout=120)
    assert b"Traceback" not in done.stderr
    return done


def _events(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_good_file_is_code_0_nested_and_flat(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE * 2)
    nested, flat = _read(str(tmp_path / "a")), _read("--flat", str(tmp_path / "a"))
    assert (nested.returncode, flat.returncode) == (0, 0)
    assert _events(nested)[0]["source"] == {"ip": "203.0.113.9", "port": 4022}
    assert _events(flat)[0]["source.ip"] == "203.0.113.9"
    assert b"read 1 files: 2 events, 0 bad records" in nested.stderr


def test_bad_records_are_code_1_and_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE + "no header here\n" * 50)
    stats = tmp_path / "stats.json"
    done = _read("--stats", str(stats), str(tmp_path / "a"), str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert len(_events(done)) == 1
    assert b"no syslog header" in done.stderr
    assert b"and 31 more" in done.stderr
    report = json.loads(stats.read_text())
    assert (report["files"], report["files_failed"], report["events"], report["bad"]) == (2, 1, 1, 51)
    assert report["datasets"] == {"syslog.auth": 1}


def test_wrong_use_is_code_2_and_disk_trouble_code_3(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE)
    assert _read("--zone-info", "Moon/Base", str(tmp_path / "a")).returncode == 2
    assert _read("--no-such-option").returncode == 2
    assert _read("--stats", str(tmp_path / "no" / "folder"), str(tmp_path / "a")).returncode == 3


def test_standard_input_and_its_compression() -> None:
    done = _read("-", stdin=gzip.compress(_LINE.encode()))
    assert done.returncode == 0
    assert len(_events(done)) == 1


def test_time_zone_of_sources_without_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE)
    times = [
        str(_events(_read("--flat", "--zone-info", zone, str(tmp_path / "a")))[0]["@timestamp"])[11:13]
        for zone in ("UTC", "Asia/Urumqi")
    ]
    assert times == ["10", "04"]


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE * 20_000)
    command = f"{quote(sys.executable)} -c '{_PROGRAM}' read {quote(str(tmp_path / 'a'))} | head -n 1"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, cwd=_ROOT, check=False, timeout=120
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_code_3(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(_LINE * 10)
    command = (
        f"{quote(sys.executable)} -c '{_PROGRAM}' read --language en {quote(str(tmp_path / 'a'))} > /dev/full"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, cwd=_ROOT, check=False, timeout=120
    )
    assert done.returncode == 3
    assert b"can't be written" in done.stderr
    assert b"Traceback" not in done.stderr


def test_unreadable_files_are_said(tmp_path: Path) -> None:
    """As root permissions are not asked for, so the command then runs as somebody else."""
    locked = Path("/tmp") / f"edusoc-test-{os.getpid()}"  # a place that somebody else can reach
    locked.mkdir(mode=0o755)
    try:
        (locked / "a").write_text(_LINE)
        (locked / "a").chmod(0)
        (locked / "b").write_text(_LINE)
        (locked / "d").mkdir(mode=0)
        user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("root reads everything, and setpriv is not here to become somebody else")
            user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            probe = subprocess.run(
                [*user, sys.executable, "-c", "import orjson"], capture_output=True, cwd=_ROOT, check=False
            )
            if probe.returncode != 0:
                pytest.skip("somebody else may not run this Python")
        done = _read(str(locked), user=user)
        assert done.returncode == 1
        assert done.stderr.count(b"permission denied") == 2
        assert len(_events(done)) == 1
    finally:
        (locked / "d").chmod(0o700)
        shutil.rmtree(locked)


def test_the_same_advice_is_said_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("hello there\n")
    done = _read(str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count(b"unknown text, it starts with") == 3
    assert done.stderr.count(b"known kinds:") == 1
