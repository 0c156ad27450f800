"""Do on Linux (and its relatives) what systems do in different ways; ``windows`` has the same functions."""

from __future__ import annotations

import fcntl
import io
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

assert sys.platform != "win32"  # noqa: S101 - tells the type checker whose module this is

CONFIG: Final = "/etc/edusoc/agent.toml"
"""Where the agent's configuration lies if nothing else is said."""
STATE: Final = "/var/lib/edusoc-agent"
"""Where the agent keeps its data if nothing else is said."""
SERVICE: Final = "edusoc-agent"
"""The name of the service."""
HOLD: Final = True
"""Whether a file of others may be kept open: its name stays theirs to rename, remove and give to another file."""
_PROC: Final = {"udp": ("udp", "udp6"), "tcp": ("tcp", "tcp6")}
_TCP_LISTEN: Final = "0A"


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Read from a descriptor at a place."""
    return os.pread(descriptor, size, offset)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write to a descriptor at a place; return how many bytes were written."""
    return os.pwrite(descriptor, data, offset)


def replace(source: Path, target: Path) -> None:
    """Give a file the name of another, all or nothing; durable after ``sync_directory``."""
    source.replace(target)


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor for bytes as they are, which child processes don't get."""
    return os.open(path, flags, mode)


def open_shared(path: str | Path) -> io.FileIO:
    """Return a file opened for reading, unbuffered, that others may rename and remove meanwhile."""
    return open(path, "rb", buffering=0)  # noqa: PTH123 - a path of others stays text


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock a file until its descriptor is closed or we die; raise ``OSError`` when another has it and we don't wait."""
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_data(descriptor: int) -> None:
    """Make what was written to a file durable."""
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make names created, renamed or removed in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(directory: Path) -> int:
    """Return the bytes of the disk that are free for us."""
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def private_directory(directory: Path) -> None:
    """Make a directory that nobody else may look into, unless it is there already."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def process_runs(pid: int) -> bool:
    """Tell whether there is a process of that id."""
    return Path(f"/proc/{pid}").exists()


def memory_bytes() -> int:
    """Return the memory this process holds; 0 where the system doesn't say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def acting_as_owner(path: Path) -> Iterator[None]:
    """Act as the owner of a path and its groups, where we are root: what root may read says nothing."""
    owner = path.stat().st_uid if path.exists() else 0
    if os.geteuid() != 0 or owner == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        entry = pwd.getpwuid(owner)
        theirs = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        theirs = [path.stat().st_gid]
    os.setgroups(theirs)
    os.setegid(theirs[0])
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def is_denied(path: str) -> bool:
    """Tell whether we, as whom we act, may not read a file."""
    return not os.access(path, os.R_OK, effective_ids=True)


def port_holder(protocol: str, port: int) -> tuple[int, str]:
    """Return process id and name of who holds a port; 0 and an empty name when it can't be seen."""
    inodes = set()
    for table in _PROC[protocol]:
        try:
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if int(parts[1].rpartition(":")[2], 16) == port and (
                protocol == "udp" or parts[3] == _TCP_LISTEN
            ):
                inodes.add(f"socket:[{parts[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        if _holds(process, inodes):
            try:
                return int(process.name), (process / "comm").read_text(encoding="utf-8").strip()
            except OSError:
                continue
    return 0, ""


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        with os.scandir(process / "fd") as entries:
            return any(str(Path(entry.path).readlink()) in inodes for entry in entries)
    except OSError:
        return False
