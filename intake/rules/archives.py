"""Read the files of a foreign rule set: a folder, a git working tree, a zip or tar archive. Everything is bounded.

Only rules (``.yml``, ``.yaml``) and the texts that say whose they are come in. Links, devices and what is hidden are
left out and counted; an archive with a name that leads outside is refused as a whole.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from soc_core.errors import InputError, UsageError

MOST_FILES: Final = 20_000
MOST_MEMBERS: Final = 100_000
"""Names looked at, whether they are rules or not."""
MOST_BYTES: Final = 256 << 20
LONGEST_FILE: Final = 1 << 20
LONGEST_NAME: Final = 255
DEEPEST: Final = 20
RULES: Final = (".yml", ".yaml")
_TEXTS: Final = re.compile(r"(licen[cs]e|copying|notice|authors?|readme|contributors)[\w.-]*", re.IGNORECASE)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REF: Final = re.compile(r"ref: (refs/[\w./+@-]{1,200})")
_SMALLER: Final = "cut it into several sets"
_PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


class Stream(Protocol):
    """Be read from front to back."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        ...


@dataclass(slots=True)
class Collected:
    """Hold what was read: contents by path inside the set, what was left out by cause, where it came from."""

    kind: str
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    commit: str = ""
    _bytes: int = 0
    _seen: int = 0

    def leave(self, cause: str) -> None:
        """Count something that stays outside."""
        self.left_out[cause] = self.left_out.get(cause, 0) + 1

    def wants(self, name: str) -> str:
        """Return the path under which a member comes in, empty for one that doesn't.

        Raises ``InputError`` for a name that leads outside, and when there are too many.
        """
        self._seen += 1
        if self._seen > MOST_MEMBERS:
            raise InputError(f"there are more than {MOST_MEMBERS} files", todo=_SMALLER)
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
            raise InputError(
                "a name in the archive leads outside of it", where=repr(name[:200]), todo="don't use it"
            )
        plain = str(path)
        if (
            not _is_wanted(path)
            or len(plain.encode("utf-8", "surrogatepass")) > LONGEST_NAME
            or not plain.isprintable()
        ):
            return ""
        return plain

    def add(self, name: str, reader: Stream) -> None:
        """Take a file's content, read no further than its bound."""
        content = reader.read(LONGEST_FILE + 1)
        self._bytes += len(content)
        if len(content) > LONGEST_FILE and self._bytes <= MOST_BYTES:
            self.leave("too_big")
            return
        if len(self.files) >= MOST_FILES or self._bytes > MOST_BYTES:
            raise InputError(
                f"there are more than {MOST_FILES} rule files or {MOST_BYTES >> 20} MB", todo=_SMALLER
            )
        self.files[name] = content


def _is_wanted(path: PurePosixPath) -> bool:
    if any(part.startswith(".") for part in path.parts) or len(path.parts) > DEEPEST:
        return False
    return path.suffix.lower() in RULES or _TEXTS.fullmatch(path.name) is not None


def collect(path: Path) -> Collected:
    """Return what a folder, git working tree or archive holds.

    Raises ``UsageError`` when it is none of them, ``InputError`` when it is damaged, too large or leads outside.
    """
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise UsageError("there is no such folder or archive", where=str(path))
    try:
        with path.open("rb") as file:
            return _from_archive(file, str(path))
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        ValueError,
        NotImplementedError,
    ) as error:
        raise InputError(
            f"the archive is damaged: {error}", where=str(path), todo="copy it once more"
        ) from error
    except RuntimeError as error:  # zipfile says so of encrypted members
        raise InputError("the archive is encrypted", where=str(path), todo="unpack it first") from error


def _from_folder(root: Path) -> Collected:
    found = Collected("folder")
    for directory, names, files in os.walk(root, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(directory, name)
            inside = found.wants(path.relative_to(root).as_posix())
            if inside:
                _take_file(found, inside, path)
    if (root / ".git").exists():
        found.kind, found.commit = "git", commit_of(root)
    return found


def _take_file(found: Collected, inside: str, path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        found.leave("link" if path.is_symlink() else "unreadable")
        return
    with os.fdopen(handle, "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            found.add(inside, file)
        else:
            found.leave("link")


def _from_archive(file: IO[bytes], name: str) -> Collected:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"PK"):
        return _from_zip(file)
    if head.startswith(_PACKED):
        with _unpacked(file, head) as stream:
            return _from_tar(stream)
    file.seek(257)
    is_tar = file.read(5) == b"ustar"
    file.seek(0)
    if not is_tar:
        raise UsageError(
            "this is no archive that can be read",
            where=name,
            todo="use a folder, .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz",
        )
    return _from_tar(file)


def _unpacked(file: IO[bytes], head: bytes) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    if head.startswith(_PACKED[0]):
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if head.startswith(_PACKED[1]) else lzma.LZMAFile(file)


def _from_zip(file: IO[bytes]) -> Collected:
    found = Collected("zip")
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            inside = found.wants(member.filename)
            mode = member.external_attr >> 16
            if not inside or member.is_dir():
                continue
            if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                found.leave("link")
                continue
            with archive.open(member) as reader:
                found.add(inside, reader)
    return found


def _from_tar(stream: Stream) -> Collected:
    found, bounded = Collected("tar"), _Bounded(stream)
    with tarfile.open(fileobj=bounded, mode="r|") as archive:
        for member in archive:
            inside = found.wants(member.name)
            if not inside or member.isdir():
                continue
            reader = archive.extractfile(member) if member.isreg() else None
            if reader is None:
                found.leave("link")
            else:
                found.add(inside, reader)
    while bounded.read(
        1 << 20
    ):  # a damaged header looks like the end: only the checksum at the true end tells
        pass
    return found


class _Bounded(io.RawIOBase):
    """Read a stream that may be longer than it looks, up to what a set may have."""

    def __init__(self, stream: Stream) -> None:
        """Take the unpacked stream."""
        self._stream, self._left = stream, 2 * MOST_BYTES

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raise ``InputError`` when there are too many."""
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise InputError("the archive unpacks to too much", todo=_SMALLER)
        return data


def commit_of(root: Path) -> str:
    """Return the commit a git working tree stands at, empty when that can't be read.

    The files of git are read; git itself is not run, since a stranger's working tree may tell it to run programs.
    """
    git = root / ".git"
    try:
        if git.is_file():  # a worktree or submodule names its folder
            git = root / git.read_text("utf-8")[:4_096].removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text("utf-8")[:1_000].strip()
        match = _REF.fullmatch(head)
        if match is None:
            return head if _COMMIT.fullmatch(head) else ""
        return next((text for text in _resolved(git, match[1]) if _COMMIT.fullmatch(text)), "")
    except (OSError, UnicodeDecodeError, ValueError):
        return ""


def _resolved(git: Path, ref: str) -> Iterator[str]:
    """Yield what a ref may stand for: its own file, then the packed ones, of the tree and of the one it belongs to."""
    common = git / "commondir"
    places = [git, *([git / common.read_text("utf-8").strip()] if common.is_file() else [])]
    for place in places:
        if (place / ref).is_file():
            yield (place / ref).read_text("utf-8")[:100].strip()
        if (place / "packed-refs").is_file():
            for line in (place / "packed-refs").read_text("utf-8")[: 16 << 20].splitlines():
                commit, _blank, name = line.partition(" ")
                if name == ref:
                    yield commit
