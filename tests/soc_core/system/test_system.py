"""Hold what the product asks of a system; run on each: ``posix`` and ``windows`` have the same functions."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core import system

ROOT = Path(__file__).parents[3]
HOLDER = """
import os, sys, pathlib
from soc_core import system
descriptor = system.open_file(pathlib.Path(sys.argv[1]), os.O_RDWR | os.O_CREAT)
system.lock(descriptor, wait=False)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return system.open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT)


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=80)), max_size=12))
def test_bytes_are_written_and_read_where_they_are_said(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("at") / "file"
    descriptor = system.open_file(path, os.O_RDWR | os.O_CREAT)
    expected = bytearray()
    for offset, data in parts:
        assert system.write_at(descriptor, memoryview(data), offset) == len(data)
        expected.extend(bytes(max(0, offset + len(data) - len(expected))))
        expected[offset : offset + len(data)] = data
        assert system.read_at(descriptor, len(data), offset) == data
    assert system.read_at(descriptor, 10, len(expected)) == b""
    os.close(descriptor)
    assert path.read_bytes() == bytes(expected)


def test_bytes_stay_as_they_are(tmp_path: Path, descriptor: int) -> None:
    body = bytes(range(256)) + b"\r\n\n\x1a"
    os.write(descriptor, body)
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == body


def test_a_lock_is_held_by_one_and_freed_when_its_holder_is_killed(tmp_path: Path, descriptor: int) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "file")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"locked"
        with pytest.raises(OSError):
            system.lock(descriptor, wait=False)
        assert system.process_runs(holder.pid)
        holder.kill()
        holder.wait()
    system.lock(descriptor, wait=True)
    os.close(descriptor)


def test_others_rename_and_replace_a_file_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first")
    with system.open_shared(path) as stream:
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"second")
        assert stream.read() == b"first"
    new = tmp_path / "log.new"
    new.write_bytes(b"third")
    system.replace(new, path)
    system.sync_directory(tmp_path)
    assert path.read_bytes() == b"third"
    assert not new.exists()


def test_what_is_not_there_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        system.open_shared(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        system.replace(tmp_path / "none", tmp_path / "other")
    assert system.is_denied(str(tmp_path / "none"))


def test_numbers_of_this_process_and_disk(tmp_path: Path) -> None:
    assert system.memory_bytes() > 1 << 20
    assert system.free_bytes(tmp_path) > 0
    assert system.process_runs(os.getpid())


def test_who_listens(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        pid, _ = system.port_holder("tcp", server.getsockname()[1])
    assert pid in {os.getpid(), 0}, "0: the system doesn't say (Wine)"


def test_a_private_directory_is_made_once(tmp_path: Path) -> None:
    system.private_directory(tmp_path / "a" / "b")
    system.private_directory(tmp_path / "a" / "b")
    if sys.platform != "win32":
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_every_system_has_the_same_names() -> None:
    """Read, not imported: a system's module is for that system alone."""
    folder = Path(system.__file__).parent
    found = {}
    for name in ("posix", "windows"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        functions = {item.name: item for item in tree.body if isinstance(item, ast.FunctionDef)}
        constants = {
            item.target.id
            for item in tree.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        found[name] = functions
        for wanted in system.__all__:
            assert wanted in functions or wanted in constants, f"{name} lacks {wanted}"
    for wanted in set(system.__all__) & found["posix"].keys():
        posix, windows = (ast.dump(found[name][wanted].args) for name in ("posix", "windows"))
        assert posix == windows, wanted


BLOCKED = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "pwd", "grp", "resource", "termios"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

import soc_core.system
for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocked())
names = ["edusoc.cli", "edusoc.commands.collect", "edusoc.commands.enrol", "edusoc.commands.doctor",
         "edusoc.commands.service"]
for package in ("collectors.agent", "collectors.live", "collectors.uplink", "soc_core.log", "soc_core.keys",
                "soc_core.uplink"):
    found = importlib.import_module(package)
    names += [item.name for item in pkgutil.walk_packages(found.__path__, package + ".")]
for name in names:
    importlib.import_module(name)
from edusoc.cli import build_parser
build_parser()
print(len(names))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there they are missing anyway")
def test_the_agent_needs_no_module_that_windows_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
