"""The kernel's machine code: cached, checked before use, built anew when anything about it is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.packets import machine
from collectors.packets.machine import (
    PARAMETERS,
    Code,
    Kernel,
    child_command,
    child_environment,
    load_kernel,
    read_code,
    write_code,
)
from soc_core.errors import InputError


@pytest.fixture
def cached() -> Path:
    """Return the file of the kernel that is in use."""
    load_kernel()
    name = f"packets-{machine._digest()}.bin"
    load_kernel.cache_clear()
    return next(place / name for place in machine._directories() if (place / name).exists())


@pytest.fixture(autouse=True)
def _fresh():
    load_kernel.cache_clear()
    yield
    load_kernel.cache_clear()


def test_a_start_imports_no_compiler(cached: Path) -> None:
    program = (
        "import sys; from collectors.packets.collector import PacketsCollector;"
        "from collectors.packets.machine import load_kernel; load_kernel();"
        "heavy = {'numba', 'numpy', 'pyarrow', 'duckdb', 'sklearn'};"
        "sys.exit(any(name.split('.')[0] in heavy for name in sys.modules))"
    )
    environment = {**child_environment(), "EDUSOC_KERNEL_CACHE": str(cached.parent)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_code_is_read_back_as_written(tmp_path: Path) -> None:
    code = Code({"one": "symbol", "two": "other"}, b"\x7fELF")
    write_code(tmp_path / "x.bin", code)
    assert read_code(tmp_path / "x.bin") == code


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "missing", "foreign", "link", "pipe"])
def test_damaged_code_is_not_loaded(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "x.bin"
    write_code(file, Code({"one": "symbol"}, b"code" * 50))
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "flip":
        file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    elif damage == "link":
        file.rename(tmp_path / "elsewhere.bin")
        file.symlink_to(tmp_path / "elsewhere.bin")
    elif damage == "pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        file.chmod(0o666)
    assert read_code(file) is None


def test_what_lies_in_the_current_directory_is_not_run(tmp_path: Path) -> None:
    """Captures are unpacked and read in directories of strangers: a ``collectors`` package there is not ours."""
    (tmp_path / "collectors").mkdir()
    (tmp_path / "collectors" / "__init__.py").write_text("print('not ours')", encoding="utf-8")
    done = subprocess.run(
        child_command("collectors.packets.layout"),
        env=child_environment(),
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""


def test_damaged_cache_is_built_anew(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(target: Path) -> None:
        built.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cached.read_bytes())
        target.chmod(0o600)

    monkeypatch.setenv("EDUSOC_KERNEL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "_build", build)
    (tmp_path / cached.name).write_bytes(b"torn")
    assert isinstance(load_kernel(), Kernel)
    assert built == [tmp_path / cached.name]
    load_kernel.cache_clear()
    assert isinstance(load_kernel(), Kernel)
    assert len(built) == 1


def test_unwritable_directories_are_passed_over(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(machine, "_directories", lambda: iter([tmp_path / "file" / "below", cached.parent]))
    assert isinstance(load_kernel(), Kernel)


def test_a_compiler_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_directories", lambda: iter([tmp_path]))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(InputError, match="can't be compiled"):
        load_kernel()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_compiler_makes_what_is_declared(tmp_path: Path) -> None:
    target = tmp_path / "kernel.bin"
    machine._build(target)
    code = read_code(target)
    assert code is not None
    assert set(code.symbols) == set(PARAMETERS)
    Kernel(code)


def test_every_kernel_source_is_part_of_the_name() -> None:
    sources = {path.name for path in Path(machine.__file__).parent.glob("kernel*.py")} | {
        "layout.py",
        "building.py",
    }
    assert sources == set(machine._SOURCES)
