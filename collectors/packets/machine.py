"""Load the packet kernel as machine code, without the compiler.

Importing numba and unpacking one of its cached functions costs half a second of processor time and 100 MB, more than
metering a gigabyte of packets. So the object code is compiled once, in another process, and kept in a cache; later
starts hand it to LLVM's linker and call it through ``ctypes`` (which lets go of the interpreter lock).

The cache lies in ``EDUSOC_KERNEL_CACHE``, else ``NUMBA_CACHE_DIR``, else below ``EDUSOC_STATE``, else in the user's
cache directory; where none can be written, in a temporary directory of this process. A file's name is the digest of
the kernel's sources, the compilers' versions and the processor, so a stale one is never loaded.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import json
import logging
import mmap
import os
import platform
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import llvmlite.binding as llvm

from soc_core.errors import InputError

_LOGGER: Final = logging.getLogger("edusoc.collectors")
_MAGIC: Final = b"EDUSOC-KERNEL-2\n"
_SOURCES: Final = (
    "building.py",
    "layout.py",
    "kernel_decode.py",
    "kernel_digest.py",
    "kernel_link.py",
    "kernel_walk.py",
    "kernel_select.py",
    "kernel_meter.py",
    "kernel_ring.py",
    "kernel.py",
)
PARAMETERS: Final = {
    "walk_pcap": "bnppn",
    "resync_pcap": "bnp",
    "walk_pcapng": "bnpppn",
    "resync_pcapng": "bnp",
    "meter": "bpnnphpppppppp",
    "flush": "phpp",
    "match": "bpnppppp",
    "name_flow": "pnpp",
    "walk_block": "bnnppn",
    "tick": "nphpp",
    "write_records": "bpnnbnp",
}
"""Entry point → parameters: ``b`` bytes, ``p`` words, ``h`` 32-bit words (all by address), ``n`` a number."""
BUILD_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Code:
    """Hold relocatable object code and for each entry point the symbol that stands for it there."""

    symbols: dict[str, str]
    binary: bytes


class Kernel:
    """Call the compiled entry points. Pointers are addresses of buffers that the caller keeps alive."""

    def __init__(self, code: Code) -> None:
        """Link the object code."""
        # The engine owns the module and the target machine it is given, so both are made for it alone.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code.binary))
        self._engine.finalize_object()
        self._functions = {
            name: _callable(self._engine.get_function_address(symbol), PARAMETERS[name])
            for name, symbol in code.symbols.items()
        }

    def call(self, name: str, *arguments: int) -> int:
        """Run an entry point and return its result."""
        return self._functions[name](*arguments)


def target_machine() -> llvm.TargetMachine:
    """Return LLVM's description of this machine, for code that may lie anywhere."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="jitdefault",
    )


def _callable(address: int, parameters: str) -> Callable[..., int]:
    """Return a Python function over numba's calling convention: result and exception by pointer, then arguments."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    types = [number if letter == "n" else pointer for letter in parameters]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, pointer, pointer, *types)(address)
    result, fault = ctypes.c_int64(), ctypes.c_void_p()
    result_at, fault_at = ctypes.addressof(result), ctypes.addressof(fault)

    def run(*arguments: int) -> int:
        status = function(result_at, fault_at, *arguments)
        if status != 0:
            raise RuntimeError(f"the packet kernel failed with status {status}")
        return result.value

    return run


def make_memory(size: int) -> mmap.mmap:
    """Return ``size`` zero bytes that cost nothing until they are touched."""
    return mmap.mmap(-1, size)


def address_of(buffer: mmap.mmap) -> int:
    """Return where the bytes of ``buffer`` lie; keep the buffer as long as the address is used."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def write_code(path: Path, code: Code) -> None:
    """Write object code with a digest in front, so that a torn or foreign file is noticed."""
    head = json.dumps(code.symbols).encode()
    body = struct.pack("<I", len(head)) + head + code.binary
    path.write_bytes(_MAGIC + hashlib.sha256(body).digest() + body)


def read_code(path: Path) -> Code | None:
    """Return the object code in ``path``, ``None`` when it is not there, not ours alone, or damaged."""
    try:
        data = _trusted_bytes(path)
    except OSError:
        return None
    start = len(_MAGIC) + 32
    body = data[start:]
    if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        return None
    (size,) = struct.unpack_from("<I", body)
    return Code(json.loads(body[4 : 4 + size]), body[4 + size :])


def _trusted_bytes(path: Path) -> bytes:
    """Return a file's bytes, nothing unless it is a plain file that only this user or root can have written.

    The opened file itself is looked at, so that nobody can put another in its place in between.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(file.fileno())
        foreign = hasattr(os, "getuid") and status.st_uid not in (os.getuid(), 0)
        if foreign or status.st_mode & 0o022 or not stat.S_ISREG(status.st_mode):
            return b""
        return file.read()


def _digest() -> str:
    """Return what the machine code depends on, as a file name."""
    digest = hashlib.sha256(_MAGIC)
    here = Path(__file__).parent
    for name in _SOURCES:
        digest.update((here / name).read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    for part in (
        version("numba"),
        version("llvmlite"),
        platform.machine(),
        llvm.get_host_cpu_name(),
        features,
    ):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:32]


def _directories() -> Iterator[Path]:
    """Yield where machine code may be kept, best first; the last one is temporary."""
    environment = os.environ
    for name, below in (
        ("EDUSOC_KERNEL_CACHE", ""),
        ("NUMBA_CACHE_DIR", "edusoc"),
        ("EDUSOC_STATE", "kernel"),
    ):
        if environment.get(name):
            yield Path(environment[name]) / below
    home = environment.get("XDG_CACHE_HOME") or (environment.get("HOME") and f"{environment['HOME']}/.cache")
    if home:
        yield Path(home) / "edusoc" / "kernel"
    temporary = tempfile.mkdtemp(prefix="edusoc-kernel-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    yield Path(temporary)


def child_environment() -> dict[str, str]:
    """Return the environment in which another Python process finds the same packages."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
        "NUMBA_DISABLE_JIT": "0",
    }


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules: ``-P`` keeps what lies in the current directory out of it."""
    return [sys.executable, "-P", "-m", module, *arguments]


def _build(target: Path) -> None:
    """Compile into ``target`` in another process. Raises ``OSError`` when it can't be written."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix="building-")
    os.close(handle)
    try:
        _LOGGER.info("compiling the packet kernel, once for this machine")
        done = subprocess.run(
            child_command("collectors.packets.building", name),
            env=child_environment(),
            capture_output=True,
            timeout=BUILD_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            detail = done.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            raise InputError(
                f"the packet kernel can't be compiled: {detail}", todo="check that numba is installed"
            )
        os.replace(name, target)  # noqa: PTH105 - the plain system call
    finally:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - the plain system call


@cache
def load_kernel() -> Kernel:
    """Return the kernel, compiled first where that was never done. Raises ``InputError`` when it can't be had."""
    name = f"packets-{_digest()}.bin"
    fault: OSError | None = None
    for directory in _directories():
        path = directory / name
        code = read_code(path)
        if code is None:
            try:
                _build(path)
            except OSError as problem:
                fault = problem
                continue
            code = read_code(path)
        if code is not None and set(code.symbols) == set(PARAMETERS):
            return Kernel(code)
    raise InputError(
        f"no directory for the packet kernel: {fault}",
        todo="set EDUSOC_KERNEL_CACHE to a directory that can be written",
    )
