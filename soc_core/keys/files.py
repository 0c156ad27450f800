"""Keep a secret in a file of its own: algorithm and hexadecimal digits, readable by its owner only (mode 0600)."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from soc_core.errors import StoreError
from soc_core.system import open_file, private_directory, sync_directory


def secret_in(path: Path, algorithm: str, size: int) -> bytes:
    """Return the secret of ``size`` bytes in a file; one is made where there is none.

    The file appears whole or not at all, whenever the power goes; of processes that start together one makes it. Raises
    ``StoreError`` for a damaged file, or one of another algorithm.
    """
    if not path.exists():
        _make(path, algorithm, size)
    return _read(path, algorithm, size)


def _make(path: Path, algorithm: str, size: int) -> None:
    private_directory(path.parent)
    beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    handle = open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
            file.write(f"{algorithm} {os.urandom(size).hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another was quicker: its secret is the one
            os.link(beside, path)
        sync_directory(path.parent)
    finally:
        beside.unlink()


def _read(path: Path, algorithm: str, size: int) -> bytes:
    try:
        known, _, text = path.read_text(encoding="ascii").strip().partition(" ")
        secret = bytes.fromhex(text)
    except ValueError:  # also what is no ASCII
        known, secret = "", b""
    except OSError as error:
        raise StoreError(error.strerror or "can't be read", where=str(path)) from error
    if known != algorithm or len(secret) != size:
        raise StoreError(
            "the key file is damaged", where=str(path), todo="restore it from the backup, or remove it"
        )
    return secret
