"""Do on Windows what systems do in different ways; ``posix`` has the same functions.

Facts: WriteFile and ReadFile take a place in OVERLAPPED also for files opened without FILE_FLAG_OVERLAPPED; LockFileEx
may lock bytes behind the end; MoveFileExW with MOVEFILE_WRITE_THROUGH returns once the name is on the disk; a file
opened with FILE_SHARE_DELETE may be renamed and removed by others (Microsoft Learn, pages of these functions).
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import msvcrt
import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes
from pathlib import Path
from typing import Final

assert sys.platform == "win32"  # noqa: S101 - tells the type checker whose module this is

_DATA: Final = os.environ.get("PROGRAMDATA", r"C:\ProgramData")
CONFIG: Final = rf"{_DATA}\edusoc\agent.toml"
"""Where the agent's configuration lies if nothing else is said."""
STATE: Final = rf"{_DATA}\edusoc\agent"
"""Where the agent keeps its data if nothing else is said."""
SERVICE: Final = "edusoc-agent"
"""The name of the service; its own account may use the data."""
HOLD: Final = False
"""A name that was removed stays taken while somebody holds the file open (before Windows 10 1809): so don't."""
_LOCKED_BYTE: Final = 1 << 40  # nothing is ever written there: others may read what stands in the file
_FAIL_AT_ONCE, _EXCLUSIVE = 1, 2
_IO_PENDING_END: Final = 38  # ERROR_HANDLE_EOF
_REPLACE, _WRITE_THROUGH = 1, 8
_BUSY: Final = frozenset({5, 32, 33})  # ERROR_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION
_PATIENCE: Final = 2.0
_PAUSE: Final = 0.01
_GENERIC_READ: Final = 0x8000_0000
_SHARE_ALL: Final = 7
_OPEN_EXISTING: Final = 3
_BACKUP_SEMANTICS: Final = 0x0200_0000
_QUERY_LIMITED: Final = 0x1000
_STILL_ACTIVE: Final = 259
_DACL: Final = 4
_PROTECTED_DACL: Final = 0x8000_0000
_TCP_LISTENERS, _UDP_OWNERS = 3, 1

_KERNEL: Final = ctypes.WinDLL("kernel32", use_last_error=True)
_ADVAPI: Final = ctypes.WinDLL("advapi32", use_last_error=True)


class _Overlapped(ctypes.Structure):
    """OVERLAPPED: here only the place in the file."""

    _fields_ = (
        ("internal", ctypes.c_void_p),
        ("internal_high", ctypes.c_void_p),
        ("offset", wintypes.DWORD),
        ("offset_high", wintypes.DWORD),
        ("event", wintypes.HANDLE),
    )


class _Memory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("faults", wintypes.DWORD),
        *((name, ctypes.c_size_t) for name in ("peak", "working", "a", "b", "c", "d", "pagefile", "e")),
    )


_KERNEL.CreateFileW.restype = wintypes.HANDLE
_KERNEL.CreateFileW.argtypes = [
    wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE,
]  # fmt: skip
_KERNEL.OpenProcess.restype = wintypes.HANDLE
_KERNEL.GetCurrentProcess.restype = wintypes.HANDLE
_KERNEL.CloseHandle.argtypes = [wintypes.HANDLE]
_KERNEL.LocalFree.argtypes = [ctypes.c_void_p]


def _place(offset: int) -> _Overlapped:
    return _Overlapped(None, None, offset & 0xFFFF_FFFF, offset >> 32, None)


def _handle(descriptor: int) -> wintypes.HANDLE:
    return wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))


def _fault() -> OSError:
    return ctypes.WinError(ctypes.get_last_error())


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Read from a descriptor at a place."""
    buffer, done, place = ctypes.create_string_buffer(size), wintypes.DWORD(), _place(offset)
    if not _KERNEL.ReadFile(_handle(descriptor), buffer, size, ctypes.byref(done), ctypes.byref(place)):
        if ctypes.get_last_error() == _IO_PENDING_END:
            return b""
        raise _fault()
    return buffer.raw[: done.value]


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write to a descriptor at a place; return how many bytes were written."""
    body, done, place = bytes(data), wintypes.DWORD(), _place(offset)
    if not _KERNEL.WriteFile(_handle(descriptor), body, len(body), ctypes.byref(done), ctypes.byref(place)):
        raise _fault()
    return done.value


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor for bytes as they are, which child processes don't get; who may open it its folder says."""
    return os.open(path, flags | os.O_BINARY, mode)


def open_shared(path: str | Path) -> io.FileIO:
    """Return a file opened for reading, unbuffered, that others may rename and remove meanwhile."""
    handle = _KERNEL.CreateFileW(
        str(path), _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, _BACKUP_SEMANTICS, None
    )
    if handle is None or handle == wintypes.HANDLE(-1).value:
        error = _fault()
        raise OSError(error.errno, error.strerror, str(path), error.winerror)
    try:
        descriptor = msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY)
    except OSError:
        _KERNEL.CloseHandle(handle)
        raise
    try:
        return io.FileIO(descriptor, "rb")
    except OSError:  # a folder
        os.close(descriptor)
        raise


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock a file until its descriptor is closed or we die; raise ``OSError`` when another has it and we don't wait."""
    place = _place(_LOCKED_BYTE)
    flags = _EXCLUSIVE if wait else _EXCLUSIVE | _FAIL_AT_ONCE
    if not _KERNEL.LockFileEx(_handle(descriptor), flags, 0, 1, 0, ctypes.byref(place)):
        raise _fault()


def sync_data(descriptor: int) -> None:
    """Make what was written to a file durable (FlushFileBuffers)."""
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Do nothing: names are durable with ``replace`` and with the file's own data."""


