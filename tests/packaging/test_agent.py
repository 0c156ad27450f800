"""Hold what can be held of the installer without a network: its words, its unit, and that removing removes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from soc_core import system

FOLDER = Path(__file__).parent.parent.parent / "packaging"
SCRIPT, UNIT = FOLDER / "agent.sh", FOLDER / "edusoc-agent.service"


def run(*words: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EDUSOC_ROOT": str(root)}
    return subprocess.run(
        ["sh", str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def unit(capabilities: str = "CAP_NET_BIND_SERVICE", program: str = "/bin/true") -> str:
    values = {
        "PREFIX": "/opt/x",
        "CONFIG": "/etc/x.toml",
        "CAPABILITIES": capabilities,
        "FAMILIES": "",
        "MEMORY": "300M",
        "DENY_WX": "yes",
        "HOME": "yes",
    }
    text = UNIT.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.replace("/opt/x/bin/edusoc", program)


def test_the_script_fills_every_place_of_the_unit() -> None:
    places = set(re.findall(r"@[A-Z_]+@", UNIT.read_text(encoding="utf-8")))
    assert places <= set(re.findall(r"@[A-Z_]+@", SCRIPT.read_text(encoding="utf-8")))
    text = "\n".join(line for line in unit().splitlines() if not line.startswith("#"))
    assert not re.search(r"@[A-Z_]+@", text)


def test_wrong_use_is_said_in_both_languages(tmp_path: Path) -> None:
    for words in ((), ("nonsense",)):
        done = run(*words, root=tmp_path)
        assert done.returncode == 2
        assert "agent.sh install" in done.stderr
    done = run("install", "--centre", "https://x", root=tmp_path)
    assert (done.returncode, "--code" in done.stderr) == (2, True)
    assert "请给出" in done.stderr
    done = run("update", root=tmp_path)
    assert done.returncode == 2
    assert "Not installed yet" in done.stderr


@pytest.mark.parametrize("purge", [False, True])
def test_removing_removes(tmp_path: Path, purge: bool) -> None:
    places = ["opt/edusoc-agent", "var/lib/edusoc-agent", "etc/edusoc", "etc/systemd/system", "usr/local/bin"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "etc/edusoc/agent.toml").write_text("")
    (tmp_path / "etc/systemd/system/edusoc-agent.service").write_text("")
    done = run("remove", *(["--purge"] if purge else []), root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "opt/edusoc-agent").exists()
    assert not (tmp_path / "etc/systemd/system/edusoc-agent.service").exists()
    assert (tmp_path / "etc/edusoc/agent.toml").exists() != purge
    assert (tmp_path / "var/lib/edusoc-agent").exists() != purge


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("capabilities", ["", "CAP_NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE CAP_NET_RAW"])
def test_systemd_reads_the_unit(tmp_path: Path, capabilities: str) -> None:
    path = tmp_path / "edusoc-agent.service"
    path.write_text(unit(capabilities), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "edusoc" in line]) == (0, [])


def test_the_script_for_windows_is_readable_there_and_avoids_its_traps() -> None:
    """Windows PowerShell 5 reads UTF-8 only behind a byte order mark, and drops double quotes given to programs."""
    body = (FOLDER / "agent.ps1").read_bytes()
    assert body.startswith(b"\xef\xbb\xbf")
    text = body.decode("utf-8-sig")
    for line in text.splitlines():
        if " -c '" in line:
            assert '"' not in line.partition(" -c '")[2], line
        assert "2>$null" not in line, "redirected complaints end a script whose errors stop it"
    assert system.SERVICE in text
    for words in ("service', 'install'", "'service', 'start'", "'service', 'remove'", "'enrol'"):
        assert words in text