def replace(source: Path, target: Path) -> None:
    """Give a file the name of another, all or nothing and durably.

    Whoever has the target open at the moment (a virus scanner, a reader) is waited for, two seconds at most.
    """
    until = time.monotonic() + _PATIENCE
    while not _KERNEL.MoveFileExW(str(source), str(target), _REPLACE | _WRITE_THROUGH):
        if ctypes.get_last_error() not in _BUSY or time.monotonic() > until:
            error = _fault()
            raise OSError(error.errno, error.strerror, str(target), error.winerror)
        time.sleep(_PAUSE)


def free_bytes(directory: Path) -> int:
    """Return the bytes of the disk that are free for us."""
    return shutil.disk_usage(directory).free


def service_sid(name: str) -> str:
    """Return the security identifier of a service: S-1-5-80 and the SHA-1 of its name in capitals (MS-DTYP 2.4.2.4)."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(str(part) for part in struct.unpack("<5I", digest))


def private_directory(directory: Path) -> None:
    """Make a directory that only administrators, the system, its owner and the agent's service may look into.

    A directory that is there already is left as it is; ``protect`` gives it the same rights.
    """
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        protect(directory)


def protect(path: Path, *, write: bool = True) -> None:
    """Let only administrators, the system, the owner and the agent's service (reading only if said) use a path."""
    inherit = "OICI" if path.is_dir() else ""
    rights = "FA" if write else "FR"
    entries = "".join(f"(A;{inherit};FA;;;{who})" for who in ("SY", "BA", "OW"))
    text = f"D:P{entries}(A;{inherit};{rights};;;{service_sid(SERVICE)})"
    descriptor = ctypes.c_void_p()
    if not _ADVAPI.ConvertStringSecurityDescriptorToSecurityDescriptorW(
        text, 1, ctypes.byref(descriptor), None
    ):
        raise _fault()
    try:
        if not _ADVAPI.SetFileSecurityW(str(path), _DACL | _PROTECTED_DACL, descriptor):
            raise _fault()
    finally:
        _KERNEL.LocalFree(descriptor)


def process_runs(pid: int) -> bool:
    """Tell whether there is a process of that id."""
    handle = _KERNEL.OpenProcess(_QUERY_LIMITED, False, pid)
    if not handle:
        return ctypes.get_last_error() == 5  # it is there, only not for us
    code = wintypes.DWORD()
    known = _KERNEL.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code))
    _KERNEL.CloseHandle(handle)
    return bool(known) and code.value == _STILL_ACTIVE


def memory_bytes() -> int:
    """Return the memory this process holds; 0 where the system doesn't say."""
    found = _Memory(ctypes.sizeof(_Memory))
    if not _KERNEL.K32GetProcessMemoryInfo(
        wintypes.HANDLE(_KERNEL.GetCurrentProcess()), ctypes.byref(found), ctypes.sizeof(found)
    ):
        return 0
    return int(found.working)


@contextmanager
def acting_as_owner(path: Path) -> Iterator[None]:  # noqa: ARG001 - the same on every system
    """Do nothing: an administrator can't act as the service's account."""
    yield


def is_denied(path: str) -> bool:
    """Tell whether we may not read a file, by trying."""
    try:
        open_shared(path).close()
    except OSError:
        return True
    return False


def port_holder(protocol: str, port: int) -> tuple[int, str]:
    """Return process id and name of who holds a port; 0 and an empty name when it can't be seen."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for number, pid in _holders(protocol, family):
            if number == port:
                return pid, _program(pid)
    return 0, ""


def _holders(protocol: str, family: int) -> Iterator[tuple[int, int]]:
    """Yield port and process id of every listener (tables of GetExtendedTcpTable and GetExtendedUdpTable)."""
    helper = ctypes.WinDLL("iphlpapi")
    tcp = protocol == "tcp"
    function = helper.GetExtendedTcpTable if tcp else helper.GetExtendedUdpTable
    size = wintypes.DWORD(0)
    buffer = ctypes.create_string_buffer(4)
    for _ in range(5):  # the table may grow meanwhile
        if not function(buffer, ctypes.byref(size), False, family, _TCP_LISTENERS if tcp else _UDP_OWNERS, 0):
            break
        buffer = ctypes.create_string_buffer(size.value + 4096)
        size.value = len(buffer)
    else:
        return
    (count,) = struct.unpack_from("<I", buffer)
    row, where, owner = _ROWS[tcp, family == socket.AF_INET]
    for number in range(min(count, (len(buffer) - 4) // row)):
        start = 4 + number * row
        (found,) = struct.unpack_from(">H", buffer, start + where)
        (pid,) = struct.unpack_from("<I", buffer, start + owner)
        yield found, pid


_ROWS: Final = {
    (True, True): (24, 8, 20),  # MIB_TCPROW_OWNER_PID: size, place of the port, place of the process id
    (True, False): (56, 20, 52),  # MIB_TCP6ROW_OWNER_PID
    (False, True): (12, 4, 8),  # MIB_UDPROW_OWNER_PID
    (False, False): (28, 20, 24),  # MIB_UDP6ROW_OWNER_PID
}


def _program(pid: int) -> str:
    handle = _KERNEL.OpenProcess(_QUERY_LIMITED, False, pid)
    if not handle:
        return ""
    size = wintypes.DWORD(1024)
    name = ctypes.create_unicode_buffer(size.value)
    known = _KERNEL.QueryFullProcessImageNameW(wintypes.HANDLE(handle), 0, name, ctypes.byref(size))
    _KERNEL.CloseHandle(handle)
    return Path(name.value).name if known else ""
